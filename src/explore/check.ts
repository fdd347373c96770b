// SPDX-License-Identifier: MIT
import type { Built, Expectation, Scenario, Variant, VerdictKind } from '../core/scenario.js';
import type { Finding, SearchResult, Step } from './search.js';
import { search } from './search.js';

export interface CheckOptions {
  readonly maxStates?: number;
  readonly timeoutMs?: number;
  /** reduced: fused locks and frame symmetry, then the shortest run without fusing. bfs, dfs: no reduction at all. */
  readonly strategy?: 'reduced' | 'bfs' | 'dfs';
  readonly exact?: boolean;
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
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly seconds: number;
  readonly automatonNodes: number;
  readonly bytes: number;
  readonly reductions: readonly string[];
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

const BAD = new Set(['violation', 'deadlock', 'leak']);

/** Checks one variant in all passes. */
export function check(scenario: Scenario, variant: Variant, options: CheckOptions = {}): Verdict {
  const began = Date.now();
  const deadline = options.timeoutMs === undefined ? Infinity : Date.now() + options.timeoutMs;
  const strategy = options.strategy ?? 'reduced';
  const reduced = strategy === 'reduced';
  const passes = scenario.passes(variant.knobs);
  const totals = { states: 0, transitions: 0, depth: 0, automatonNodes: 0, bytes: 0 };
  const found: Found[] = [];
  let bound: string | undefined;
  let last: Built | undefined;
  const base = {
    order: strategy === 'dfs' ? ('dfs' as const) : ('bfs' as const),
    deadline,
    symmetry: reduced,
    exact: options.exact === true && !reduced,
    ...(options.maxStates === undefined ? {} : { maxStates: options.maxStates }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  };
  const run = (pass: number, fuse: boolean, until?: ReadonlySet<string>): SearchResult => {
    const built = scenario.build(variant.knobs, passes[pass]!);
    last = built;
    return search(built.system, {
      ...base,
      fuse,
      ...(built.monitor === undefined ? {} : { monitor: built.monitor }),
      ...(until === undefined ? {} : { until }),
    });
  };
  passes.forEach((_, pass) => {
    const result = run(pass, reduced);
    totals.states += result.states;
    totals.transitions += result.transitions;
    totals.depth = Math.max(totals.depth, result.depth);
    totals.automatonNodes += result.automatonNodes;
    totals.bytes = Math.max(totals.bytes, result.bytes);
    bound ??= result.bound;
    for (const finding of result.findings) found.push({ ...finding, pass });
  });
  // Blocks were counted where locks were fused: the shortest run needs a search step by step.
  const bad = found.filter((finding) => BAD.has(finding.kind));
  let shown: Found | undefined;
  if (bad.length > 0) {
    for (const pass of new Set(bad.map((finding) => finding.pass))) {
      const result = reduced ? run(pass, false, new Set(['violation'])) : undefined;
      const candidate =
        result === undefined
          ? bad.find((finding) => finding.pass === pass)
          : result.findings.find((finding) => BAD.has(finding.kind));
      if (candidate !== undefined && (shown === undefined || candidate.run.length < shown.run.length))
        shown = { ...candidate, pass };
    }
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
    ...totals,
    seconds: (Date.now() - began) / 1000,
    reductions: ['live-locals merging', ...(reduced ? ['lock fusion', 'frame symmetry'] : [])],
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
