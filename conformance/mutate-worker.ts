// SPDX-License-Identifier: MIT
/** What one thread does: it replays recordings, with a mutant in place or to see what they reach. */
import { live, siteCount } from '../src/core/live.js';
import { type Mutant, mutantsOf, mutated, nameOf, siteNames } from '../src/cli/mutants.js';
import { countParts, type Golden, partsOf, readGolden } from './golden.js';
import { type Asked, differenceIn } from './replay.js';

/**
 * A part of a recording, and how the replay judges it. What a pin or a device reads is put into a buffer that outlives a
 * reset, so it may take the parts before it as well to answer as recorded.
 */
export interface PartAsked extends Asked {
  /** From 0. */
  readonly first: number;
  readonly last: number;
}

/** cover: what each part reaches. mutant: the parts in this order, until one fails. */
export type Task =
  | { readonly kind: 'cover'; readonly asked: Asked }
  | { readonly kind: 'mutant'; readonly mutant: string; readonly asked: readonly PartAsked[] };

/** Names of sites, and by part of a recording those that it reaches, by their place in that list, and how often. */
export interface Reached {
  readonly names: readonly string[];
  readonly parts: readonly {
    readonly first: number;
    readonly last: number;
    readonly sites: readonly (readonly [name: number, count: number])[];
  }[];
}

/** How a mutant ended: the number of the part that failed, -1 if none did, and how. */
export interface Ended {
  readonly by: number;
  readonly how: string;
}

/** What a buffer holds was mostly put there by one of so many parts before: one that needs more is left out. */
const BEFORE = 3;
/** Steps of one path: many times what any operation takes. */
const LIMIT = 20_000;

const recordings = new Map<string, Golden>();
const parts = new Map<string, Golden>();

function recording(file: string): Golden {
  const known = recordings.get(file) ?? readGolden(file);
  recordings.set(file, known);
  return known;
}

function partOf(file: string, first: number, last: number): Golden {
  const key = `${file} ${first} ${last}`;
  const known = parts.get(key) ?? partsOf(recording(file), first, last);
  parts.set(key, known);
  return known;
}

let mutants: Map<string, Mutant> | undefined;

function mutantNamed(name: string): Mutant {
  mutants ??= new Map(
    Array.from({ length: siteCount() }, (_, number) => mutantsOf(number))
      .flat()
      .map((mutant) => [nameOf(mutant), mutant]),
  );
  return mutants.get(name)!;
}

function cover(asked: Asked): Reached {
  const { file } = asked;
  const { enter } = live;
  const names: string[] = [];
  const places = new Map<number, number>();
  let counts = new Map<number, number>();
  live.enter = (at, locals) => {
    counts.set(at, (counts.get(at) ?? 0) + 1);
    return enter(at, locals);
  };
  const placeOf = (site: number): number => {
    const known = places.get(site) ?? names.push(siteNames()[site]!) - 1;
    places.set(site, known);
    return known;
  };
  try {
    const reached = Array.from({ length: countParts(recording(file)) }, (_, last) => {
      for (let first = last; first >= Math.max(0, last - BEFORE); first--) {
        counts = new Map();
        if (differenceIn(partOf(file, first, last), asked, LIMIT) !== undefined) continue;
        return [{ first, last, sites: [...counts].map(([site, count]) => [placeOf(site), count] as const) }];
      }
      return [];
    }).flat();
    if (reached.length === 0) throw new Error(`${file} differs even without a mutant`);
    return { names, parts: reached };
  } finally {
    live.enter = enter;
  }
}

function kill(name: string, asked: readonly PartAsked[]): Ended {
  const mutant = mutantNamed(name);
  for (const [by, part] of asked.entries()) {
    const { file, first, last } = part;
    try {
      const difference = mutated(mutant, () => differenceIn(partOf(file, first, last), part, LIMIT));
      if (difference !== undefined) return { by, how: summary(difference) };
    } catch (error) {
      return { by, how: `error: ${(error as Error).message}` };
    }
  }
  return { by: -1, how: '' };
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
