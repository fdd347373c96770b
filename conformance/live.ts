// SPDX-License-Identifier: MIT
import { differ, firstDifference, modelAnswer } from './compare.js';
import { generate } from './generate.js';
import { MIX_NAMES, type MixName } from './mixes.js';
import { goldenFiles } from './golden.js';
import { type Guest, startGuest } from './guest.js';
import { differsAgain } from './record.js';
import { normalise } from '../src/litmus/ops-observe.js';
import { shrink } from './shrink.js';

export interface LiveOptions {
  readonly seed: number;
  /** Operations altogether. */
  readonly ops: number;
  /** Only this mix; otherwise all in turn. */
  readonly mix?: MixName | undefined;
  readonly trace: boolean;
}

/** Operations of one script. */
const SCRIPT = 1000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** What differs about one script: the shortest script that was found, with both answers. */
async function witness(guest: Guest, script: string, trace: boolean): Promise<string> {
  const real = async (text: string): Promise<string[]> => normalise(await guest.run(text, { trace }));
  const lines = script.split('\n').filter((line) => line !== '');
  const few = await shrink(lines, async (kept) => {
    const text = kept.join('\n');
    return differ(text, await real(text), trace);
  });
  const text = few.join('\n');
  return [
    ...few,
    '',
    firstDifference(modelAnswer(text, 'script', { trace }), await real(text)) ?? 'and then nothing differs',
  ].join('\n');
}

/**
 * The live command: records a committed file once more, then compares model and kernel about new scripts; the model
 * answers one while the kernel answers it too.
 */
export async function live({ seed, ops, mix, trace }: LiveOptions): Promise<number> {
  const guest = await startGuest();
  try {
    say(guest.banner);
    const files = goldenFiles();
    const file = files[seed % Math.max(1, files.length)];
    if (file !== undefined) {
      const { difference, notes } = await differsAgain(guest, file);
      notes.forEach(say);
      if (difference !== undefined) {
        say(`${file}: recorded once more, it differs\n${difference}`);
        return 1;
      }
      say(`${file}: recorded once more, byte for byte the same`);
    }
    const began = Date.now();
    for (let done = 0, i = 0; done < ops; i++) {
      const length = Math.min(SCRIPT, ops - done);
      const script = generate({
        seed: seed * 1000 + i,
        ops: length,
        mix: mix ?? MIX_NAMES[i % MIX_NAMES.length]!,
        trace,
      });
      const answering = guest.run(script, { trace });
      answering.catch(() => {}); // it is awaited once the model has answered
      const model = modelAnswer(script, `seed ${seed}, script ${i}`, { trace });
      const difference = firstDifference(model, normalise(await answering));
      if (difference !== undefined) {
        say(
          `seed ${seed}: after ${done} operations without a difference, one in script ${i}:\n${difference}\n\nshrunk:`,
        );
        say(await witness(guest, script, trace));
        return 1;
      }
      done += length;
    }
    say(`${ops} operations, no difference, ${((Date.now() - began) / 1000).toFixed(0)} s`);
    return 0;
  } finally {
    await guest.close();
  }
}
