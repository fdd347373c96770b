// SPDX-License-Identifier: MIT
import { existsSync } from 'node:fs';
import { type Scenario, UsageError } from '../core/scenario.js';
import { SCENARIOS } from '../scenarios/index.js';
import { bundleUserFile } from './bundle.js';
import { nearest } from './near.js';
import { looksLikeFile } from './paths.js';
import { loadUserFile, type UserFile } from './user-file.js';

/** A scenario, and where it comes from. */
export interface Entry {
  readonly scenario: Scenario;
  /** Absent: built in. */
  readonly user?: UserFile;
}

/** How the command line names the entry again. */
export function nameOf({ scenario, user }: Entry): string {
  if (user === undefined) return scenario.id;
  return `${user.name}#${scenario.id}`;
}

/** The entries that `arguments_` (ids and files; none: all built-in ones) and a family name. Throws a UsageError. */
export async function select(arguments_: readonly string[], family?: string): Promise<Entry[]> {
  checkIds(SCENARIOS.map((scenario) => ({ scenario })));
  const entries: Entry[] = [];
  if (arguments_.length === 0) entries.push(...SCENARIOS.map((scenario) => ({ scenario })));
  for (const argument of arguments_) entries.push(...(await named(argument)));
  const unique = entries.filter(
    ({ scenario }, i) => entries.findIndex((entry) => entry.scenario === scenario) === i,
  );
  checkIds(unique);
  if (family === undefined) return unique;
  const ofFamily = unique.filter(({ scenario }) => scenario.family === family);
  if (ofFamily.length === 0) {
    const families = [...new Set(unique.map(({ scenario }) => scenario.family))];
    throw new UsageError(`no family ${family}; there is ${families.join(', ')}`);
  }
  return ofFamily;
}

/** The entries of one argument: `ID`, `FILE` or `FILE#ID`. */
async function named(argument: string): Promise<Entry[]> {
  const builtIn = findId(SCENARIOS, argument);
  if (builtIn !== undefined) return [{ scenario: builtIn }];
  if (!looksLikeFile(argument) && !existsSync(argument)) {
    const near = nearest(
      argument,
      SCENARIOS.map(({ id }) => id),
    );
    throw new UsageError(
      `no scenario ${argument}; ${near.length > 0 ? `near it: ${near.join(', ')}` : 'shootdown list shows all'}`,
    );
  }
  const hash = existsSync(argument) ? -1 : argument.lastIndexOf('#');
  const file = hash < 0 ? argument : argument.slice(0, hash);
  const user = await bundleUserFile(file);
  const scenarios = await loadUserFile(user);
  if (hash < 0) return scenarios.map((scenario) => ({ scenario, user }));
  const id = argument.slice(hash + 1);
  const scenario = findId(scenarios, id);
  if (scenario === undefined)
    throw new UsageError(`${file}: no scenario ${id}; it has ${scenarios.map((one) => one.id).join(', ')}`);
  return [{ scenario, user }];
}

/** The one entry of an argument. */
export async function selectOne(argument: string): Promise<Entry> {
  const entries = await named(argument);
  checkIds(entries);
  const [entry, second] = entries;
  if (entry === undefined || second !== undefined)
    throw new UsageError(`${argument}: has several scenarios; say which: ${entries.map(nameOf).join(', ')}`);
  return entry;
}

function findId(scenarios: readonly Scenario[], id: string): Scenario | undefined {
  return (
    scenarios.find((scenario) => scenario.id === id) ??
    scenarios.find((scenario) => scenario.id.toLowerCase() === id.toLowerCase())
  );
}

function checkIds(entries: readonly Entry[]): void {
  const seen = new Map<string, Entry>();
  for (const entry of entries) {
    const { id } = entry.scenario;
    const other = seen.get(id);
    if (other !== undefined) {
      const where = [other, entry].map(({ user }) => user?.name ?? 'the built-in scenarios');
      throw new UsageError(`two scenarios have the id ${id}: in ${[...new Set(where)].join(' and in ')}`);
    }
    seen.set(id, entry);
  }
}
