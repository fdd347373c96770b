// SPDX-License-Identifier: MIT
import type {
  Account,
  Built,
  Expectation,
  NodeMonitor,
  Scenario,
  Variant,
  VerdictKind,
} from '../core/scenario.js';
import { explain, mergeAccounts } from './accounts.js';
import { Automaton } from './automaton.js';
import { isBad } from './findings.js';
import { findLivelock } from './liveness.js';
import { RANDOM_DEFAULTS, searchRandomly } from './random.js';
import { fewestSwitches } from './schedule.js';
import type { Finding, SearchResult, Step } from './search.js';
import { search } from './search.js';

/**
 * reduced: fused steps and frame symmetry, then the shortest run without fusing. bfs, dfs: no reduction but the merging of
 * points of a path. random, pct: schedules by chance, no proof.
 */
export type Strategy = 'reduced' | 'bfs' | 'dfs' | 'random' | 'pct';

export interface CheckOptions {
  readonly maxStates?: number;
  readonly timeoutMs?: number;
  readonly strategy?: Strategy;
  readonly exact?: boolean;
  /** random, pct: the same seed tries the same schedules. */
  readonly seed?: number;
  /** random, pct: how many are tried in each pass. */
  readonly schedules?: number;
  /** pct: the number of moments at which it matters who runs. */
  readonly bugDepth?: number;
  readonly onProgress?: (states: number, depth: number) => void;
}

/** Something that was found, and in which pass. */
export interface Found extends Finding {
  readonly pass: number;
}

/** The answer for one variant. */
export interface Verdict {
  readonly id: string;
  readonly variant: string;
  readonly verdict: VerdictKind;
  readonly property: string;
  readonly detail: string;
  readonly reports: readonly string[];
  /** What stands behind reports of lockdep. */
  readonly accounts: readonly Account[];
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly seconds: number;
  readonly automatonNodes: number;
  readonly bytes: number;
  readonly reductions: readonly string[];
  /** Odds that two different states had one 64-bit fingerprint, so that one of them was not explored; 0: whole states were kept. */
  readonly collisionOdds: number;
  readonly passes: readonly string[];
  readonly bound?: string;
  readonly witnesses: Readonly<Record<string, boolean>>;
  /** The run that shows the verdict, and runs for reports and witnesses. */
  readonly found: readonly Found[];
  readonly shown: Found | undefined;
  readonly asExpected: boolean | undefined;
  readonly bounds: string;
  readonly properties: readonly string[];
}

/** What is searched in one pass. */
interface Subject {
  readonly built: Built;
  readonly monitor: NodeMonitor | undefined;
  readonly automaton: Automaton;
}

/** Checks one variant in all passes. */
export function check(scenario: Scenario, variant: Variant, options: CheckOptions = {}): Verdict {
  const began = Date.now();
  const deadline = options.timeoutMs === undefined ? Infinity : Date.now() + options.timeoutMs;
  const strategy = options.strategy ?? 'reduced';
  const reduced = strategy === 'reduced';
  const byChance = strategy === 'random' || strategy === 'pct' ? strategy : undefined;
  const passes = scenario.passes(variant.knobs);
  const totals = { states: 0, transitions: 0, depth: 0, automatonNodes: 0, bytes: 0 };
  const found: Found[] = [];
  let bound: string | undefined;
  let last: Built | undefined;
  const limits = {
    deadline,
    ...(options.maxStates === undefined ? {} : { maxStates: options.maxStates }),
  };
  const progress = options.onProgress === undefined ? {} : { onProgress: options.onProgress };
  const build = (pass: number): Built => (last = scenario.build(variant.knobs, passes[pass]!));
  /** By pass: what is searched again and again, and what is known of its paths. */
  const subjects = new Map<number, Subject>();
  const subject = (pass: number): Subject => {
    let known = subjects.get(pass);
    if (known === undefined) {
      const built = build(pass);
      const monitor = built.monitor?.();
      subjects.set(pass, (known = { built, monitor, automaton: new Automaton(built.system, monitor) }));
    }
    return known;
  };
  const run = (pass: number, fuse: boolean, until?: ReadonlySet<string>): SearchResult => {
    if (byChance !== undefined)
      return searchRandomly(build(pass), {
        strategy: byChance,
        seed: options.seed ?? RANDOM_DEFAULTS.seed,
        schedules: options.schedules ?? RANDOM_DEFAULTS.schedules,
        depth: options.bugDepth ?? RANDOM_DEFAULTS.depth,
        maxSteps: RANDOM_DEFAULTS.maxSteps,
        deadline,
        ...progress,
      });
    const { built, automaton } = subject(pass);
    return search(built.system, {
      ...limits,
      ...progress,
      order: strategy === 'dfs' ? 'dfs' : 'bfs',
      symmetry: reduced,
      exact: options.exact === true && !reduced,
      fuse,
      automaton,
      ...(until === undefined ? {} : { until }),
    });
  };

  const accounts: (readonly Account[])[] = [];
  const cyclic: number[] = [];
  passes.forEach((_, pass) => {
    const result = run(pass, reduced);
    totals.states += result.states;
    totals.transitions += result.transitions;
    totals.depth = Math.max(totals.depth, result.depth);
    totals.automatonNodes += result.automatonNodes;
    totals.bytes = Math.max(totals.bytes, result.bytes);
    bound ??= result.bound;
    if (result.cyclic) cyclic.push(pass);
    for (const finding of result.findings) found.push({ ...finding, pass });
    const known = subjects.get(pass);
    if (known !== undefined && result.findings.some(({ kind }) => kind === 'report'))
      accounts.push(explain(known.monitor, known.automaton));
  });
  let shown: Found | undefined;
  const offer = (candidate: Finding | undefined, pass: number): void => {
    if (candidate !== undefined && (shown === undefined || candidate.run.length < shown.run.length))
      shown = { ...candidate, pass };
  };
  const bad = found.filter(({ kind }) => isBad(kind));
  for (const pass of new Set(bad.map((finding) => finding.pass))) {
    // Where locks were fused the first run is not the shortest: that needs a search step by step.
    const shortest = reduced ? run(pass, false, new Set(['violation'])).findings : [];
    offer(shortest.find(({ kind }) => isBad(kind)) ?? bad.find((finding) => finding.pass === pass), pass);
  }
  if (shown !== undefined) shown = { ...shown, run: fewestSwitches(build(shown.pass), shown) };
  else if (bound === undefined) {
    for (const pass of cyclic) {
      const { built, automaton } = subject(pass);
      const liveness = findLivelock(built.system, { ...limits, symmetry: reduced, fuse: reduced, automaton });
      if (liveness.bound !== undefined) bound = `${liveness.bound}, looking for livelock`;
      offer(liveness.finding, pass);
    }
    if (shown !== undefined) found.push(shown);
  }
  const witnesses = Object.fromEntries(
    scenario.sometimes.map((name) => [
      name,
      found.some((finding) => finding.kind === 'witness' && finding.name === name),
    ]),
  );
  const reports = [
    ...new Set(found.filter((finding) => finding.kind === 'report').map((finding) => finding.name)),
  ].sort();
  const verdict: VerdictKind =
    shown !== undefined
      ? (shown.kind as VerdictKind)
      : bound !== undefined
        ? 'incomplete'
        : Object.values(witnesses).includes(false)
          ? 'vacuous'
          : 'safe';
  const property = shown?.name ?? '';
  return {
    id: scenario.id,
    variant: variant.name,
    verdict,
    property,
    detail: shown?.detail ?? '',
    reports,
    accounts: mergeAccounts(accounts),
    ...totals,
    seconds: (Date.now() - began) / 1000,
    reductions:
      byChance !== undefined
        ? []
        : ['live-locals merging', ...(reduced ? ['step fusion', 'frame symmetry'] : [])],
    collisionOdds:
      (options.exact === true && !reduced) || byChance !== undefined ? 0 : totals.states ** 2 / 2 ** 65,
    passes: passes.map((pass) => pass.name),
    ...(bound === undefined ? {} : { bound }),
    witnesses,
    found,
    shown,
    asExpected:
      variant.expect === undefined ? undefined : asExpected(variant.expect, verdict, property, reports),
    bounds: last?.bounds ?? '',
    properties: last?.properties ?? [],
  };
}

function asExpected(
  expect: Expectation,
  verdict: VerdictKind,
  property: string,
  reports: readonly string[],
): boolean {
  return (
    expect.verdict === verdict && expect.property === property && expect.reports.join() === reports.join()
  );
}

export type { Step };
