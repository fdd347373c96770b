// SPDX-License-Identifier: MIT
import { firstDifference, modelAnswer } from './compare.js';
import { readGolden } from './golden.js';

/** What differs between the model and a recording, or undefined. `bare` leaves the model's own properties unchecked. */
export function differsFrom(path: string, bare: boolean): { operations: number; difference?: string } {
  const { name, head, script, answer } = readGolden(path);
  const model = modelAnswer(script, name, {
    trace: head.trace === 'notifiers',
    judged: bare ? 'never' : 'step',
  });
  const difference = firstDifference(model, answer);
  return { operations: Number(head.operations), ...(difference === undefined ? {} : { difference }) };
}

/** The replay command. Returns the exit code. */
export function replay(paths: readonly string[]): number {
  let [operations, differing] = [0, 0];
  for (const path of paths) {
    const { operations: here, difference } = differsFrom(path, false);
    operations += here;
    if (difference === undefined) continue;
    differing++;
    process.stdout.write(`${path} differs:\n${difference}\n\n`);
  }
  process.stdout.write(`${operations} operations in ${paths.length} files, ${differing} of them differ\n`);
  return differing === 0 ? 0 : 1;
}
