// SPDX-License-Identifier: MIT
/** Reports of lockdep name both stacks, though no run goes wrong, and the same ones whoever went first. */
import { describe, expect, test } from 'vitest';
import type { Account, Deed, Scenario } from '../../src/core/scenario.js';
import { check, type Strategy } from '../../src/explore/check.js';
import { find } from '../../src/explore/find.js';
import { makeTrace } from '../../src/explore/trace.js';
import { diagram } from '../../src/report/diagram.js';
import { kernelValue } from '../../src/report/values.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import * as orders from './fixtures/orders.js';

const byId = (id: string): Scenario => SCENARIOS.find((each) => each.id === id)!;
const names = ({ stack }: Deed): string[] => stack.map(({ fn }) => fn);

function accountsOf(
  scenario: Scenario,
  variant = 'base',
  strategy: Strategy = 'reduced',
): readonly Account[] {
  const found = scenario.variants.find(({ name }) => name === variant)!;
  const verdict = check(scenario, found, { strategy });
  expect([verdict.verdict, verdict.reports]).toEqual([found.expect!.verdict, found.expect!.reports]);
  return verdict.accounts;
}

test('two orders: who holds which lock, who takes the other, and where', () => {
  const [account, ...others] = accountsOf(orders.two);
  expect(others).toEqual([]);
  expect(account).toMatchObject({
    name: 'LOCK-ORDER',
    about: 'a > b',
    detail: 'left takes b while it holds a; right takes a while it holds b',
  });
  const [left, right] = account!.parts;
  expect(names(left!.first)).toEqual(['(path)', 'nested', 'mutex_lock']);
  expect(names(left!.second)).toEqual(['(path)', 'nested', 'innerLock', 'mutex_lock']);
  expect(names(right!.first)).toEqual(['(path)', 'deeper', 'nested', 'mutex_lock']);
  expect(left!.first.stack[1]!.at).toMatch(/orders\.ts:\d+$/);
  expect(left!.first.stack[1]!.at).not.toBe(left!.second.stack[1]!.at);
});

test('a circle of three has three parts', () => {
  const [account] = accountsOf(orders.three);
  expect(account!.about).toBe('a > b > c');
  expect(account!.parts.map(({ agent, first, second }) => [agent, first.what, second.what])).toEqual([
    ['ab', 'a', 'b'],
    ['bc', 'b', 'c'],
    ['ca', 'c', 'a'],
  ]);
});

test('what sleeps under a spinlock, and where that was taken', () => {
  const [account] = accountsOf(orders.underSpinlock);
  expect(account!.detail).toBe('one: taking a may sleep under spin');
  const { first, second } = account!.parts[0]!;
  expect([first.what, names(first).at(-1)]).toEqual(['spin is held', 'spin_lock']);
  expect(names(second)).toEqual(['(path)', 'atomicSection', 'innerLock', 'mutex_lock']);
});

test('what sleeps with interrupts off, and since where they are', () => {
  const { first } = accountsOf(orders.irqsOff)[0]!.parts[0]!;
  expect([first.what, names(first).at(-1)]).toEqual(['interrupts are off', 'local_irq_save']);
});

test('one order: no account', () => {
  expect(accountsOf(orders.fine)).toEqual([]);
});

test('a lock map is held by the function that entered it', () => {
  const [account] = accountsOf(byId('N-07'), 'from=callback');
  const { first, second } = account!.parts[0]!;
  expect(names(first).at(-1)).toBe('mmu_notifier_invalidate_range_start');
  expect(names(second).slice(-2)).toEqual(['invalidate', 'mmu_interval_notifier_remove']);
});

describe('the order of exploration does not matter', () => {
  const inOrder = (account: Account): unknown =>
    account.parts.map(({ agent, first, second }) => [agent, first, second]);

  test.each(['bfs', 'dfs'] as const)('%s', (strategy) => {
    for (const scenario of [orders.two, orders.three, orders.ways])
      expect(accountsOf(scenario, 'base', strategy)).toEqual(accountsOf(scenario));
    expect(accountsOf(byId('N-07'), 'from=callback', strategy)).toEqual(
      accountsOf(byId('N-07'), 'from=callback'),
    );
  });

  test.each([orders.two, orders.three, orders.ways])('who goes first: $id', (scenario) => {
    const forward = accountsOf(scenario).map(inOrder);
    expect(accountsOf(scenario, 'turn=backward').map(inOrder)).toEqual(forward);
  });

  test('the shorter way stands for both', () => {
    const [there] = accountsOf(orders.ways)[0]!.parts;
    expect([there!.agent, names(there!.first)]).toEqual(['short', ['(path)', 'nested', 'mutex_lock']]);
  });
});

function drawn(scenario: Scenario, name: string, report: string): string {
  const variant = scenario.variants.find((each) => each.name === name)!;
  const { found, accounts } = find(scenario, variant, { kind: 'report', name: report });
  const { kind, name: property, detail, run, pass } = found!;
  const shows = { kind, property, detail };
  const { knobs } = variant;
  return diagram(
    makeTrace({ scenario, variant: name, knobs, pass, run, shows, accounts, showValue: kernelValue }),
  );
}

describe('drawn', () => {
  test('with both stacks, and a run to the last of its parts', () => {
    const text = drawn(orders.two, 'base', 'LOCK-ORDER');
    expect(text).toMatch(/^left holds a: mutex_lock in nested$/m);
    expect(text).toMatch(/^ {2}and takes b: mutex_lock in innerLock <- nested$/m);
    expect(text).toMatch(/^right holds b: mutex_lock in nested <- deeper$/m);
    expect(text).toMatch(/^ {2}and takes a: mutex_lock in innerLock <- nested <- deeper$/m);
    expect(text).toMatch(/CPU1: right/);
  });

  test('CTX says since where', () => {
    const text = drawn(orders.irqsOff, 'base', 'CTX');
    expect(text).toMatch(/^one: interrupts are off, since: local_irq_save in one$/m);
    expect(text).toMatch(/^ {2}and then taking a: mutex_lock in innerLock <- one$/m);
  });

  /** Of each scenario the first variant that declares one. */
  const declared = SCENARIOS.flatMap(({ id, variants }) =>
    (['LOCK-ORDER', 'CTX'] as const).flatMap((report) => {
      const variant = variants.find(({ expect: said }) => said?.reports.includes(report) === true);
      return variant === undefined ? [] : [[id, variant.name, report] as const];
    }),
  );

  test.each(declared)('%s %s: %s in under 40 lines', (id, variant, report) => {
    const text = drawn(byId(id), variant, report);
    expect(text.split('\n').length - 1, text).toBeLessThan(40);
    expect(text).toMatch(report === 'CTX' ? /^\S+: .*, since: /m : /^\S+ holds [^]*^ {2}and takes /m);
  });
});
