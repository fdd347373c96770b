// SPDX-License-Identifier: MIT
/**
 * Which of the mutants that `npm run mutate` makes does the replay of the recordings notice? Asked are those of all
 * functions of src/linux that the recordings reach. Of those at statements that they execute enough have to be noticed: one
 * at another statement can't be. Both shares are shown.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { describe, kindOf, type Mutant, mutantsOf, nameOf, siteNames } from '../src/cli/mutants.js';
import { siteCount } from '../src/core/live.js';
import type { Ended, PartAsked, Reached, Task } from './mutate-worker.js';
import { type Asked, replaysOf } from './replay.js';

export interface MutateOptions {
  readonly files: readonly string[];
  /** Only mutants whose description contains this. */
  readonly only: string | undefined;
  /** Parts of recordings that a mutant is asked about at most; default: all that reach it. */
  readonly sample: number | undefined;
  /** Keeps what is known: who has noticed a mutant is asked first. */
  readonly results: string | undefined;
  readonly json: boolean;
}

/** What is known of a mutant. */
interface Result {
  /** File and part. */
  readonly by?: string | undefined;
  readonly how: string;
  readonly tried: number;
}

/** What --results keeps. */
interface Kept {
  /** Of what the figures are. */
  build: string;
  reached: Record<string, Reached>;
  readonly mutants: Record<string, Result>;
}

/** Share of the mutants that the replay has to notice. */
const ENOUGH = 0.8;
/** Milliseconds that parts of recordings may take with a mutant: it hangs if it takes more. */
const PATIENCE = 300_000;
/** Parts that are replayed at once, before anybody looks at the clock. */
const AT_ONCE = 50;

const SURVIVORS = fileURLToPath(new URL('survivors.json', import.meta.url));

const say = (text: string): void => void process.stderr.write(text);
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const functionOf = (site: string): string => site.slice(0, site.lastIndexOf(' '));

/** The mutate command. Returns the exit code: 1 if too few mutants are noticed. */
export async function mutate(options: MutateOptions): Promise<number> {
  const pool = new Tinypool({
    filename: fileURLToPath(new URL('mutate-worker.mjs', import.meta.url)),
    maxThreads: availableParallelism(),
  });
  const run = <T>(task: Task): Promise<T> =>
    pool.run(task, { signal: AbortSignal.timeout(PATIENCE) }) as Promise<T>;
  const kept = keptIn(options);
  const keep = (): void => {
    if (options.results !== undefined) writeFileSync(options.results, `${JSON.stringify(kept)}\n`);
  };
  const recordings = replaysOf(options.files);
  await eachAtOnce(recordings, async (asked) => {
    kept.reached[nameOfReplay(asked)] ??= await run<Reached>({ kind: 'cover', asked });
    say('.');
  });
  keep();

  /** By site: the parts that reach it, and how often. */
  const reaching = new Map<string, { readonly part: PartAsked; readonly count: number }[]>();
  for (const asked of recordings) {
    const { names, parts } = kept.reached[nameOfReplay(asked)]!;
    for (const { first, last, sites } of parts)
      for (const [place, count] of sites) {
        const known = reaching.get(names[place]!) ?? [];
        known.push({ part: { ...asked, first, last }, count });
        reaching.set(names[place]!, known);
      }
  }
  const functions = new Set([...reaching.keys()].map(functionOf));
  const names = siteNames();
  const mutants = Array.from({ length: siteCount() }, (_, number) => number)
    .filter((number) => functions.has(functionOf(names[number]!)))
    .flatMap(mutantsOf)
    .filter((mutant) => options.only === undefined || describe(mutant).includes(options.only));
  say(`\n${mutants.length} mutants\n`);
  let [done, saved] = [0, Date.now()];
  await eachAtOnce(mutants, async (mutant) => {
    const name = nameOf(mutant);
    kept.mutants[name] = await settle(mutant, kept.mutants[name]?.by);
    if (++done % 25 === 0) say(`${done}/${mutants.length}\n`);
    if (Date.now() - saved < 10_000) return;
    saved = Date.now();
    keep();
  });
  keep();
  await pool.destroy();
  return report(mutants, kept.mutants, ({ site }) => reaching.has(names[site]!), options.json);

  /** Asks the parts that reach a mutant, some of them at a time; `hint`: the one that has noticed it before. */
  async function settle(mutant: Mutant, hint: string | undefined): Promise<Result> {
    const parts = inTurn(reaching.get(names[mutant.site]!) ?? [])
      .sort((x, y) => Number(nameOfPart(y) === hint) - Number(nameOfPart(x) === hint))
      .slice(0, options.sample);
    for (let at = 0; at < parts.length;) {
      const asked = parts.slice(at, at + (at === 0 ? 1 : AT_ONCE));
      let ended: Ended;
      try {
        ended = await run<Ended>({ kind: 'mutant', mutant: nameOf(mutant), asked });
      } catch (error) {
        if ((error as Error).name !== 'AbortError') throw error;
        ended = { by: 0, how: 'hangs' };
      }
      if (ended.by >= 0)
        return { by: nameOfPart(asked[ended.by]!), how: ended.how, tried: at + ended.by + 1 };
      at += asked.length;
    }
    return { how: '', tried: parts.length };
  }
}

/** Of each recording the part that reaches a site most often, then of each the next one, and so on. */
function inTurn(parts: readonly { readonly part: PartAsked; readonly count: number }[]): PartAsked[] {
  const turns = new Map<string, number>();
  return [...parts]
    .sort((x, y) => lengthOf(x.part) - lengthOf(y.part) || y.count - x.count)
    .map(({ part }) => {
      const replay = nameOfReplay(part);
      const turn = turns.get(replay) ?? 0;
      turns.set(replay, turn + 1);
      return { part, turn };
    })
    .sort((x, y) => x.turn - y.turn)
    .map(({ part }) => part);
}

const lengthOf = ({ first, last }: PartAsked): number => last - first;
const nameOfReplay = ({ file, retries }: Asked): string =>
  `${basename(file, '.gz')}${retries ? ' with retries' : ''}`;
const nameOfPart = (part: PartAsked): string => `${nameOfReplay(part)}, part ${part.last + 1}`;

/** What is known from before; of another build only who has noticed what. */
function keptIn({ results, files }: MutateOptions): Kept {
  const hash = createHash('sha1');
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }).sort())
    if (file.endsWith('.js')) hash.update(readFileSync(join(dist, file)));
  for (const file of files) hash.update(file).update(readFileSync(file));
  const build = hash.digest('hex');
  const kept: Kept =
    results === undefined || !existsSync(results)
      ? { build, reached: {}, mutants: {} }
      : (JSON.parse(readFileSync(results, 'utf8')) as Kept);
  return kept.build === build ? kept : { build, reached: {}, mutants: kept.mutants };
}

/** Does something for each, as many at a time as there are CPUs. */
async function eachAtOnce<T>(list: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < list.length) await each(list[next++]!);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
}

/** By why they are not noticed: names of mutants. */
function reasons(): Map<string, string> {
  const families = JSON.parse(readFileSync(SURVIVORS, 'utf8')) as Record<string, string[]>;
  return new Map(Object.entries(families).flatMap(([reason, list]) => list.map((name) => [name, reason])));
}

interface Reported extends Result {
  readonly name: string;
  readonly mutant: string;
  readonly kind: string;
  /** Whether a recording executes the statement. */
  readonly executed: boolean;
  readonly reason: string | undefined;
}

function report(
  mutants: readonly Mutant[],
  results: Readonly<Record<string, Result>>,
  isReached: (mutant: Mutant) => boolean,
  json: boolean,
): number {
  const known = reasons();
  const list = mutants.map((mutant): Reported => {
    const name = nameOf(mutant);
    return {
      name,
      mutant: describe(mutant),
      kind: kindOf(mutant),
      executed: isReached(mutant),
      reason: known.get(name),
      ...results[name]!,
    };
  });
  const executed = list.filter((one) => one.executed);
  const share = shareOf(executed);
  if (json) process.stdout.write(`${JSON.stringify({ share, shareOfAll: shareOf(list), list }, null, 2)}\n`);
  else {
    for (const { by, mutant, name, tried, reason, executed: runs } of list) {
      if (by === undefined)
        process.stdout.write(
          `${runs ? `survives ${tried}` : 'not executed'}: ${mutant}\n  ${reason ?? (runs ? `no reason in conformance/survivors.json for "${name}"` : name)}\n`,
        );
      if (by !== undefined && reason !== undefined)
        process.stdout.write(`noticed by ${by}: conformance/survivors.json has a reason for "${name}"\n`);
    }
    for (const kind of [...new Set(list.map((one) => one.kind))].sort())
      process.stdout.write(`${kind.padEnd(28)}${figures(list.filter((one) => one.kind === kind))}\n`);
    process.stdout.write(`${'all'.padEnd(28)}${figures(list)}\n`);
  }
  return share >= ENOUGH ? 0 : 1;
}

const noticed = (list: readonly Reported[]): number => list.filter(({ by }) => by !== undefined).length;
const shareOf = (list: readonly Reported[]): number => (list.length === 0 ? 1 : noticed(list) / list.length);

function figures(list: readonly Reported[]): string {
  const executed = list.filter((one) => one.executed);
  const unexplained = executed.filter(({ by, reason }) => by === undefined && reason === undefined).length;
  return (
    `${noticed(list)} of ${executed.length} that are executed (${percent(shareOf(executed))}), ` +
    `of ${list.length} in their functions (${percent(shareOf(list))}); ${unexplained} without a reason`
  );
}
