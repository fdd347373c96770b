// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { UsageError } from '../core/scenario.js';
import { Broken, Straight } from '../explore/straight.js';
import { normalise, Ops } from '../litmus/ops.js';
import { parseOps } from '../litmus/ops-language.js';
import { Exit } from './exit.js';
import { fail } from './output.js';

export interface OpsCommand {
  /** A script, or - for standard input. */
  readonly file: string;
  readonly normalise: boolean;
}

/** Executes a script of mm operations on one kernel and prints what they answer. Returns the exit code. */
export function opsCommand({ file, normalise: normalised }: OpsCommand): number {
  const script = parseOps(readScript(file), file === '-' ? 'standard input' : file);
  const ops: Ops = new Ops(script, (agent, path) => straight.run(agent, path));
  const straight: Straight = new Straight(ops.kernel.system, {
    choose: () => 0,
    monitor: () => ops.monitor(),
  });
  const lines: string[] = [];
  let broken: string | undefined;
  for (const line of script.lines) {
    try {
      lines.push(...ops.step(line));
      straight.settle();
      straight.judge();
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      broken = `${error.property}: ${error.detail}`;
    }
    const [report] = straight.reports;
    if (report !== undefined) broken ??= `${report[0]}: ${report[1]}`;
    if (broken === undefined) continue;
    broken += ` (line ${line.number}: ${line.text.trim()})`;
    break;
  }
  const shown = normalised ? normalise(lines) : lines;
  process.stdout.write(shown.map((line) => `${line}\n`).join(''));
  if (broken === undefined) return Exit.OK;
  fail(broken);
  return Exit.DIFFERS;
}

function readScript(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`${file}: can't be read (${code ?? 'error'})`, { cause: error });
  }
}
