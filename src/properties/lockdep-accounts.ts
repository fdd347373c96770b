// SPDX-License-Identifier: MIT
/**
 * What stands behind the reports of lockdep, found over all points of all paths when the exploration is over: so neither
 * the circles nor the stacks depend on who went first. Of several places where the same happens the one with the
 * shortest stacks stands for all.
 */
import { type CallFrame, frameOf } from '../core/live.js';
import { Op } from '../core/ops.js';
import type { Account, AccountPart, Deed, PathGraph } from '../core/scenario.js';
import type { System } from '../core/system.js';
import {
  afterMark,
  afterRequest,
  classOf,
  type Context,
  type Held,
  judgeMark,
  type Judgement,
  judgeRequest,
  NOTHING_HELD,
  type Place,
} from './lock-context.js';

/** By class that is held: by class that is taken then: who does that, and where. */
type Order = ReadonlyMap<string, ReadonlyMap<string, AccountPart>>;

/** CTX and LOCK-ORDER, each in one order for all explorations. */
export function accountsOf(system: System, paths: PathGraph): Account[] {
  const order = new Map<string, Map<string, AccountPart>>();
  const wrong = new Map<string, AccountPart>();
  const note = (now: Context, agent: number, at: Place, judgement: Judgement): void => {
    const { name } = system.agents[agent]!;
    const part = (first: string, since: Place | undefined, second: string): AccountPart => ({
      agent: name,
      first: deed(first, since),
      second: deed(second, at),
    });
    for (const { what, detail, why } of judgement.wrong)
      keepShorter(wrong, detail, part(why.what, why.at, what));
    for (const taken of judgement.takes)
      for (const lock of now.held) {
        const holds = classOf(system, lock);
        const after = order.get(holds) ?? new Map<string, AccountPart>();
        order.set(holds, after);
        keepShorter(after, taken, part(holds, lock.at, taken));
      }
  };
  const contexts = contextsOf(system, paths);
  paths.edges((from, value, to, marks) => {
    let now = contexts.get(from);
    if (marks.length === 0 || (now === undefined && from !== 0)) return;
    now = from === 0 ? NOTHING_HELD : stepped(system, paths, from, now!, value);
    const { agent } = paths.request(to);
    for (const { map, stack } of marks) {
      const at = { stack, map: true };
      note(now, agent, at, judgeMark(system, now, agent, map));
      now = afterMark(now, map, at);
    }
  });
  for (const [point, now] of contexts) {
    const request = paths.request(point);
    if (request.op === Op.DONE || request.op === Op.FAIL) continue;
    const at = { stack: paths.stack(point), map: false };
    note(now, request.agent, at, judgeRequest(system, now, request));
  }
  const contextual = [...wrong].map(([detail, part]) => ({
    name: 'CTX',
    detail,
    about: detail,
    parts: [part],
  }));
  return [...contextual.sort((x, y) => compare(x.detail, y.detail)), ...circles(order)];
}

/** The contexts at all points, with places. Where paths meet, of each lock the place with the shorter stack. */
function contextsOf(system: System, paths: PathGraph): Map<number, Context> {
  const after = new Map<number, { value: number; to: number; marks: Parameters<Visit>[3] }[]>();
  type Visit = Parameters<PathGraph['edges']>[0];
  paths.edges((from, value, to, marks) => {
    const known = after.get(from);
    if (known === undefined) after.set(from, [{ value, to, marks }]);
    else known.push({ value, to, marks });
  });
  const contexts = new Map<number, Context>();
  const queue = [0];
  for (const from of queue) {
    for (const { value, to, marks } of after.get(from) ?? []) {
      let now = from === 0 ? NOTHING_HELD : stepped(system, paths, from, contexts.get(from)!, value);
      for (const { map, stack } of marks) now = afterMark(now, map, { stack, map: true });
      const before = contexts.get(to);
      const merged = before === undefined ? now : meet(before, now);
      if (merged === before) continue;
      contexts.set(to, merged);
      queue.push(to);
    }
  }
  return contexts;
}

function stepped(system: System, paths: PathGraph, point: number, now: Context, value: number): Context {
  return afterRequest(system, now, paths.request(point), value, { stack: paths.stack(point), map: false });
}

/** Two contexts that differ in places only: `one` itself if it has the shorter ones. */
function meet(one: Context, other: Context): Context {
  const better = (x: Place | undefined, y: Place | undefined): boolean =>
    x !== undefined && y !== undefined && compareDeeds(deed('', y), deed('', x)) < 0;
  const irqs = better(one.irqsOffAt, other.irqsOffAt);
  const rcu = better(one.rcuAt, other.rcuAt);
  const locks = one.held.map((lock, i) => better(lock.at, other.held[i]?.at));
  if (!irqs && !rcu && !locks.includes(true)) return one;
  return {
    ...one,
    held: one.held.map((lock, i): Held => (locks[i]! ? other.held[i]! : lock)),
    ...(irqs ? { irqsOffAt: other.irqsOffAt! } : {}),
    ...(rcu ? { rcuAt: other.rcuAt! } : {}),
  };
}

/** For each class that is held while another is taken: the shortest way back. Each circle once, the shortest first. */
function circles(order: Order): Account[] {
  const found = new Map<string, AccountPart[]>();
  for (const from of [...order.keys()].sort(compare)) {
    for (const to of [...order.get(from)!.keys()].sort(compare)) {
      const back = wayBack(order, to, from);
      if (back === undefined) continue;
      const first = back.reduce((least, name, i) => (compare(name, back[least]!) < 0 ? i : least), 0);
      const circle = [...back.slice(first), ...back.slice(0, first)];
      found.set(
        circle.join(' > '),
        circle.map((holds, i) => order.get(holds)!.get(circle[(i + 1) % circle.length]!)!),
      );
    }
  }
  return [...found]
    .map(([about, parts]) => ({ name: 'LOCK-ORDER', detail: parts.map(inWords).join('; '), about, parts }))
    .sort((x, y) => x.parts.length - y.parts.length || compare(x.about, y.about));
}

function inWords({ agent, first, second }: AccountPart): string {
  return `${agent} takes ${second.what} while it holds ${first.what}`;
}

/** The classes on the shortest way from one to another, both included. */
function wayBack(order: Order, from: string, to: string): string[] | undefined {
  const came = new Map<string, string | undefined>([[from, undefined]]);
  for (const at of came.keys()) {
    if (at === to) {
      const way: string[] = [];
      for (let back: string | undefined = at; back !== undefined; back = came.get(back)) way.unshift(back);
      return way;
    }
    for (const next of [...(order.get(at)?.keys() ?? [])].sort(compare))
      if (!came.has(next)) came.set(next, at);
  }
  return undefined;
}

function deed(what: string, place: Place | undefined): Deed {
  if (place === undefined) return { what, stack: [] };
  const stack: CallFrame[] = place.stack.map(frameOf);
  // Who enters a lock map makes no request: it is what the innermost frame calls.
  if (place.map) stack.push({ fn: stack.at(-1)?.callee ?? '', callee: 'lock_map_acquire', at: '' });
  return { what, stack };
}

function keepShorter(parts: Map<string, AccountPart>, key: string, part: AccountPart): void {
  const known = parts.get(key);
  if (known === undefined || compareParts(part, known) < 0) parts.set(key, part);
}

function compareParts(x: AccountPart, y: AccountPart): number {
  const depth = ({ first, second }: AccountPart): number => first.stack.length + second.stack.length;
  return (
    depth(x) - depth(y) ||
    compare(x.agent, y.agent) ||
    compareDeeds(x.second, y.second) ||
    compareDeeds(x.first, y.first)
  );
}

function compareDeeds({ stack: x }: Deed, { stack: y }: Deed): number {
  const text = (stack: readonly CallFrame[]): string => stack.map(({ fn, at }) => `${fn}@${at}`).join();
  return x.length - y.length || compare(text(x), text(y));
}

/** As bytes, not as a language sorts them. */
function compare(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}
