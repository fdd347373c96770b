// SPDX-License-Identifier: MIT
import { cpus } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UsageError } from '../src/core/scenario.js';
import { firstDifference, modelAnswer } from './compare.js';
import type { AnswersOptions } from '../src/cli/ops.js';
import { type Golden, goldenFiles, readGolden } from './golden.js';
import { noProgress, progress } from './progress.js';
import { withRetries } from './retries.js';

/** What the replay of one recorded file came to. */
export interface Replayed {
  readonly asked: Asked;
  readonly operations: number;
  readonly difference: string | undefined;
}

/** Compares the model with what was recorded. */
export function replayOne(asked: Asked): Replayed {
  const golden = readGolden(asked.file);
  const operations = golden.answer.filter((line) => line.startsWith('> P')).length;
  return { asked, operations, difference: differenceIn(golden, asked) };
}

/**
 * The first difference between the model and a recording. `judged`: how often the model's own properties are looked at.
 * `limit`: steps that one operation may take.
 */
export function differenceIn(
  { name, head, script, answer }: Golden,
  { judged, retries }: Omit<Asked, 'file'>,
  limit?: number,
): string | undefined {
  const trace = head.trace === 'notifiers';
  const options = { trace, judged, ...(limit === undefined ? {} : { limit }) };
  const shown = `script of ${name}`;
  if (!retries) return firstDifference(modelAnswer(script, shown, options, answer), answer);
  const model = withRetries((begins) => modelAnswer(script, shown, options, undefined, begins));
  return firstDifference(withoutFlags(model), withoutFlags(answer));
}

/** Without page flags: who tries again allocates again, and fills the batches that flags wait in. */
const withoutFlags = (lines: readonly string[]): string[] =>
  lines.map((line) => (line.startsWith('>') ? line : line.replaceAll(/(,m\d+),[A-Z]*/g, '$1')));

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

/** One file in so many is replayed once more, with retries. Not a traced one: who tries again says so to notifiers again. */
const RETRIED = 4;

/** How each file is replayed. */
export function replaysOf(files: readonly string[]): Asked[] {
  const judgedAs = judging();
  let untraced = 0;
  return files.flatMap((file): Asked[] => {
    const { mix, trace } = readGolden(file).head;
    const once: Asked = { file, judged: judgedAs(mix), retries: false };
    if (trace !== 'none' || untraced++ % RETRIED !== 0) return [once];
    return [once, { file, judged: 'operation', retries: true }];
  });
}

/** Replays files, on all CPUs: with `dist`, so that must be up to date. */
export async function replayAll(files: readonly string[], done: (one: Replayed) => void): Promise<void> {
  const all = replaysOf(files);
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
  let [operations, again, differing, done] = [0, 0, 0, 0];
  await replayAll(files, ({ asked: { file, retries }, operations: here, difference }) => {
    if (retries) again += here;
    else operations += here;
    progress(`${++done} replays of ${files.length} files, ${operations + again} operations`);
    if (difference === undefined) return;
    differing++;
    noProgress();
    process.stdout.write(`${file}: differs${retries ? ', with retries' : ''}\n${difference}\n`);
  });
  noProgress();
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(
    `${operations} operations of ${files.length} files, ${again} of them once more with retries; ` +
      `${differing} replays differ, ${seconds.toFixed(0)} s\n`,
  );
  return differing === 0 ? 0 : 1;
}

/** What a thread is asked. */
export interface Asked {
  readonly file: string;
  readonly judged: AnswersOptions['judged'];
  /** Optimistic checks fail once in each operation: see retries.ts. */
  readonly retries: boolean;
}

function askWorker(worker: Worker, asked: Asked): Promise<Replayed> {
  return new Promise((resolve, reject) => {
    // What is wrong with a file is found in the thread; it comes without its class.
    const failed = (error: Error): void =>
      reject(error.name === UsageError.name ? new UsageError(error.message, { cause: error }) : error);
    worker.once('error', failed);
    worker.once('message', (answer: Replayed) => {
      worker.off('error', failed);
      resolve(answer);
    });
    worker.postMessage(asked);
  });
}
