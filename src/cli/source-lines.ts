// SPDX-License-Identifier: MIT
import { SourceMap, type SourceMapPayload } from 'node:module';

/** Where emitted code comes from. Lines and columns count from 1, except `column` of an argument: from 0. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Looks up a place of emitted code in the source map that was emitted with it. */
export function originOf(map: string): (line: number, column: number) => Origin | undefined {
  const lookUp = new SourceMap(JSON.parse(map) as SourceMapPayload);
  return (line, column) => {
    const entry = lookUp.findEntry(line - 1, column);
    if (!('originalLine' in entry) || entry.originalLine === undefined) return undefined;
    return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
  };
}

/** The source line of a place of emitted code: what `instrument` asks for. */
export function lineOf(map: string): (line: number, column: number) => number {
  const origin = originOf(map);
  return (line, column) => origin(line, column)?.line ?? line;
}
