// SPDX-License-Identifier: MIT
import { cpus } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UsageError } from '../src/core/scenario.js';
import { firstDifference, modelAnswer } from './compare.js';
import type { AnswersOptions } from '../src/cli/ops.js';
import { type Golden, goldenFiles, readGolden } from './golden.js';
import { noProgress, progress } from './progress.js';

/** What the replay of one recorded file came to. */
export interface Replayed {
  readonly file: string;
  readonly operations: number;
  readonly difference: string | undefined;
}

/** Compares the model with what was recorded. */
export function replayOne({ file, judged }: Asked): Replayed {
  const golden = readGolden(file);
  const operations = golden.answer.filter((line) => line.startsWith('> P')).length;
  return { file, operations, difference: differenceIn(golden, judged) };
}

/**
 * The first difference between the model and a recording. `judged`: how often the model's own properties are looked at.
 * `limit`: steps that one operation may take.
 */
export function differenceIn(
  { name, head, script, answer }: Golden,
  judged: AnswersOptions['judged'],
  limit?: number,
): string | undefined {
  const trace = head.trace === 'notifiers';
  const options = { trace, judged, ...(limit === undefined ? {} : { limit }) };
  return firstDifference(modelAnswer(script, `script of ${name}`, options, answer), answer);
}

/** One file in so many is replayed with every invariant after each step, three times as slow as after each operation. */
const JUDGED = 20;
/**
 * Test driver and coherent memory: a hole that a device knows as the zero page is filled with the device's memory a moment
 * before the driver says so to the device, which is a violation of SPTE-COHERENT. See docs/findings.md.
 */
const EXCUSED = ['coherent', 'all'];

/** How often the model's own properties are looked at in one script after the other, by their mixes. */
export function judging(): (mix: string) => Asked['judged'] {
  let judgeable = 0;
  return (mix) => (!EXCUSED.includes(mix) && judgeable++ % JUDGED === 0 ? 'step' : 'operation');
}

/** Files, and how often the model's own properties are looked at in each. */
export function judgedOf(files: readonly string[]): Asked[] {
  const judgedAs = judging();
  return files.map((file) => ({ file, judged: judgedAs(readGolden(file).head.mix) }));
}

/** Replays files, on all CPUs: with `dist`, so that must be up to date. */
export async function replayAll(files: readonly string[], done: (one: Replayed) => void): Promise<void> {
  const all = judgedOf(files);
  let next = 0;
  const oneAfterTheOther = async (): Promise<void> => {
    const worker = new Worker(new URL('replay-worker.mjs', import.meta.url));
    try {
      for (let one = all[next++]; one !== undefined; one = all[next++]) done(await askWorker(worker, one));
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(cpus().slice(0, files.length).map(oneAfterTheOther));
}

/** The replay command. Returns the exit code. */
export async function replay(files: readonly string[] = goldenFiles()): Promise<number> {
  const began = Date.now();
  let [operations, differing, done] = [0, 0, 0];
  await replayAll(files, ({ file, operations: here, difference }) => {
    operations += here;
    progress(`${++done} of ${files.length} files, ${operations} operations`);
    if (difference === undefined) return;
    differing++;
    noProgress();
    process.stdout.write(`${file}: differs\n${difference}\n`);
  });
  noProgress();
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(
    `${operations} operations of ${files.length} files, ${differing} of them differ, ${seconds.toFixed(0)} s\n`,
  );
  return differing === 0 ? 0 : 1;
}

/** What a thread is asked. */
export interface Asked {
  readonly file: string;
  readonly judged: AnswersOptions['judged'];
}

function askWorker(worker: Worker, asked: Asked): Promise<Replayed> {
  return new Promise((resolve, reject) => {
    const done = (answer: Replayed): void => {
      worker.off('error', reject);
      resolve(answer);
    };
    worker.once('message', done);
    // What is wrong with a file is found in the thread; it comes without its class.
    worker.once('error', (error: Error) =>
      reject(error.name === UsageError.name ? new UsageError(error.message, { cause: error }) : error),
    );
    worker.postMessage(asked);
  });
}
