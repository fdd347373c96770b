// SPDX-License-Identifier: MIT
/** Requests as options of a Promela selection: operations of the core, written out once more, and own ones, as trees. */
import { FIRST_OWN_OP, Op } from '../../src/core/ops.js';
import { type Effect, type OwnRequest, requestKey, type Tree } from './record.js';
import { all, comment, LONGEST, NOTHING, select, statements, UNKNOWN, type Words } from './words.js';

export class Requests {
  constructor(private readonly words: Words) {}

  /** All outcomes of an agent's requests: the first of each, the second of each that has two, … */
  outcomes(agent: number): string[][] {
    const { automaton, own } = this.words.recorded;
    const outcomes: string[][] = [];
    const add = (choice: number, ...options: readonly string[]): void => {
      (outcomes[choice] ??= []).push(...options);
    };
    for (let node = 1; node < automaton.size; node++) {
      if (automaton.agent[node] !== agent) continue;
      const op = automaton.op[node]!;
      if (op === Op.DONE || op === Op.FAIL) continue;
      if (op < FIRST_OWN_OP) {
        const choices = op === Op.CHOOSE ? automaton.a[node]! : 1;
        for (let choice = 0; choice < choices; choice++) add(choice, this.coreOption(agent, node, choice));
        continue;
      }
      const key = requestKey(
        agent,
        op - FIRST_OWN_OP,
        automaton.a[node]!,
        automaton.b[node]!,
        automaton.c[node]!,
      );
      const request = own.get(key) ?? { enabled: undefined, choices: undefined, effects: [] };
      for (let choice = 0; choice < Math.max(1, request.effects.length); choice++)
        add(choice, ...this.ownOptions(agent, node, request, choice));
    }
    return outcomes;
  }

  private bufferOf(
    agent: number,
  ): { cell: (i: number) => string; value: (i: number) => string; first: number } | undefined {
    const { cpu } = this.words.system.agents[agent]!;
    if (!this.words.tso || cpu < 0) return undefined;
    const first = this.words.system.storeBuffers[cpu]!;
    return {
      first,
      cell: (i) => this.words.cell(first + 2 * i),
      value: (i) => this.words.cell(first + 2 * i + 1),
    };
  }

  /** What a load sees: the youngest store that waits, else memory. */
  private seen(agent: number, cell: number): string {
    const buffer = this.bufferOf(agent);
    let value = this.words.cell(cell);
    if (buffer !== undefined)
      for (let i = 0; i < this.words.system.storeBufferDepth; i++)
        value = `(${buffer.cell(i)} == ${cell + 1} -> ${buffer.value(i)} : ${value})`;
    return value;
  }

  private store(agent: number, cell: number, value: number): string {
    const buffer = this.bufferOf(agent);
    if (buffer === undefined) return this.words.assign(cell, `${value}`);
    const slots = Array.from({ length: this.words.system.storeBufferDepth }, (_, i) => i);
    return select(
      slots.map((slot) => {
        const taken = slots.slice(0, slot).map((i) => `${buffer.cell(i)} != 0`);
        const fill = `${this.words.assign(buffer.first + 2 * slot, `${cell + 1}`)}; ${this.words.assign(buffer.first + 2 * slot + 1, `${value}`)}`;
        return `${all([...taken, `${buffer.cell(slot)} == 0`])} -> ${fill}`;
      }),
    );
  }

  /** The oldest entry of a store buffer goes to memory. */
  private drain(first: number): string {
    const depth = this.words.system.storeBufferDepth;
    const { automaton } = this.words.recorded;
    const targets = new Set<number>();
    for (let node = 1; node < automaton.size; node++)
      if ([Op.STORE, Op.WRITE, Op.UNLOCK].includes(automaton.op[node]! as 4 | 5 | 20))
        targets.add(automaton.a[node]!);
    const out = select([
      ...[...targets].map((cell) => {
        const write = this.words.assign(cell, this.words.cell(first + 1));
        return `${this.words.cell(first)} == ${cell + 1} -> ${this.words.guarded(cell, false, write)}`;
      }),
      `else -> ${this.words.end(UNKNOWN)}`,
    ]);
    const shift = Array.from({ length: 2 * depth }, (_, i) =>
      this.words.assign(first + i, i < 2 * depth - 2 ? this.words.cell(first + i + 2) : '0'),
    );
    return `${out}; ${shift.join('; ')}`;
  }

  /** When a request can take its step, whatever its operation: nobody else has the CPU, stores are through. */
  private admitted(agent: number, op: number): string[] {
    const conditions: string[] = [];
    const gate = this.words.system.gates[agent] ?? -1;
    if (gate >= 0 && this.words.written.has(gate))
      conditions.push(`(${this.words.cell(gate)} == 0 || ${this.words.cell(gate)} == ${agent + 1})`);
    const buffer = this.bufferOf(agent);
    if (buffer === undefined) return conditions;
    const stores: number[] = [Op.STORE, Op.WRITE, Op.UNLOCK];
    const passes: number[] = [Op.LOAD, Op.READ, Op.EQ, Op.TEST, Op.NOP, Op.CHOOSE, Op.DRAIN];
    const drains =
      op >= FIRST_OWN_OP ? (this.words.system.ops[op - FIRST_OWN_OP]!.drains ?? true) : !passes.includes(op);
    if (stores.includes(op)) conditions.push(`${buffer.cell(this.words.system.storeBufferDepth - 1)} == 0`);
    else if (drains) conditions.push(`${buffer.cell(0)} == 0`);
    return conditions;
  }

  /** An operation of the core: when it can run, what it observes (before it acts) and what it does. */
  private core(
    agent: number,
    node: number,
    choice: number,
  ): { when?: string; observed: string; act: string } {
    const { automaton } = this.words.recorded;
    const op = automaton.op[node]!;
    const [a, b, c] = [automaton.a[node]!, automaton.b[node]!, automaton.c[node]!];
    const m = op >= Op.LOAD && op <= Op.BIT_LOCK ? this.words.cell(a) : '';
    const set = (value: string): string => this.words.assign(a, value);
    const bits = (mask: number): string => `(${m} & (${mask}))`;
    const iff = (condition: string, act: string): string =>
      select([`${condition} -> ${act}`, `else -> ${NOTHING}`]);
    switch (op) {
      case Op.LOAD:
      case Op.READ:
        return { observed: this.seen(agent, a), act: NOTHING };
      case Op.STORE:
      case Op.WRITE:
        return { observed: '0', act: this.store(agent, a, b) };
      case Op.EQ:
        return { observed: `(${this.seen(agent, a)} == ${b})`, act: NOTHING };
      case Op.TEST:
        return { observed: `((${this.seen(agent, a)} & (${b})) != 0)`, act: NOTHING };
      case Op.XCHG:
        return { observed: m, act: set(`${b}`) };
      case Op.CMPXCHG:
        return { observed: `(${m} == ${b})`, act: iff(`${m} == ${b}`, set(`${c}`)) };
      case Op.ADD:
        return { observed: '0', act: set(`(${m} + (${b}))`) };
      case Op.ADD_RETURN:
        return { observed: `(${m} + (${b}))`, act: set(`(${m} + (${b}))`) };
      case Op.ADD_UNLESS:
        return { observed: `(${m} != ${c})`, act: iff(`${m} != ${c}`, set(`(${m} + (${b}))`)) };
      case Op.SUB_AND_TEST:
        return { observed: `(${m} == ${b})`, act: set(`(${m} - (${b}))`) };
      case Op.TEST_AND_SET:
        return { observed: `(${bits(b)} != 0)`, act: set(`(${m} | (${b}))`) };
      case Op.SET_BITS:
        return { observed: '0', act: set(`(${m} | (${b}))`) };
      case Op.CLEAR_BITS:
        return { observed: '0', act: set(bits(~b)) };
      case Op.TEST_AND_CLEAR:
        return { observed: `(${bits(b)} != 0)`, act: set(bits(~b)) };
      case Op.LOCK:
        return { when: `${m} == 0`, observed: '0', act: set(`${agent + 1}`) };
      case Op.TRYLOCK:
        return { observed: `(${m} == 0)`, act: iff(`${m} == 0`, set(`${agent + 1}`)) };
      case Op.UNLOCK: {
        const mine = `${this.seen(agent, a)} == ${agent + 1}`;
        const release = this.store(agent, a, 0);
        return {
          observed: '0',
          act: select([`${mine} -> ${release}`, `else -> ${this.words.end('violation LOCK')}`]),
        };
      }
      case Op.AWAIT_EQ:
        return { when: `${m} == ${b}`, observed: '0', act: NOTHING };
      case Op.AWAIT_CLEAR:
        return { when: `${bits(b)} == 0`, observed: '0', act: NOTHING };
      case Op.BIT_LOCK:
        return { when: `${bits(b)} == 0`, observed: '0', act: set(`(${m} | (${b}))`) };
      case Op.FENCE:
      case Op.NOP:
        return { observed: '0', act: NOTHING };
      case Op.CHOOSE:
        return { observed: `${choice}`, act: NOTHING };
      case Op.DRAIN:
        return { when: `${this.words.cell(a)} != 0`, observed: '0', act: this.drain(a) };
    }
    throw new Error(`expected an operation that can be executed, got ${this.words.system.opName(op)}`);
  }

  /** The option of a node: `condition -> what happens`. */
  private coreOption(agent: number, node: number, choice: number): string {
    const { op, a } = this.words.recorded.automaton;
    const number = op[node]!;
    const { when, observed, act } = this.core(agent, node, choice);
    const reads: number[] = [Op.LOAD, Op.READ, Op.EQ, Op.TEST, Op.AWAIT_EQ, Op.AWAIT_CLEAR];
    const guards = number >= Op.LOAD && number <= Op.BIT_LOCK;
    const look = /^-?\d+$/.test(observed) ? '' : `seen = ${observed}; `;
    const acts = guards ? this.words.guarded(a[node]!, reads.includes(number), act) : act;
    const step = `${look}${acts}; ${this.words.moveBy(agent, node, observed)}`;
    return this.option(agent, node, when === undefined ? [] : [when], step);
  }

  /** Options with what an own request does; none if it never had so many outcomes. */
  private ownOptions(agent: number, node: number, request: OwnRequest, choice: number): string[] {
    const { words } = this;
    const { enabled, choices, effects } = request;
    if (effects[choice] === undefined && choice > 0) return [];
    const when: string[] = [];
    const first: string[] = [];
    const known = <Leaf>(tree: Tree<Leaf>, isKnown: (leaf: Leaf) => boolean = () => true): void => {
      const judge = words.value(tree, (leaf) => (isKnown(leaf) ? 0 : words.code(UNKNOWN)));
      if (judge !== '0') first.push(`stop(${judge})`);
    };
    if (enabled !== undefined) {
      // What is not known to be kept waiting goes on, and is then found to be unknown.
      when.push(`!(${words.leads(enabled, (goes) => !goes)})`);
      known(enabled);
    }
    if (choices !== undefined) {
      if (choice > 0) when.push(`(${words.leads(choices, (count) => count > choice)})`);
      else known(choices, (count) => count <= effects.length);
    }
    const text = (effect: Effect): string =>
      effect.fault === undefined
        ? [...words.effect(effect), words.moveBy(agent, node, `${effect.observed}`)].join('; ')
        : words.end(`violation ${effect.fault}`);
    // What is too long for a d_step becomes several options: by the first cell that is read, then by the next.
    const options = (tree: Tree<Effect> | undefined, under: readonly string[]): string[] => {
      const step = words.tree(tree, text);
      if (statements(step) <= LONGEST / 2 || tree === undefined || 'leaf' in tree)
        return [this.option(agent, node, under, [...first, step].join('; '))];
      const { cell, branches } = tree;
      if (!words.written.has(cell)) return options(branches.get(words.recorded.initial[cell]!), under);
      const is = (value: number): string => `${words.cell(cell)} == ${value}`;
      const others = [...branches.keys()].map((value) => `!(${is(value)})`);
      return [
        ...[...branches].flatMap(([value, branch]) => options(branch, [...under, is(value)])),
        ...options(undefined, [...under, ...others]),
      ];
    };
    return options(effects[choice], when);
  }

  private option(agent: number, node: number, when: readonly string[], step: string): string {
    const { op, a, b, c } = this.words.recorded.automaton;
    const name = this.words.system.opName(op[node]!);
    const what =
      op[node]! >= Op.LOAD && op[node]! <= Op.BIT_LOCK ? this.words.system.cells[a[node]!]!.name : a[node]!;
    const condition = all([`at${agent} == ${node}`, ...this.admitted(agent, op[node]!), ...when]);
    return `${comment(`${name} ${what} ${b[node]!} ${c[node]!}`)} ${condition} -> ${step}`;
  }
}
