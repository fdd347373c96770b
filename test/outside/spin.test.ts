// SPDX-License-Identifier: MIT
/**
 * An outside judge for the engine: SPIN searches the same systems, exported by `promela.ts`, and must find as many states,
 * as many steps and the same things wrong. OUTSIDE=n: also all built-in variants of up to n states.
 */
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { spinMissing } from '../../bench/spin.js';
import { Op } from '../../src/core/ops.js';
import type { Scenario, Variant } from '../../src/core/scenario.js';
import type { System } from '../../src/core/system.js';
import { Position } from '../../src/explore/position.js';
import { search } from '../../src/explore/search.js';
import { Steps } from '../../src/explore/steps.js';
import { ExactSet } from '../../src/explore/visited.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import { freedWhileHeld, interrupted, watched } from '../explore/fixtures/locks.js';
import * as toys from '../explore/fixtures/systems.js';
import {
  build,
  frameOptions,
  options,
  privateRecipes,
  type Recipe,
  recipes,
} from '../explore/random-systems.js';
import { everyOperation } from './fixtures/operations.js';
import { asked, engineSays, spinSays } from './judge.js';
import { promela, UNKNOWN } from './promela.js';
import { record, type Recorded } from './record.js';

const missing = spinMissing();

/** As `shootdown check --strategy bfs --exact` searches it; in its first pass. */
function recordVariant(
  scenario: Scenario,
  { knobs }: Variant,
  pass = scenario.passes(knobs)[0]!,
  how: Parameters<typeof record>[2] = {},
): Recorded {
  const { system, monitor } = scenario.build(knobs, pass);
  return record(system, monitor && (() => monitor()), how);
}

const note = missing === undefined ? '' : ` (skipped: ${missing})`;
if (missing !== undefined) console.warn(`the engine is not compared with SPIN: ${missing}`);

test.runIf(process.env['SPIN'] === 'required')('SPIN is there', () => {
  expect(missing).toBeUndefined();
});

describe.skipIf(missing !== undefined)(`SPIN and the engine agree${note}`, () => {
  const systems: Record<string, () => System> = {
    peterson: () => toys.peterson(),
    'peterson, wrong turn: violation': () => toys.peterson({ broken: true }),
    'peterson on tso': () => toys.peterson({ memory: 'tso' }),
    'peterson on tso without fences: violation': () => toys.peterson({ memory: 'tso', fences: false }),
    'three philosophers: deadlock': () => toys.philosophers(3),
    'three ordered philosophers': () => toys.philosophers(3, { ordered: true }),
    'trylocks, one meddles: violation': () => toys.trylocks({ meddle: true }),
    'retry loop': () => toys.retry(),
    leak: () => toys.leak(),
    'data race under a lock': () => toys.dataRace(),
    'no data race': () => toys.dataRace({ marked: true }),
    'a monitor watches a lock: violation': () => watched('monitor'),
    'every operation of the core': () => everyOperation('sc'),
    'every operation of the core, on tso': () => everyOperation('tso'),
    'an object is freed while its lock is held: violation': () => freedWhileHeld(),
    'an interrupt handler takes a lock: deadlock': () => interrupted(),
  };
  test.each(Object.entries(systems))('%s', (_, make) => {
    const { spin, engine } = asked(record(make()));
    expect(spin).toEqual(engine);
  });

  test('and no operation of the core is missing', () => {
    const { op } = record(everyOperation('tso')).automaton;
    expect([...new Set(op)].sort((x, y) => x - y)).toEqual(Object.values(Op));
  });

  const variants = [
    ['G-01', 'base'],
    ['G-01', 'gup.pte_recheck=before-ref'],
    ['G-07b', 'lock=none'],
    ['G-20', 'memory=tso'],
    ['D-25', 'base'],
    ['D-38', 'make.anon_only=off'],
    ['D-46', 'base'],
    ['N-01', 'callback=noseq'],
    ['N-05', 'base'],
    ['N-05', 'mmu_interval_notifier_insert.partial=no-mark'],
    ['N-16', 'ops=with-release'],
    ['N-29c', 'call_srcu.list=per-cpu'],
  ] as const;
  test.each(variants)('%s %s', (id, name) => {
    const scenario = SCENARIOS.find((one) => one.id === id)!;
    const variant = scenario.variants.find((one) => one.name === name)!;
    const { spin, engine } = asked(recordVariant(scenario, variant));
    expect(spin).toEqual(engine);
  });

  const unmerged = [
    ['D-38', 'make.anon_only=off'],
    ['N-07', 'base'],
    ['N-01', 'callback=noseq'],
    ['N-03b', 'end=after-the-driver'],
    ['D-46', 'close=unregister first'],
  ] as const;
  test.each(unmerged)('%s %s, where points of a path are not merged', (id, name) => {
    const scenario = SCENARIOS.find((one) => one.id === id)!;
    const variant = scenario.variants.find((one) => one.name === name)!;
    const recorded = recordVariant(scenario, variant, undefined, { merge: false });
    const { spin, engine } = asked(recorded);
    const merged = recordVariant(scenario, variant);
    expect(spin).toEqual(engine);
    expect(recorded.automaton.size).toBeGreaterThanOrEqual(merged.automaton.size);
    expect(spin.found).toEqual(engineSays(merged).found);
  });

  /** The first few, drawn by a fixed seed, that are not too small. */
  const drawn = (kind: string, recipe: fc.Arbitrary<Recipe>): readonly (readonly [string, Recipe])[] =>
    fc
      .sample(recipe, { seed: 3, numRuns: 60 })
      .map((one) => [one, search(build(one), { maxStates: 1_000 })] as const)
      .filter(([, { complete, states }]) => complete && states >= 200)
      .slice(0, 3)
      .map(([one, { states }]) => [`${kind}: ${states} states`, one]);
  const made = [
    ...drawn('at random', recipes(options)),
    ...drawn('with frames', recipes(frameOptions, true)),
    ...drawn('with private cells', privateRecipes),
  ];
  test.each(made)('made up %s', (_, recipe) => {
    const { spin, engine } = asked(record(build(recipe)));
    expect(spin).toEqual(engine);
  });
});

describe.skipIf(missing !== undefined)(`SPIN objects${note}`, () => {
  afterEach(() => vi.restoreAllMocks());

  test('to an engine that has not seen everything', () => {
    const { spin } = asked(record(toys.retry(), undefined, { maxStates: 50 }));
    expect(spin.found).toContain(UNKNOWN);
  });

  test('to an engine that takes a new state for a known one', () => {
    let states = 0;
    const { add } = ExactSet.prototype;
    vi.spyOn(ExactSet.prototype, 'add').mockImplementation(function (this: ExactSet, ...state) {
      return add.apply(this, state) && ++states !== 40;
    });
    const { spin, engine } = asked(record(toys.philosophers(3)));
    expect(spin.states).toBeGreaterThan(engine.states);
  });

  test('to an engine that remembers what a step does, and forgets to ask whether the object lives', () => {
    const { spin: right } = asked(record(freedWhileHeld()));
    const { outcomeIn } = Steps.prototype;
    vi.spyOn(Steps.prototype, 'outcomeIn').mockImplementation(function (this: Steps, state, node) {
      this.guard[node] = -1;
      return outcomeIn.call(this, state, node);
    });
    const { spin, engine } = asked(record(freedWhileHeld()));
    expect(right.found).toEqual(['violation ALIVE']);
    expect(spin).not.toEqual(engine);
  });

  test('to an engine that takes back one change too few', () => {
    const { back } = Position.prototype;
    let calls = 0;
    vi.spyOn(Position.prototype, 'back').mockImplementation(function (this: Position, changes) {
      if (++calls === 60 && this.changes > 1) this.changes--;
      back.call(this, changes);
    });
    const { spin, engine } = asked(record(toys.peterson()));
    expect(spin).not.toEqual(engine);
  });

  test('to a lock that does not lock', () => {
    const recorded = record(toys.philosophers(2));
    const { text, ends } = promela(recorded);
    const broken = text.replace(/ && c0_fork0 == 0 ->/, ' ->');
    expect(broken).not.toBe(text);
    expect(spinSays(recorded, { text: broken, ends })).not.toEqual(engineSays(recorded));
  });
});

/** Passes of built-in variants with up to so many states. */
const upTo = Number(process.env['OUTSIDE'] ?? 0);
describe.runIf(missing === undefined && upTo > 0)('SPIN and the engine agree on every small variant', () => {
  const counts = { agree: 0, differ: 0, larger: 0 };
  afterAll(() => {
    console.log(
      `searches: ${counts.agree} agree, ${counts.differ} do not, ${counts.larger} have more states`,
    );
  });

  const passes = (upTo > 0 ? SCENARIOS : []).flatMap((scenario) =>
    (scenario.kind === 'static' ? [] : scenario.variants).flatMap((variant) =>
      scenario
        .passes(variant.knobs)
        .map((pass) => [`${scenario.id} ${variant.name}, ${pass.name}`, scenario, variant, pass] as const),
    ),
  );
  test.for(passes)('%s', { timeout: 600_000 }, ([, scenario, variant, pass], { skip }) => {
    if (!search(scenario.build(variant.knobs, pass).system, { maxStates: upTo }).complete) {
      counts.larger++;
      skip(`more than ${upTo} states`);
    }
    counts.differ++;
    const { spin, engine } = asked(recordVariant(scenario, variant, pass));
    expect(spin).toEqual(engine);
    counts.differ--;
    counts.agree++;
  });
});
