// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { request, type Path } from '../../src/core/path.js';
import { add, awaitValue, claim, equals, lock, read, see, unlock, write } from '../../src/core/primitives.js';
import { type Cell, System } from '../../src/core/system.js';
import { Straight } from '../../src/explore/straight.js';

function* nothing(): Path {}
const first = (): number => 0;

/** A system with one agent, which runs whatever the test gives it. */
function oneAgent(): { system: System; x: Cell; y: Cell } {
  const system = new System();
  const x = system.cell('x');
  const y = system.cell('y');
  system.agent({ name: 'a', cpu: 0, daemon: false, fair: true, start: nothing });
  return { system, x, y };
}

test('a path runs to its end and its result comes back', () => {
  const { system, x } = oneAgent();
  const straight = new Straight(system, { choose: first });
  const result = straight.run(0, function* () {
    yield* write(x, 4);
    see('written');
    return (yield* read(x)) + 1;
  });
  expect(result).toBe(5);
  expect(straight.steps).toBe(2);
  expect([...straight.seen]).toEqual(['written']);
});

test('a daemon runs while a path waits for it', () => {
  const { system, x, y } = oneAgent();
  system.agent({
    name: 'daemon',
    cpu: -1,
    daemon: true,
    fair: true,
    *start() {
      for (;;) {
        yield* awaitValue(x, 1);
        yield* write(x, 0);
        yield* add(y, 1);
      }
    },
  });
  const straight = new Straight(system, { choose: first, turns: 0 });
  for (let i = 0; i < 3; i++)
    straight.run(0, function* () {
      yield* write(x, 1);
      yield* awaitValue(x, 0);
    });
  straight.settle();
  expect(y.value).toBe(3);
});

test('waiting for nobody is a deadlock', () => {
  const { system, x } = oneAgent();
  const straight = new Straight(system, { choose: first });
  const twice = function* (): Path {
    yield* lock(x);
    yield* lock(x);
  };
  expect(() => straight.run(0, twice)).toThrow(/^DEADLOCK: a waits at lock/);
});

test('never ending is no progress', () => {
  const { system, x } = oneAgent();
  const straight = new Straight(system, { choose: first, limit: 100 });
  const endless = function* (): Path {
    for (;;) yield* write(x, 1);
  };
  expect(() => straight.run(0, endless)).toThrow(/^PROGRESS: /);
});

test('claims, lock faults and invariants end a run, monitors run first', () => {
  const { system, x, y } = oneAgent();
  system.monitors.push({ cells: [x], update: () => system.set(y.at, x.value * 2) });
  system.invariants.push({
    property: 'SMALL',
    when: 'always',
    cells: [y],
    check: () => (y.value > 4 ? `y is ${y.value}` : undefined),
  });
  system.invariants.push({
    property: 'EVEN',
    when: 'end',
    cells: [],
    check: () => (x.value % 2 === 1 ? 'x is odd' : undefined),
  });
  const straight = new Straight(system, { choose: first });
  const set = (value: number): void =>
    straight.run(0, function* () {
      yield* write(x, value);
    });
  set(1);
  expect(() => straight.judge()).toThrow('EVEN: x is odd');
  set(2);
  straight.judge();
  expect(() => set(3)).toThrow('SMALL: y is 6');
  expect(() => straight.run(0, () => claim(false, 'MINE', 'is broken'))).toThrow('MINE: is broken');
  expect(() => straight.run(0, () => unlock(x))).toThrow(/^LOCK: /);
});

test('pools grow while paths run', () => {
  const { system } = oneAgent();
  system.growable = true;
  const grow = system.op({
    name: 'grow',
    exec: () => system.cell(`more${system.cells.length}`).at,
    touches: () => {},
  });
  const straight = new Straight(system, { choose: first });
  for (let i = 0; i < 200; i++)
    straight.run(0, function* () {
      const at = yield* request(grow);
      yield* write(system.cells[at]!, i);
      yield* claim((yield* read(system.cells[at]!)) === i, 'DATA', 'lost');
    });
  expect(system.cells.length).toBe(202);
});

test('at once: the same result, with no step between the path and its access', () => {
  const { system, x, y } = oneAgent();
  const straight = new Straight(system, { choose: first, atOnce: true });
  const result = straight.run(0, function* () {
    yield* write(x, 4);
    yield* lock(y);
    see('written');
    const value = yield* read(x);
    const same = yield* equals(x, 4);
    yield* unlock(y);
    return same ? value + 1 : 0;
  });
  expect(result).toBe(5);
  expect(straight.steps).toBe(5);
  expect([...straight.seen]).toEqual(['written']);
});

test('at once: a path waits for a daemon, which runs at its end as well', () => {
  const { system, x, y } = oneAgent();
  system.agent({
    name: 'daemon',
    cpu: -1,
    daemon: true,
    fair: true,
    *start() {
      for (;;) {
        yield* awaitValue(x, 1);
        yield* write(x, 0);
        yield* add(y, 1);
      }
    },
  });
  const straight = new Straight(system, { choose: first, atOnce: true });
  straight.run(0, function* () {
    yield* write(x, 1);
    yield* awaitValue(x, 0);
    yield* write(x, 1);
  });
  expect(y.value).toBe(2);
});

test('at once: endless paths, deadlocks, claims and broken invariants are found', () => {
  const { system, x, y } = oneAgent();
  system.invariants.push({
    property: 'SMALL',
    cells: [x],
    check: () => (x.value > 3 ? `x is ${x.value}` : undefined),
    when: 'always',
  });
  const straight = new Straight(system, { choose: first, atOnce: true, limit: 100 });
  const run = (path: () => Path) => () => straight.run(0, path);
  expect(
    run(function* () {
      for (;;) yield* add(y, 1);
    }),
  ).toThrow('PROGRESS: a takes more than 100 steps');
  expect(run(() => awaitValue(x, 1))).toThrow('DEADLOCK');
  expect(run(() => claim(false, 'CLAIM', 'no'))).toThrow('CLAIM: no');
  expect(run(() => write(x, 4))).toThrow('SMALL: x is 4');
});
