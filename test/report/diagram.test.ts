// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { System } from '../../src/core/system.js';
import { check } from '../../src/explore/check.js';
import { makeTrace, type Trace, type TraceSpec } from '../../src/explore/trace.js';
import { parseRun } from '../../src/explore/token.js';
import { diagram } from '../../src/report/diagram.js';
import { kernelValue } from '../../src/report/values.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import * as toys from './fixtures/toys.js';

/** Lines without the replay token, which may be longer. */
const drawn = (text: string): string[] => text.split('\n').filter((line) => !line.startsWith('Replay'));
const toy = (build: () => System, text: string, shows?: TraceSpec['shows']): Trace =>
  makeTrace({
    scenario: toys.scenarioOf('T-01', build),
    variant: 'base',
    knobs: { machine: 'ipi', kernel: '6.12' },
    pass: 0,
    ...parseRun(text),
    ...(shows === undefined ? {} : { shows }),
  });

/** The run that shows the verdict of a variant. */
function tracesOf(id: string, wanted?: string): Trace[] {
  const scenario = SCENARIOS.find((each) => each.id === id)!;
  return scenario.variants.flatMap((variant) => {
    const { name, knobs } = variant;
    if (wanted !== undefined && name !== wanted) return [];
    const { shown } = check(scenario, variant);
    if (shown === undefined) return [];
    const { kind, name: property, detail, run, pass, loop } = shown;
    const shows = { kind, property, detail };
    return [makeTrace({ scenario, variant: name, knobs, pass, run, loop, shows, showValue: kernelValue })];
  });
}

function expectInOrder(text: string, wanted: readonly (string | RegExp)[]): void {
  let at = 0;
  for (const what of wanted) {
    const rest = text.slice(at);
    const found = typeof what === 'string' ? rest.indexOf(what) : rest.search(what);
    expect(found, `${what} in\n${rest}`).toBeGreaterThanOrEqual(0);
    at += found;
  }
}

describe('what decides the thread on device-exclusive memory', () => {
  test.each([
    ['D-01', 'asked=FORK-SUCCEEDS', ['excl(f', 'f0.lock is taken: fails', 'dup_mmap() = -ENOMEM']],
    ['D-01', 'fork=early-copy,asked=SNAPSHOT', ['gpu0: store']],
    ['D-02', 'cow.reuse=map-count', ['excl(f']],
    ['D-03', 'fork=copy,asked=EXCL,driver=deaf-at-fork', ['excl(f', 'userStore()']],
    ['D-03', 'fork=copy,asked=ORIGINAL-STAYS', ['ORIGINAL-STAYS']],
    ['D-12', 'restore.event=none', ['gpu0.pte[0]', 'userAdd()']],
    ['D-15', 'driver=test_hmm', ['excl(f', 'madvise_dontneed()', 'gpu0.pte[0]']],
    ['D-49', 'base', ['-- loop: from here for ever --', 'mmu_interval_read_retry() = true']],
    ['D-51', 'restore.sharers=this-entry', ['userLoad()']],
  ] as const)('%s %s is drawn in under 40 lines', (id, variant, told) => {
    const [trace] = tracesOf(id, variant);
    const text = diagram(trace!);
    expect(text.split('\n').length - 1, text).toBeLessThan(40);
    for (const what of told) expect(text).toContain(what);
  });
});

describe('every violation of G-01', () => {
  const traces = tracesOf('G-01');

  test.each(traces)('$variant fits into a mail', (trace) => {
    const lines = drawn(diagram(trace));
    expect(lines.length).toBeLessThan(45);
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(78);
      expect(line).toMatch(/^[\x20-\x7e]*$/);
      expect(line).toBe(line.trimEnd());
    }
  });

  test.each(traces)('$variant is drawn from its JSON alone', (trace) => {
    expect(diagram(JSON.parse(JSON.stringify(trace)) as Trace)).toBe(diagram(trace));
  });

  test('the recheck before the reference: what a kernel developer needs to see, in order', () => {
    const text = diagram(
      traces.find(({ variant }) => variant === 'gup.pte_recheck=before-ref,machine=bcast')!,
    );
    const wanted = [
      'G-01 gup.pte_recheck=before-ref,machine=bcast',
      'violation: PIN-RIGHT',
      'kernel 6.12, bcast, sc',
      'CPU0: reader',
      'CPU1: unmapper',
      'get_user_pages_fast_only()',
      'irqs off',
      'gup_fast_pte_range()',
      /pte\[f\d]\[0] is f\d,W/,
      /is still f\d,W +\(!\)/,
      'munmap()',
      'zap_pte_range()',
      /f\d,W -> none +\(!\)/,
      'try_get_folio()',
      /f\d\._refcount \d -> \d/,
      /\(!!\)\n/,
      'Wrong because: reader saw',
      'PIN-RIGHT:',
      'quiet steps folded (--all shows them).',
      'Replay: npx shootdown replay',
    ];
    expectInOrder(text, wanted);
    expect(text.split('\n').length).toBeLessThan(40);
    expect(text).not.toContain('rcu_read_lock');
    expect(text).not.toContain('pin0_');
  });

  test('with all, each step has its number', () => {
    const trace = traces[0]!;
    const numbers = [...diagram(trace, { all: true }).matchAll(/^ *(\d+) /gm)].map(([, number]) =>
      Number(number),
    );
    expect(new Set(numbers)).toEqual(new Set(trace.steps.map(({ index }) => index)));
  });
});

test('a deadlock ends with what each agent waits for', () => {
  const lines = diagram(toy(toys.abba, '0,1'));
  expect(lines).toMatch(/deadlock: DEADLOCK/);
  expect(lines).toMatch(/spin_lock\(\): a_lock taken/);
  expect(lines).toMatch(/waits for b_lock, held\s+by right +\(!!\)/);
  expect(lines).toMatch(/waits for a_lock, held\s+by left +\(!!\)/);
});

test('a data race ends with the two accesses', () => {
  const text = diagram(
    toy(toys.race, '1', { kind: 'report', property: 'DATA-RACE', detail: 'seq: reader and writer' }),
  );
  expect(text).toMatch(/report: DATA-RACE/);
  expect(text).toMatch(/read_begin\(\): reads seq, plain +\(!!\)/);
  expect(text).toMatch(/writes seq, plain +\(!!\)/);
});

test('a lasso says where it begins', () => {
  const trace = toy(toys.livelock, '0*3,1/0*2');
  expect(trace.verdict).toBe('livelock');
  const lines = drawn(diagram(trace, { all: true }));
  const loop = lines.findIndex((line) => line.includes('-- loop: from here for ever --'));
  expect(lines[loop - 1]).toMatch(/^ 4 /);
  expect(lines[loop + 1]).toMatch(/^ 5 /);
});

test('a lasso that comes back exactly only after rounds that differ in numbers is drawn once round', () => {
  const [trace] = tracesOf('D-49', 'base');
  const text = diagram(trace!);
  expectInOrder(text, [
    'livelock: PROGRESS',
    'mmu_interval_notifier_insert()',
    '-- loop: from here for ever --',
    /mmu_interval_read_begin\(\): sub0\.invalidate_seq is 1/,
    '(!)',
    'remove_device_exclusive_entry()',
    /sub0\.invalidate_seq 1 -> 3 +\(!\)/,
    /excl\(f\d,W\) -> f\d,W/,
    'page_make_device_exclusive_one()',
    /none -> excl/,
    /mmu_interval_read_retry\(\) = true: sub0\.invalidate_seq is 3/,
    '(!)',
    /itself made it 3 at/,
    'repeat for ever',
  ]);
  expect(text.split('mmu_interval_read_retry()')).toHaveLength(2);
  expect(text.split('\n').length).toBeLessThan(40);
});

test('a lost atomic add is told by what was loaded before and stored after', () => {
  const [trace] = tracesOf('D-12', 'restore.event=none,asked=ATOMIC-SUM');
  const flat = diagram(trace!).replace(/\s+/g, ' ');
  expect(flat).toMatch(
    /gpu0 saw f\d\.data = 0 at \d+, cpu made it 1 at \d+, and at \d+ gpu0 still acted on what it had seen \(gpu0: atomic: store page 0 = 1\)/,
  );
});

test('three agents share the width, names run on to the right', () => {
  const text = diagram(toy(toys.three, '0,2.1,1*2,2,0'));
  expect(text).toMatch(/CPU0: first +CPU1: second +CPU2: third/);
  expect(text).toMatch(/take_a_rather_long_function_name\(\)/);
  expect(text).toMatch(/sequence_number 0 -> 1/);
  expect(text).toMatch(
    /first saw sequence_number = 0 at 1, second made it 1 at 3,\s+and at 6 first still acted/,
  );
  for (const line of drawn(text)) expect(line.length).toBeLessThanOrEqual(78);
});

test('a store buffer drains in the column of its CPU', () => {
  const text = diagram(toy(toys.buffered, '0,1,2,1'));
  expect(text).toMatch(/CPU0: writer +CPU1: reader\n/);
  expect(text).toMatch(/^ 1 x = 1, in the store buffer$/m);
  expect(text).toMatch(/^ 2 +x is 0$/m);
  expect(text).toMatch(/^ 3 store buffer: x 0 -> 1$/m);
  expect(text).toMatch(/^ 4 +x is 1$/m);
});

test('a long token is broken so that a shell joins it', () => {
  const long = Array.from({ length: 60 }, (_, i) => i % 2).join(',');
  const text = diagram({ ...toy(toys.abba, '0'), token: `T-01@base:${long}` });
  const lines = text.slice(text.indexOf('Replay')).trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(2);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(78);
  expect(lines.slice(0, -1).every((line) => line.endsWith('\\'))).toBe(true);
  expect(lines.map((line) => line.replace('\\', '')).join('')).toContain(`replay T-01@base:${long}`);
});

test('a run whose code changed says so', () => {
  expect(diagram(toy(toys.abba, '0*9'))).toContain('Diverged: step 5: agent left has returned');
});

test('where a driver frees what is touched later is shown, and said', () => {
  const [trace] = tracesOf('N-29c', 'call_srcu.list=per-cpu');
  const text = diagram(trace!);
  expectInOrder(text, ['driver.life: there -> gone', 'driver.text is 0']);
  expect(text).toMatch(/Wrong because: rmmod made driver\.life gone at \d+,/);
});
