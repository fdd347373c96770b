// SPDX-License-Identifier: MIT
/** The answers that were recorded of a real kernel, as mutants are asked about them. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { normalise } from '../litmus/ops-observe.js';
import { linesBetween, RESET_ANSWER as RESET } from '../litmus/ops-words.js';
import { answersOf } from './ops.js';

const SCRIPTS = ['core-1', 'core-2', 'device-1', 'device-2'];
/** Steps of one path: some hundred times what any operation takes. */
const LIMIT = 20_000;

/** The part of a script from one reset to the next, which begins with a fresh process. */
export interface Piece {
  readonly name: string;
  readonly script: readonly string[];
  /** The recorded answers. */
  readonly answers: readonly string[];
}

const golden = (file: string): string[] =>
  gunzipSync(readFileSync(new URL(`../../test/golden/${file}.gz`, import.meta.url)))
    .toString()
    .trimEnd()
    .split('\n');

export function goldenPieces(): Piece[] {
  return SCRIPTS.flatMap((name) => {
    const [autoobs, ...script] = golden(`${name}.script`);
    const answers = linesBetween(golden(`${name}.answer`), RESET);
    return linesBetween(script, 'reset').map((lines, i) => ({
      name: `${name}, part ${i + 1}`,
      script: [autoobs!, ...lines],
      answers: answers[i]!,
    }));
  });
}

/**
 * Executes pieces one after the other on one kernel. Returns the first thing that is not as recorded, an answer or a
 * property that does not hold, and the piece it is in. `begin` is told of each piece before it.
 */
export function replayPieces(
  pieces: readonly Piece[],
  begin?: (piece: Piece) => void,
): { readonly piece: Piece; readonly wrong: string } | undefined {
  const script = pieces.map((piece) => piece.script.join('\n')).join('\nreset\n');
  let number = 0;
  let at = 0;
  const wrong = (what: string) => ({ piece: pieces[number]!, wrong: what });
  begin?.(pieces[0]!);
  try {
    const given = answersOf(script, 'recorded', { limit: LIMIT });
    for (;;) {
      const { value, done } = given.next();
      const { answers } = pieces[number]!;
      if (done || value[0] === RESET) {
        if (done && value !== undefined) return wrong(value);
        if (at !== answers.length) return wrong('answers are missing');
        if (done) return undefined;
        at = 0;
        number++;
        begin?.(pieces[number]!);
      } else for (const line of normalise(value)) if (line !== answers[at++]) return wrong(line.trim());
    }
  } catch (error) {
    return wrong(`error: ${(error as Error).message}`);
  }
}
