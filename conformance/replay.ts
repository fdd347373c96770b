// SPDX-License-Identifier: MIT
import { cpus } from 'node:os';
import { Worker } from 'node:worker_threads';
import { firstDifference, modelAnswer } from './compare.js';
import type { AnswersOptions } from '../src/cli/ops.js';
import { goldenFiles, readGolden } from './golden.js';

/** What the replay of one recorded file came to. */
export interface Replayed {
  readonly file: string;
  readonly operations: number;
  readonly difference: string | undefined;
}

/** Compares the model with what was recorded. `judged`: how often the model's own properties are looked at. */
export function replayOne(path: string, judged: AnswersOptions['judged']): Replayed {
  const { script, answer, head, name } = readGolden(path);
  const model = modelAnswer(script, name, { trace: head.trace === 'notifiers', judged });
  const operations = answer.filter((line) => line.startsWith('> P')).length;
  return { file: path, operations, difference: firstDifference(model, answer) };
}

/** The replay command: all files, on all CPUs. Returns the exit code. */
export async function replay(files: readonly string[] = goldenFiles()): Promise<number> {
  const began = Date.now();
  const left = [...files];
  let [operations, differing] = [0, 0];
  const oneAfterTheOther = async (): Promise<void> => {
    const worker = new Worker(new URL('replay-worker.mjs', import.meta.url));
    try {
      for (let file = left.shift(); file !== undefined; file = left.shift()) {
        const done = await askWorker(worker, file);
        operations += done.operations;
        if (done.difference === undefined) continue;
        differing++;
        process.stdout.write(`${file}: differs\n${done.difference}\n`);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(cpus().slice(0, files.length).map(oneAfterTheOther));
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(
    `${operations} operations of ${files.length} files, ${differing} of them differ, ${seconds.toFixed(0)} s\n`,
  );
  return differing === 0 ? 0 : 1;
}

function askWorker(worker: Worker, file: string): Promise<Replayed> {
  return new Promise((resolve, reject) => {
    const done = (answer: Replayed): void => {
      worker.off('error', failed);
      resolve(answer);
    };
    const failed = (error: Error): void => {
      worker.off('message', done);
      reject(error);
    };
    worker.once('message', done);
    worker.once('error', failed);
    worker.postMessage(file);
  });
}
