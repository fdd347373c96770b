// SPDX-License-Identifier: MIT
import { relative } from 'node:path';
import { normalise } from '../src/litmus/ops-observe.js';
import { differenceOf, modelAnswer, shown } from './compare.js';
import { generate } from './generate.js';
import { goldenFiles } from './golden.js';
import { type Guest, GuestError, startGuest } from './guest.js';
import { MIX_NAMES, type MixName } from './mixes.js';
import { count, progress, say } from './progress.js';
import { differsAgain } from './record.js';
import { judging } from './replay.js';
import { type Comparing, onceMore, witness } from './witness.js';

export interface LiveOptions {
  readonly seed: number;
  /** Operations altogether. */
  readonly ops: number;
  /** Only this mix; otherwise all in turn. */
  readonly mix?: MixName | undefined;
  readonly trace: boolean;
}

/** Operations of one script. */
const SCRIPT = 500;

/** A committed file, recorded once more: is it the same? */
async function sameAgain(guest: Guest, path: string): Promise<boolean> {
  progress('recording a file once more');
  const name = relative(process.cwd(), path);
  const { difference, notes } = await differsAgain(guest, path, name);
  notes.forEach(say);
  say(
    difference === undefined
      ? `${name}: recorded once more, byte for byte the same`
      : `${name}: recorded once more, it differs\n${difference}`,
  );
  return difference === undefined;
}

/** What came of one script; undefined: model and kernel agree. */
type Outcome = 'unrepeatable' | 'differs' | undefined;

/** Has a script answered by both at once, and explains what differs. */
async function compared(guest: Guest, script: string, name: string, comparing: Comparing): Promise<Outcome> {
  const { trace } = comparing;
  const answering = guest.run(script, { trace });
  answering.catch(() => {}); // it is awaited once the model has answered
  const model = modelAnswer(script, name, comparing);
  let real: string[];
  try {
    real = normalise(await answering);
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    say(`${name} is too much for the real kernel:\n${error.message}\n\n${onceMore(script, comparing)}`);
    return 'differs';
  }
  const difference = differenceOf(model, real);
  if (difference === undefined) return undefined;
  say(`${name} differs:\n${shown(difference)}\n`);
  const explained = await witness(script, difference, comparing);
  say(explained ?? 'Asked once more, another guest answers as the model does: it goes on.');
  return explained === undefined ? 'unrepeatable' : 'differs';
}

/**
 * The live command: records a committed file once more, then compares model and kernel about new scripts; the model
 * answers one while the kernel answers it too. It ends with the first difference.
 */
export async function live({ seed, ops, mix, trace }: LiveOptions): Promise<number> {
  const guest = await startGuest();
  try {
    say(guest.banner);
    const files = goldenFiles();
    const file = files[seed % Math.max(1, files.length)];
    if (file !== undefined && !(await sameAgain(guest, file))) return 1;
    const began = Date.now();
    const judgedAs = judging();
    let [done, unrepeatable] = [0, 0];
    for (let i = 0; done < ops; i++) {
      const name = mix ?? MIX_NAMES[i % MIX_NAMES.length]!;
      const length = Math.min(SCRIPT, ops - done);
      const script = generate({ seed: seed * 1000 + i, ops: length, mix: name, trace });
      progress(`${count(done, 'operation')} of ${ops.toLocaleString('en')}: ${name}`);
      const title = `seed ${seed}: after ${count(done, 'operation')}, script ${i} (${name})`;
      const outcome = await compared(guest, script, title, { trace, judged: judgedAs(name), seed });
      if (outcome === 'differs') return 1;
      if (outcome === 'unrepeatable') unrepeatable++;
      done += length;
    }
    const odd = unrepeatable === 0 ? '' : ` that can be repeated (${unrepeatable} that can't)`;
    const seconds = ((Date.now() - began) / 1000).toFixed(0);
    say(`${count(ops, 'operation')}, no difference${odd}, ${seconds} s`);
    return 0;
  } finally {
    await guest.close();
  }
}
