// SPDX-License-Identifier: MIT
/**
 * `npm run mutate -- --family F`: deletes, one at a time, each lock, flush, recheck, get, put, barrier and call of a
 * notifier in the src/linux files that the family runs, and says which deletions change no verdict, nor an answer that was
 * recorded of a real kernel. Survivors need a reason in docs/survivors.json; one that says `Noticed by SCENARIO VARIANT`,
 * of another family, is tried.
 *
 *   --only TEXT     only mutants whose description contains the text: a file, a function, a callee
 *   --workers N     default: one for each CPU
 *   --results FILE  keeps what is known: a mutant of a file that has not changed is run only against new variants
 *   --elsewhere     asks the variants of other families about what survives, for such reasons
 *   --json          everything, for programs
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Tinypool } from 'tinypool';
import { site } from '../core/live.js';
import { SCENARIOS } from '../scenarios/index.js';
import type { Covered, Ended, Replayed, Run, Task } from './mutate-worker.js';
import { describe, type Mutant, mutantsOf, nameOf } from './mutants.js';

/** Variants with more states than this are asked only about sites that few smaller ones run. */
const LARGE = 20_000;
const FEW = 6;
/** A mutant may have so many times the states of the variant, and no fewer than the least. */
const GROWTH = 3;
const LEAST = 10_000;
/** Variants that are asked before the recorded answers, and states that may be spent on the others. */
const FIRST = 12;
const BUDGET = 300_000;
/** The same for other families. */
const ELSEWHERE = 100_000;
/** States of the variants in which livelocks are looked for as well. */
const CHEAP = 5_000;
/** A mutant that docs/survivors.json explains is asked about only by so many variants. */
const EXPLAINED = 30;

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..', '..');
const survivorsFile = join(root, 'docs', 'survivors.json');
const say = (text: string): void => void process.stderr.write(text);
const { values } = parseArgs({
  options: {
    family: { type: 'string' },
    workers: { type: 'string' },
    only: { type: 'string' },
    results: { type: 'string' },
    elsewhere: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});

interface Asked {
  readonly name: string;
  readonly scenario: string;
  /** Of the family, not of another one. */
  readonly own: boolean;
  readonly variant: number;
  readonly safe: boolean;
  readonly covered: Covered;
}

/** What is known of a mutant. */
interface Result {
  readonly digest: string;
  readonly by?: string;
  readonly verdict?: string;
  /** The variants that did not notice, or were too many for the budget. */
  readonly tried: readonly string[];
}

/** What --results keeps. */
interface Kept {
  readonly build?: string;
  readonly coverage: Record<string, Covered>;
  readonly mutants: Record<string, Result>;
}

/** Among the variants that did not notice: the recorded answers. */
const GOLDEN = 'recorded';
/** The variant that a reason names as the one that notices; empty if it gives another reason. */
const noticedBy = (reason: string): string => /^Noticed by (\S+ \S+?)[.:]?(?= |$)/.exec(reason)?.[1] ?? '';
/** Whether what notices is a part of a recorded script. */
const isGolden = (name: string): boolean => /^(core|device)-\d+, part /.test(name);

const digestOf = (...files: readonly string[]): string =>
  files.reduce((hash, file) => hash.update(readFileSync(file)), createHash('sha1')).digest('hex');
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

function readJson<T>(file: string): Record<string, T> {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, T>) : {};
}

async function main(): Promise<number> {
  const scenarios = SCENARIOS.filter(({ family }) => values.family === undefined || family === values.family);
  if (scenarios.length === 0) {
    const families = [...new Set(SCENARIOS.map(({ family }) => family))].join(', ');
    say(`no family ${values.family}; there is ${families}\n`);
    return 2;
  }
  const pool = new Tinypool({
    filename: join(here, 'mutate-worker.js'),
    maxThreads: Number(values.workers ?? availableParallelism()),
  });
  const run = <T>(task: Task): Promise<T> => pool.run(task) as Promise<T>;

  const reasons = readJson<string>(survivorsFile);
  const named = new Set(Object.values(reasons).map(noticedBy));
  const variants = SCENARIOS.flatMap((scenario) =>
    scenario.variants.flatMap(({ name: variantName, expect }, variant) => {
      const name = `${scenario.id} ${variantName}`;
      const own = scenarios.includes(scenario);
      const asked = expect !== undefined && (own || named.has(name) || values.elsewhere === true);
      return asked ? [{ scenario, variant, name, own, expect }] : [];
    }),
  );
  const kept: Kept =
    values.results === undefined || !existsSync(values.results)
      ? { coverage: {}, mutants: {} }
      : (JSON.parse(readFileSync(values.results, 'utf8')) as Kept);
  const { mutants: results } = kept;
  const build = digestOf(...filesIn(join(root, 'src')));
  const coverage = kept.build === build ? kept.coverage : {};
  function keep(): void {
    if (values.results !== undefined)
      writeFileSync(values.results, `${JSON.stringify({ build, coverage, mutants: results })}\n`);
  }
  say(`${variants.filter(({ own }) => own).length} variants: which sites do they run?\n`);
  const variantsAsked = await Promise.all(
    variants.map(async ({ scenario, variant, name, own, expect }): Promise<Asked> => {
      const covered =
        coverage[name] ??
        (await run<Covered>({ kind: 'cover', run: { scenario: scenario.id, variant, maxStates: LARGE } }));
      if (!covered.asDeclared) say(`${name}: not as declared even without a mutant\n`);
      coverage[name] = covered;
      return { name, scenario: scenario.id, own, variant, safe: expect.verdict === 'safe', covered };
    }),
  );
  keep();
  const usable = variantsAsked.filter(({ covered }) => covered.asDeclared);
  // What only variants run that declare a violation is no part of a protocol that holds.
  const sites = [
    ...new Set(usable.filter(({ own, safe }) => own && safe).flatMap(({ covered }) => covered.sites)),
  ].sort((x, y) => x - y);
  const mutants = sites
    .flatMap(mutantsOf)
    .filter((mutant) => values.only === undefined || describe(mutant).includes(values.only));
  say(`${mutants.length} mutants\n`);

  const kills = new Map<string, number>();
  const killersOf = new Map<string, string[]>();
  let done = 0;
  let saved = Date.now();

  /** Variants in the order in which they are asked: those that noticed neighbours, then by cost. */
  function order(mutant: Mutant, tried: ReadonlySet<string>, ofFamily: boolean): Asked[] {
    const reaching = usable.filter(
      ({ own, covered }) => own === ofFamily && covered.sites.includes(mutant.site),
    );
    const small = reaching.filter(({ covered }) => covered.states <= LARGE);
    // A variant that declares a violation seldom notices: for a site that few others run, large ones are asked as well.
    const large = reaching
      .filter(({ safe, covered }) => safe && covered.states > LARGE)
      .slice(0, Math.max(0, FEW - small.filter(({ safe }) => safe).length));
    const { file, fn } = site(mutant.site);
    const near = killersOf.get(`${file} ${fn}`) ?? [];
    // The cheapest of each scenario first: what its other variants notice is often the same.
    const ranks = new Map<string, number>();
    const cost = ({ name, scenario, safe, covered }: Asked): number => {
      const rank = (ranks.get(scenario) ?? 0) + 1;
      ranks.set(scenario, rank);
      return near.includes(name)
        ? near.indexOf(name) - 1000
        : ((covered.states + 500) * (safe ? 1 : 3) * rank) / (1 + (kills.get(name) ?? 0));
    };
    return [...small.sort((x, y) => x.covered.states - y.covered.states), ...large]
      .filter(({ name }) => !tried.has(name))
      .map((each) => ({ each, cost: cost(each) }))
      .sort((x, y) => x.cost - y.cost)
      .map(({ each }) => each);
  }

  async function settle(mutant: Mutant): Promise<void> {
    const name = nameOf(mutant);
    const { file, fn } = site(mutant.site);
    const digest = digestOf(join(root, file));
    const known = results[name]?.digest === digest ? results[name] : undefined;
    if (known?.by !== undefined && (isGolden(known.by) || usable.some((each) => each.name === known.by)))
      return;
    const place = `${file} ${fn}`;
    const killedBy = (killer: string): void => {
      kills.set(killer, (kills.get(killer) ?? 0) + 1);
      killersOf.set(place, [killer, ...(killersOf.get(place) ?? []).filter((each) => each !== killer)]);
    };
    const hint = results[name]?.by;
    if (hint !== undefined) killedBy(hint);
    const tried = new Set(kept.build === build ? known?.tried : []);
    let budget = BUDGET;
    const ask = async (list: readonly Asked[], livelock: boolean): Promise<boolean> => {
      if (list.length === 0 || budget <= 0) return false;
      const runs = list.map(({ scenario, variant, covered }): Run => ({
        scenario,
        variant,
        maxStates: Math.max(LEAST, covered.states * (covered.states > LARGE ? 10 : GROWTH)),
      }));
      const { by, verdict, asked, spent } = await run<Ended>({
        kind: 'mutant',
        mutant,
        runs,
        livelock,
        budget,
      });
      budget -= spent;
      for (const each of by < 0 ? list : list.slice(0, asked)) tried.add(each.name);
      if (by < 0) return false;
      const killer = list[by]!.name;
      killedBy(killer);
      results[name] = { digest, by: killer, verdict, tried: [] };
      return true;
    };
    const expected = noticedBy(reasons[name] ?? '');
    // The one that a reason names comes first.
    const list = order(mutant, tried, true).sort(
      (x, y) => Number(y.name === expected) - Number(x.name === expected),
    );
    if (await ask(list.slice(0, FIRST), false)) return;
    if (!tried.has(GOLDEN)) {
      const { by, verdict, reaching } = await run<Replayed>({ kind: 'golden', mutant });
      if (by !== undefined) {
        results[name] = { digest, by, verdict, tried: [...tried] };
        return;
      }
      if (reaching > 0) tried.add(GOLDEN);
    }
    if (await ask(list.slice(FIRST, reasons[name] === undefined ? undefined : EXPLAINED), false)) return;
    const cheap = list.filter(({ safe, covered }) => safe && covered.states <= CHEAP).slice(0, 8);
    if (reasons[name] === undefined && (await ask(cheap, true))) return;
    const others = order(mutant, tried, false);
    budget = ELSEWHERE;
    if (
      await ask(
        others.filter((each) => values.elsewhere === true || each.name === expected),
        false,
      )
    )
      return;
    results[name] = { digest, tried: [...tried] };
  }

  let next = 0;
  const lanes = Array.from({ length: Number(values.workers ?? availableParallelism()) }, async () => {
    while (next < mutants.length) {
      await settle(mutants[next++]!);
      done++;
      if (process.stderr.isTTY || done % 25 === 0)
        say(
          `${process.stderr.isTTY ? '\r' : ''}${done}/${mutants.length}${process.stderr.isTTY ? ' ' : '\n'}`,
        );
      if (Date.now() - saved > 10_000) {
        saved = Date.now();
        keep();
      }
    }
  });
  await Promise.all(lanes);
  keep();
  await pool.destroy();
  const own = new Set(usable.filter((each) => each.own).map(({ name }) => name));
  return report(mutants, results, reasons, (by) => own.has(by));
}

function report(
  mutants: readonly Mutant[],
  results: Readonly<Record<string, Result>>,
  reasons: Readonly<Record<string, string>>,
  ofFamily: (variant: string) => boolean,
): number {
  const list = mutants.map((mutant) => {
    const name = nameOf(mutant);
    const { by, verdict, tried } = results[name]!;
    return { name, mutant: describe(mutant), by, verdict, tried: tried.length, reason: reasons[name] };
  });
  const survivors = list.filter(({ by }) => by === undefined);
  const killed = list.filter(({ by }) => by !== undefined);
  const share = list.length === 0 ? 1 : killed.length / list.length;
  const golden = killed.filter(({ by }) => isGolden(by!)).length;
  const elsewhere = killed.filter(({ by }) => !isGolden(by!) && !ofFamily(by!));
  const unexplained = [
    ...survivors.filter(({ reason }) => reason === undefined || noticedBy(reason) !== ''),
    ...elsewhere.filter(({ by, reason }) => noticedBy(reason ?? '') !== by),
  ];
  const stale = killed.filter(({ reason }) => reason !== undefined && noticedBy(reason) === '');
  if (values.json === true) {
    const counts = {
      mutants: list.length,
      killed: killed.length,
      golden,
      elsewhere: elsewhere.length,
      share,
    };
    process.stdout.write(`${JSON.stringify({ ...counts, list }, null, 2)}\n`);
  } else {
    for (const { name, mutant, tried, reason } of survivors)
      process.stdout.write(
        `survives ${tried}: ${mutant}\n  ${reason ?? `no reason in docs/survivors.json for "${name}"`}\n`,
      );
    for (const { name, by } of elsewhere.filter((each) => unexplained.includes(each)))
      process.stdout.write(
        `only another family: docs/survivors.json could say "${name}": "Noticed by ${by}."\n`,
      );
    for (const { name, by } of stale)
      process.stdout.write(`noticed by ${by}: docs/survivors.json has a reason for "${name}"\n`);
    process.stdout.write(
      `${killed.length} of ${list.length} mutants change a verdict or a recorded answer ` +
        `(${(100 * share).toFixed(1)} %): ${golden} of them an answer, ${elsewhere.length} another family's verdict\n`,
    );
  }
  return share >= 0.9 && unexplained.length === 0 && stale.length === 0 ? 0 : 1;
}

process.exitCode = await main();
