// SPDX-License-Identifier: MIT
import { afterEach, describe, expect, test } from 'vitest';
import { live, site, siteCount } from '../../src/core/live.js';
import { search } from '../../src/explore/search.js';
import { SCENARIOS } from '../../src/scenarios/index.js';

/**
 * A speculative walker may fill any TLB entry at any moment. The two passes (on demand, eagerly) stand for it: whatever
 * the walker shows to be broken, one of them shows, on the scenarios as they are and with each flush left out.
 */
const IDS = ['G-01', 'G-03', 'G-14', 'G-21'];
const FLUSH = /^(flush_tlb_\w+|tlb_flush_mmu_tlbonly)$/;

afterEach(() => {
  live.cut = -1;
});

function broken(id: string, variant: string, fill: string): Set<string> {
  const scenario = SCENARIOS.find((each) => each.id === id)!;
  const { knobs } = scenario.variants.find(({ name }) => name === variant)!;
  const { system, monitor } = scenario.build(knobs, { name: fill, settings: { fill } });
  const result = search(system, {
    symmetry: true,
    fuse: true,
    maxStates: 400_000,
    ...(monitor === undefined ? {} : { monitor }),
  });
  expect(result.bound).toBeUndefined();
  return new Set(
    result.findings.filter(({ kind }) => kind !== 'witness' && kind !== 'report').map(({ name }) => name),
  );
}

function flushesOf(id: string, variant: string): number[] {
  const seen = new Set<number>();
  const { enter } = live;
  live.enter = (at, locals) => {
    if (FLUSH.test(site(at).callee)) seen.add(at);
    return enter(at, locals);
  };
  try {
    broken(id, variant, 'demand');
  } finally {
    live.enter = enter;
  }
  return [...seen].filter((at) => at < siteCount());
}

describe.each(IDS)('%s', (id) => {
  test.each(['base', 'machine=bcast'])('%s', (variant) => {
    for (const cut of [-1, ...flushesOf(id, variant)]) {
      live.cut = cut;
      const walker = broken(id, variant, 'speculative');
      const passes = new Set([...broken(id, variant, 'demand'), ...broken(id, variant, 'eager')]);
      const what = cut < 0 ? 'as it is' : `without ${site(cut).callee}() in ${site(cut).fn}()`;
      for (const property of walker) expect([...passes], `${property}, ${what}`).toContain(property);
    }
  });
});
