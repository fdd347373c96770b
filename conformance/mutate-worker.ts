// SPDX-License-Identifier: MIT
/** What one thread does: it replays recordings, with a mutant in place or to see what they reach. */
import { live, siteCount } from '../src/core/live.js';
import { type Mutant, mutantsOf, mutated, nameOf, siteNames } from '../src/cli/mutants.js';
import { type Asked, replayOne } from './replay.js';

export type Task =
  | { readonly kind: 'cover'; readonly asked: Asked }
  | { readonly kind: 'mutant'; readonly mutant: string; readonly asked: readonly Asked[] };

/** By site that a recording reaches: how often, and how many requests were made before it. */
export type Reached = Record<string, readonly [count: number, first: number]>;

/** How a mutant ended: the recording that failed, if one did, and how. */
export interface Ended {
  readonly by: string | undefined;
  readonly how: string;
}

/** Steps of one path: a hundred times what any operation takes. */
const LIMIT = 100_000;

let mutants: Map<string, Mutant> | undefined;

function mutantNamed(name: string): Mutant {
  mutants ??= new Map(
    Array.from({ length: siteCount() }, (_, number) => mutantsOf(number))
      .flat()
      .map((mutant) => [nameOf(mutant), mutant]),
  );
  return mutants.get(name)!;
}

function cover({ file, judged }: Asked): Reached {
  const counts = new Uint32Array(siteCount());
  const first = new Uint32Array(siteCount());
  let entered = 0;
  const { enter } = live;
  live.enter = (at, locals) => {
    entered++;
    if (counts[at]!++ === 0) first[at] = entered;
    return enter(at, locals);
  };
  try {
    const { difference } = replayOne(file, judged);
    if (difference !== undefined) throw new Error(`${file} differs even without a mutant:\n${difference}`);
  } finally {
    live.enter = enter;
  }
  const names = siteNames();
  const reached: Record<string, [number, number]> = {};
  for (const [number, count] of counts.entries())
    if (count > 0) reached[names[number]!] = [count, first[number]!];
  return reached;
}

function kill(name: string, asked: readonly Asked[]): Ended {
  const mutant = mutantNamed(name);
  for (const { file, judged } of asked) {
    try {
      const { difference } = mutated(mutant, () => replayOne(file, judged, LIMIT));
      if (difference !== undefined) return { by: file, how: summary(difference) };
    } catch (error) {
      return { by: file, how: `error: ${(error as Error).message}` };
    }
  }
  return { by: undefined, how: '' };
}

/** What the model says instead, in one line. */
function summary(difference: string): string {
  const broken = /^the model is broken: (.*)/m.exec(difference);
  if (broken !== null) return broken[1]!;
  const [, real = '', model = ''] = /the real kernel:\n(.*)\nthe model:\n(.*)/s.exec(difference) ?? [];
  const [want, got] = [real, model].map((text) => text.split('\n'));
  const at = want!.findIndex((line, i) => line !== got![i]);
  return `answers ${got![at]?.trim() ?? 'nothing'}, not ${want![at]?.trim() ?? 'nothing'}`;
}

export function work(task: Task): Reached | Ended {
  return task.kind === 'cover' ? cover(task.asked) : kill(task.mutant, task.asked);
}
