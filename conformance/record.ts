// SPDX-License-Identifier: MIT
import { existsSync } from 'node:fs';
import { readScript } from '../src/cli/ops.js';
import { UsageError } from '../src/core/scenario.js';
import { parseOps } from '../src/litmus/ops-language.js';
import { normalise } from '../src/litmus/ops-observe.js';
import { firstDifference } from './compare.js';
import { generate } from './generate.js';
import { type Golden, goldenText, readGolden, writeGolden } from './golden.js';
import { type Guest, startGuest } from './guest.js';
import type { MixName } from './mixes.js';
import { count, progress, say } from './progress.js';

/** What decides a recording. */
export interface Recording {
  readonly seed: number;
  readonly ops: number;
  readonly mix: MixName;
  readonly trace: boolean;
}

/** Records one script. */
export async function recordOne(guest: Guest, { seed, ops, mix, trace }: Recording): Promise<Golden> {
  const script = generate({ seed, ops, mix, trace });
  return {
    name: `${trace ? 'trace-' : ''}${mix}-${seed}`,
    head: {
      kernel: guest.banner,
      config: `sha256 ${guest.build.config}`,
      seed: `${seed}`,
      mix,
      operations: `${ops}`,
      trace: trace ? 'notifiers' : 'none',
      date: new Date().toISOString().slice(0, 10),
    },
    script,
    answer: normalise(await guest.run(script, { trace })),
  };
}

/** The record command: files for `seeds` seeds from `seed` on. */
export async function record(
  options: Recording & { readonly seeds: number; readonly folder?: string | undefined },
): Promise<number> {
  const { seed: first, seeds, ops, folder } = options;
  if (folder !== undefined && !existsSync(folder)) throw new UsageError(`${folder}: no such folder`);
  const guest = await startGuest();
  try {
    for (let seed = first; seed < first + seeds; seed++) {
      progress(`seed ${seed}: ${count(ops, 'operation')}`);
      say(writeGolden(await recordOne(guest, { ...options, seed }), folder));
    }
  } finally {
    await guest.close();
  }
  return 0;
}

/**
 * What differs when a file is recorded once more from its own script, or undefined. The kernel's name and configuration
 * are those of the compiler and Debian's release as well: a note says where they are others.
 */
export async function differsAgain(
  guest: Guest,
  path: string,
  name = path,
): Promise<{ difference?: string; notes: string[] }> {
  const golden = readGolden(path);
  const { head, script, answer } = golden;
  const again = normalise(await guest.run(script, { trace: head.trace === 'notifiers' }));
  const notes: string[] = [];
  if (head.kernel !== guest.banner)
    notes.push(`${name}: was recorded with ${head.kernel}; this is ${guest.banner}`);
  if (head.config !== `sha256 ${guest.build.config}`)
    notes.push(`${name}: was recorded with another configuration`);
  if (goldenText({ head, script, answer: again }) === goldenText({ head, script, answer })) return { notes };
  return { difference: firstDifference(again, answer) ?? 'the lines before the first answer', notes };
}

/** The record command with a file that is there. */
export async function recordAgain(path: string): Promise<number> {
  readGolden(path); // or a guest would be started for nothing
  const guest = await startGuest();
  try {
    progress(`${path}: once more`);
    const { difference, notes } = await differsAgain(guest, path);
    for (const note of notes) say(note);
    const said = difference?.replace(/^the real kernel:$/m, 'recorded:').replace(/^the model:$/m, 'now:');
    say(said === undefined ? `${path}: the same, byte for byte` : `${path}: differs\n${said}`);
    return said === undefined ? 0 : 1;
  } finally {
    await guest.close();
  }
}

/** What the agent takes of a line, in bytes. */
const MOST_BYTES = 500;

/** Prints what a real kernel answers to a script, normalised. */
export async function answerScript(file: string, trace: boolean): Promise<number> {
  const name = file === '-' ? 'standard input' : file;
  const script = await readScript(file, name);
  for (const { number, text } of parseOps(script, name).lines)
    if (text.includes('\0')) throw new UsageError(`${name}:${number}: has a zero byte`);
  script.split('\n').forEach((line, index) => {
    if (Buffer.byteLength(line) > MOST_BYTES)
      throw new UsageError(`${name}:${index + 1}: is longer than ${MOST_BYTES} bytes`);
  });
  const guest = await startGuest();
  try {
    const answer = normalise(await guest.run(script, { trace }));
    say(answer.join('\n'));
  } finally {
    await guest.close();
  }
  return 0;
}
