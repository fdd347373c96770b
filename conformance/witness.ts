// SPDX-License-Identifier: MIT
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shellWord } from '../src/cli/output.js';
import { UsageError } from '../src/core/scenario.js';
import { parseOps } from '../src/litmus/ops-language.js';
import { normalise } from '../src/litmus/ops-observe.js';
import { type Difference, differenceOf, modelAnswer, shown } from './compare.js';
import { type Guest, GuestError, startGuest } from './guest.js';
import { count, progress } from './progress.js';
import type { Asked } from './replay.js';
import { shrink } from './shrink.js';

/** How a script was compared. */
export interface Comparing {
  readonly trace: boolean;
  readonly judged: Asked['judged'];
  /** Names the file that keeps it. */
  readonly seed: number;
}

/** Milliseconds for a part of a script that took less than a second. */
const PATIENCE = 60_000;

/** A guest that is started anew when it has ended: a part of a script may be what a kernel does not live through. */
class Judge {
  private guest: Guest | undefined;
  tries = 0;

  constructor(private readonly comparing: Comparing) {}

  /** How model and kernel differ about a script, if they do; not if there is no answer of the kernel. */
  async ask(lines: readonly string[]): Promise<Difference | undefined> {
    const { trace, judged } = this.comparing;
    progress(`shrinking: ${++this.tries} tries, ${count(lines.length, 'line')}`);
    const text = lines.join('\n');
    try {
      parseOps(text, 'script');
      this.guest ??= await startGuest();
      const real = normalise(await this.guest.run(text, { trace, patience: PATIENCE }));
      return differenceOf(modelAnswer(text, 'script', { trace, judged }, real), real);
    } catch (error) {
      if (error instanceof GuestError) await this.close();
      else if (!(error instanceof UsageError)) throw error;
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.guest?.close();
    this.guest = undefined;
  }
}

/**
 * The fewest lines of a script that are found to differ, how they do, and how to repeat that. Undefined: asked once more,
 * another guest answers as the model does.
 */
export async function witness(
  script: string,
  first: Difference,
  comparing: Comparing,
): Promise<string | undefined> {
  const began = Date.now();
  const judge = new Judge(comparing);
  try {
    if ((await judge.ask(script.trimEnd().split('\n'))) === undefined) return undefined;
    const lines = await shrink(script.trimEnd().split('\n'), async (some) => {
      const found = await judge.ask(some);
      // A wrong answer is not explained by a script that the model does not answer at all.
      return found !== undefined && found.broken === first.broken;
    });
    const difference = (await judge.ask(lines)) ?? first;
    const seconds = ((Date.now() - began) / 1000).toFixed(0);
    const shortest = `${lines.join('\n')}\n`;
    return [
      `shrunk to ${count(lines.length, 'line')} in ${seconds} s, ${judge.tries} tries:`,
      '',
      shortest,
      shown(difference),
      '',
      onceMore(shortest, comparing),
    ].join('\n');
  } finally {
    await judge.close();
  }
}

/** Keeps a script; returns the commands that repeat it. */
export function onceMore(script: string, { seed, trace }: Comparing): string {
  const path = join(tmpdir(), `shootdown-live-${seed}.ops`);
  writeFileSync(path, script);
  const [file, traced] = [shellWord(path), trace ? ' --trace' : ''];
  return `once more:
npm run conformance:record -- --script ${file}${traced}
npx shootdown ops ${file} --normalise${traced}`;
}
