// SPDX-License-Identifier: MIT
/**
 * A recorded system as Promela text. One proctype for each agent, one d_step for each step, one global variable for each
 * cell that changes and one for each agent's point. Operations of the core, store buffers, guards and gates are
 * written out here once more, as expressions; own operations, invariants and monitors are decision trees.
 *
 * A run that goes wrong ends in a state of its own, `dead`, one for each thing that was found. There is no init
 * process: the states that SPIN stores are those of the engine and these.
 */
import { FIRST_OWN_OP, Op } from '../../src/core/ops.js';
import { requestKey, type Effect, type OwnRequest, type Recorded, type Tree } from './record.js';

/** Promela text, and what each value of `dead` stands for. */
export interface Exported {
  readonly text: string;
  /** By value of `dead` less one: `violation P`, `deadlock DEADLOCK`, `leak P`, `report DATA-RACE`, {@link UNKNOWN}. */
  readonly ends: readonly string[];
}

/** SPIN came to a step or to values that the engine has not seen. */
export const UNKNOWN = 'unknown to the engine';

/** Ends an option that nothing follows. */
const NOTHING = 'skip';

/** A selection, one option a line. */
const select = (options: readonly string[]): string =>
  `if\n${options.map((option) => `:: ${option}\n`).join('')}fi`;
const all = (conditions: readonly string[]): string => conditions.join(' && ') || 'true';
const any = (conditions: readonly string[]): string => conditions.join(' || ') || 'false';

/** SPIN takes some two thousand statements in a d_step. */
const LONGEST = 1500;

const statements = (text: string): number => text.split(/;|::/).length;

/** Divides options so that each piece fits into a d_step, with what follows it there. */
function inPieces(options: readonly string[], following: string): string[][] {
  const pieces: string[][] = [];
  let left = 0;
  for (const option of options) {
    const length = statements(option);
    if (length > left) {
      pieces.push([]);
      left = LONGEST - statements(following);
    }
    pieces.at(-1)!.push(option);
    left -= length;
  }
  return pieces;
}

/** The leaves of a tree. */
function leavesOf<Leaf>(tree: Tree<Leaf> | undefined): Leaf[] {
  if (tree === undefined) return [];
  return 'leaf' in tree ? [tree.leaf] : [...tree.branches.values()].flatMap(leavesOf);
}

class Exporter {
  private readonly edges = new Map<number, Map<number, number>>();
  private readonly starts: number[] = [];
  private readonly written = new Set<number>();
  private readonly ends: string[] = [];
  private readonly system;
  private readonly tso;

  constructor(private readonly recorded: Recorded) {
    const { automaton, system, own, monitors } = recorded;
    this.system = system;
    this.tso = system.memory === 'tso';
    if (system.agents.some(({ fair }) => !fair))
      throw new Error('expected fair agents only: SPIN takes a state for resting if nobody at all can go on');
    automaton.eachEdge((from, value, to) => {
      if (from === 0) return void this.starts.push(to);
      if (!this.edges.has(from)) this.edges.set(from, new Map());
      this.edges.get(from)!.set(value, to);
    });
    for (let node = 1; node < automaton.size; node++) {
      const op = automaton.op[node]!;
      if (op >= FIRST_OWN_OP) continue;
      for (const cell of automaton.access(node).writes) this.written.add(cell);
    }
    const trees = [...own.values()].flatMap((request) => request.effects);
    for (const byAgent of monitors) trees.push(...byAgent.values());
    for (const { writes } of trees.flatMap(leavesOf))
      for (const cell of writes.keys()) this.written.add(cell);
    if (this.tso)
      for (const first of system.storeBuffers)
        for (let i = 0; i < 2 * system.storeBufferDepth; i++) this.written.add(first + i);
  }

  /** The value of `dead` for what was found. */
  private code(what: string): number {
    let at = this.ends.indexOf(what);
    if (at < 0) at = this.ends.push(what) - 1;
    return at + 1;
  }

  /** Ends the run; what was found first counts. */
  private end(what: string): string {
    return `stop(${this.code(what)})`;
  }

  /** A cell in memory: a variable, or a number if nobody writes it. */
  private cell(cell: number): string {
    if (!this.written.has(cell)) return `${this.recorded.initial[cell]!}`;
    return `c${cell}_${this.system.cells[cell]!.name.replaceAll(/\W+/g, '_')}`;
  }

  private assign(cell: number, value: string, passing = false): string {
    const changed = this.system.monitors.flatMap(({ cells }, i) =>
      cells.some(({ at }) => at === cell)
        ? [`changed${i} = ${passing ? '1' : `(changed${i} || ${this.cell(cell)} != ${value})`}; `]
        : [],
    );
    return `${changed.join('')}${this.cell(cell)} = ${value}`;
  }

  private effect({ writes, passing }: Effect): string[] {
    return [...writes].map(([cell, value]) => this.assign(cell, `${value}`, passing.has(cell)));
  }

  private tree<Leaf>(tree: Tree<Leaf> | undefined, text: (leaf: Leaf) => string): string {
    if (tree === undefined) return this.end(UNKNOWN);
    if ('leaf' in tree) return text(tree.leaf);
    if (!this.written.has(tree.cell))
      return this.tree(tree.branches.get(this.recorded.initial[tree.cell]!), text);
    return select([
      ...[...tree.branches].map(
        ([value, branch]) => `${this.cell(tree.cell)} == ${value} -> ${this.tree(branch, text)}`,
      ),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }

  /** A tree as an expression. */
  private value<Leaf>(
    tree: Tree<Leaf> | undefined,
    text: (leaf: Leaf) => string | number,
    unknown: string | number = this.code(UNKNOWN),
  ): string {
    if (tree === undefined) return `${unknown}`;
    if ('leaf' in tree) return `${text(tree.leaf)}`;
    if (!this.written.has(tree.cell))
      return this.value(tree.branches.get(this.recorded.initial[tree.cell]!), text, unknown);
    return [...tree.branches].reduceRight(
      (otherwise, [value, branch]) =>
        `(${this.cell(tree.cell)} == ${value} -> ${this.value(branch, text, unknown)} : ${otherwise})`,
      `${unknown}`,
    );
  }

  /** The condition under which a tree ends in a leaf that is wanted. */
  private leads<Leaf>(tree: Tree<Leaf> | undefined, wanted: (leaf: Leaf) => boolean): string {
    if (tree === undefined) return 'false';
    if ('leaf' in tree) return wanted(tree.leaf) ? 'true' : 'false';
    if (!this.written.has(tree.cell))
      return this.leads(tree.branches.get(this.recorded.initial[tree.cell]!), wanted);
    const ways = [...tree.branches].map(([value, branch]) => [value, this.leads(branch, wanted)] as const);
    return any(
      ways
        .filter(([, way]) => way !== 'false')
        .map(
          ([value, way]) => `(${this.cell(tree.cell)} == ${value}${way === 'true' ? '' : ` && (${way})`})`,
        ),
    );
  }

  private moveTo(agent: number, node: number | undefined): string {
    if (node === undefined) return this.end(UNKNOWN);
    const { op, a } = this.recorded.automaton;
    if (op[node] === Op.FAIL) return this.end(`violation ${this.system.strings[a[node]!]!}`);
    return `at${agent} = ${node}`;
  }

  /** The agent goes on from `node` by what was observed: the value of a Promela expression. */
  private moveBy(agent: number, node: number, observed: string): string {
    const edges = this.edges.get(node) ?? new Map<number, number>();
    if (/^-?\d+$/.test(observed)) return this.moveTo(agent, edges.get(Number(observed)));
    return select([
      ...[...edges].map(([value, child]) => `seen == ${value} -> ${this.moveTo(agent, child)}`),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }

  private bufferOf(
    agent: number,
  ): { cell: (i: number) => string; value: (i: number) => string; first: number } | undefined {
    const { cpu } = this.system.agents[agent]!;
    if (!this.tso || cpu < 0) return undefined;
    const first = this.system.storeBuffers[cpu]!;
    return { first, cell: (i) => this.cell(first + 2 * i), value: (i) => this.cell(first + 2 * i + 1) };
  }

  /** What a load sees: the youngest store that waits, else memory. */
  private seen(agent: number, cell: number): string {
    const buffer = this.bufferOf(agent);
    let value = this.cell(cell);
    if (buffer !== undefined)
      for (let i = 0; i < this.system.storeBufferDepth; i++)
        value = `(${buffer.cell(i)} == ${cell + 1} -> ${buffer.value(i)} : ${value})`;
    return value;
  }

  private store(agent: number, cell: number, value: number): string {
    const buffer = this.bufferOf(agent);
    if (buffer === undefined) return this.assign(cell, `${value}`);
    const slots = Array.from({ length: this.system.storeBufferDepth }, (_, i) => i);
    return select(
      slots.map((slot) => {
        const taken = slots.slice(0, slot).map((i) => `${buffer.cell(i)} != 0`);
        const fill = `${this.assign(buffer.first + 2 * slot, `${cell + 1}`)}; ${this.assign(buffer.first + 2 * slot + 1, `${value}`)}`;
        return `${all([...taken, `${buffer.cell(slot)} == 0`])} -> ${fill}`;
      }),
    );
  }

  /** The oldest entry of a store buffer goes to memory. */
  private drain(first: number): string {
    const depth = this.system.storeBufferDepth;
    const { automaton } = this.recorded;
    const targets = new Set<number>();
    for (let node = 1; node < automaton.size; node++)
      if ([Op.STORE, Op.WRITE, Op.UNLOCK].includes(automaton.op[node]! as 4 | 5 | 20))
        targets.add(automaton.a[node]!);
    const out = select([
      ...[...targets].map((cell) => {
        const write = this.assign(cell, this.cell(first + 1));
        return `${this.cell(first)} == ${cell + 1} -> ${this.guarded(cell, false, write)}`;
      }),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
    const shift = Array.from({ length: 2 * depth }, (_, i) =>
      this.assign(first + i, i < 2 * depth - 2 ? this.cell(first + i + 2) : '0'),
    );
    return `${out}; ${shift.join('; ')}`;
  }

  /** An access to a cell, wrong unless the object that it belongs to lives. */
  private guarded(cell: number, reads: boolean, access: string): string {
    const guard = this.system.guards[cell];
    if (guard === undefined || (reads && guard.readable === true)) return access;
    const { cell: state, alive } = guard;
    const lives = (value: number): boolean => ((alive >> value) & 1) === 1;
    if (!this.written.has(state.at)) {
      const value = this.recorded.initial[state.at]!;
      return lives(value) ? access : this.end(`violation ${guard.property(value)}`);
    }
    return select([
      ...[...this.recorded.guardValues.get(state.at)!].map((value) => {
        const then = lives(value) ? access : this.end(`violation ${guard.property(value)}`);
        return `${this.cell(state.at)} == ${value} -> ${then}`;
      }),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }

  /** When a request can take its step, whatever its operation: nobody else has the CPU, stores are through. */
  private admitted(agent: number, op: number): string[] {
    const conditions: string[] = [];
    const gate = this.system.gates[agent] ?? -1;
    if (gate >= 0 && this.written.has(gate))
      conditions.push(`(${this.cell(gate)} == 0 || ${this.cell(gate)} == ${agent + 1})`);
    const buffer = this.bufferOf(agent);
    if (buffer === undefined) return conditions;
    const stores: number[] = [Op.STORE, Op.WRITE, Op.UNLOCK];
    const passes: number[] = [Op.LOAD, Op.READ, Op.EQ, Op.TEST, Op.NOP, Op.CHOOSE, Op.DRAIN];
    const drains =
      op >= FIRST_OWN_OP ? (this.system.ops[op - FIRST_OWN_OP]!.drains ?? true) : !passes.includes(op);
    if (stores.includes(op)) conditions.push(`${buffer.cell(this.system.storeBufferDepth - 1)} == 0`);
    else if (drains) conditions.push(`${buffer.cell(0)} == 0`);
    return conditions;
  }

  /** An operation of the core: when it can run, what it observes (before it acts) and what it does. */
  private core(
    agent: number,
    node: number,
    choice: number,
  ): { when?: string; observed: string; act: string } {
    const { automaton } = this.recorded;
    const op = automaton.op[node]!;
    const [a, b, c] = [automaton.a[node]!, automaton.b[node]!, automaton.c[node]!];
    const m = op >= Op.LOAD && op <= Op.BIT_LOCK ? this.cell(a) : '';
    const set = (value: string): string => this.assign(a, value);
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
          act: select([`${mine} -> ${release}`, `else -> ${this.end('violation LOCK')}`]),
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
        return { when: `${this.cell(a)} != 0`, observed: '0', act: this.drain(a) };
    }
    throw new Error(`expected an operation that can be executed, got ${this.system.opName(op)}`);
  }

  /** The option of a node: `condition -> what happens`. */
  private coreOption(agent: number, node: number, choice: number): string {
    const { op, a } = this.recorded.automaton;
    const number = op[node]!;
    const { when, observed, act } = this.core(agent, node, choice);
    const reads: number[] = [Op.LOAD, Op.READ, Op.EQ, Op.TEST, Op.AWAIT_EQ, Op.AWAIT_CLEAR];
    const guards = number >= Op.LOAD && number <= Op.BIT_LOCK;
    const look = /^-?\d+$/.test(observed) ? '' : `seen = ${observed}; `;
    const acts = guards ? this.guarded(a[node]!, reads.includes(number), act) : act;
    const step = `${look}${acts}; ${this.moveBy(agent, node, observed)}`;
    return this.option(agent, node, when === undefined ? [] : [when], step);
  }

  private ownOption(agent: number, node: number, request: OwnRequest, choice: number): string | undefined {
    const tree = request.effects[choice];
    if (tree === undefined && choice > 0) return undefined;
    const when: string[] = [];
    const first: string[] = [];
    if (request.enabled !== undefined) {
      // What is not known to be kept waiting goes on, and is then found to be unknown.
      when.push(`!(${this.leads(request.enabled, (enabled) => !enabled)})`);
      first.push(this.tree(request.enabled, () => NOTHING));
    }
    if (request.choices !== undefined) {
      if (choice > 0) when.push(`(${this.leads(request.choices, (count) => count > choice)})`);
      else
        first.push(
          this.tree(request.choices, (count) =>
            count > request.effects.length ? this.end(UNKNOWN) : NOTHING,
          ),
        );
    }
    const step = this.tree(tree, (effect) => {
      if (effect.fault !== undefined) return this.end(`violation ${effect.fault}`);
      return [...this.effect(effect), this.moveBy(agent, node, `${effect.observed}`)].join('; ');
    });
    return this.option(agent, node, when, [...first, step].join('; '));
  }

  private option(agent: number, node: number, when: readonly string[], step: string): string {
    const { op, a, b, c } = this.recorded.automaton;
    const name = this.system.opName(op[node]!);
    const what =
      op[node]! >= Op.LOAD && op[node]! <= Op.BIT_LOCK ? this.system.cells[a[node]!]!.name : a[node]!;
    const condition = all([`at${agent} == ${node}`, ...this.admitted(agent, op[node]!), ...when]);
    return `/* ${`${name} ${what} ${b[node]!} ${c[node]!}`.replaceAll('*/', '')} */ ${condition} -> ${step}`;
  }

  /** All outcomes of an agent's requests: the first of each, the second of each that has two, … */
  private outcomes(agent: number): string[][] {
    const { automaton, own } = this.recorded;
    const outcomes: string[][] = [];
    const add = (choice: number, option: string | undefined): void => {
      if (option !== undefined) (outcomes[choice] ??= []).push(option);
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
        add(choice, this.ownOption(agent, node, request, choice));
    }
    return outcomes;
  }

  /** After each step: monitors whose cells have changed, then invariants, the first that is broken counts. */
  private afterwards(agent: number): string {
    const { system, recorded } = this;
    const monitors = system.monitors.map((_, i) => {
      const tree = recorded.monitors[i]!.get(agent);
      const ghosts = [...new Set(leavesOf(tree).flatMap(({ writes }) => [...writes.keys()]))];
      const update = [
        `stop(${this.value(tree, ({ fault }) => (fault === undefined ? 0 : this.code(`violation ${fault}`)))})`,
        // First what all of them will be, then that they are it.
        ...ghosts.map((cell) => {
          const now = this.cell(cell);
          return `will${cell} = ${this.value(tree, ({ writes }) => writes.get(cell) ?? now, now)}`;
        }),
        ...ghosts.map((cell) => `${this.assign(cell, `will${cell}`)}; will${cell} = 0`),
      ];
      return select([`dead == 0 && changed${i} -> ${update.join('; ')}`, `else -> ${NOTHING}`]);
    });
    const invariants = system.invariants.flatMap(({ when, property }, i) => {
      if (when !== 'always') return [];
      const judge = this.value(recorded.invariants[i], (wrong) =>
        wrong ? this.code(`violation ${property}`) : 0,
      );
      return judge === '0' ? [] : [`stop(${judge})`];
    });
    const forget = system.monitors.map((_, i) => `changed${i} = 0`);
    return [
      ...monitors,
      ...invariants,
      'seen = 0',
      ...forget,
      select(['dead != 0 -> wipe()', `else -> ${NOTHING}`]),
    ].join(';\n');
  }

  private returned(): string {
    const { automaton } = this.recorded;
    return all(
      this.system.agents.flatMap(({ daemon }, agent) => {
        if (daemon) return [];
        const done = [];
        for (let node = 1; node < automaton.size; node++)
          if (automaton.agent[node] === agent && automaton.op[node] === Op.DONE)
            done.push(`at${agent} == ${node}`);
        return [`(${any(done)})`];
      }),
    );
  }

  /** Two agents are about to access one cell, one of them to write it, one of them plainly. */
  private races(): string[] {
    const { automaton } = this.recorded;
    const { agents, cells } = this.system;
    type Kind = 'reads' | 'writes';
    const at = (agent: number, cell: number, kind: Kind, plain: boolean): string | undefined => {
      const nodes: string[] = [];
      for (let node = 1; node < automaton.size; node++) {
        if (automaton.agent[node] !== agent || (plain && automaton.plain[node] !== 1)) continue;
        if (automaton.access(node)[kind].includes(cell)) nodes.push(`at${agent} == ${node}`);
      }
      return nodes.length === 0 ? undefined : `(${any(nodes)})`;
    };
    const races: string[] = [];
    for (const { at: cell } of cells)
      for (const one of agents.keys())
        for (const other of agents.keys()) {
          if (one === other) continue;
          for (const [kind, with_] of [
            ['writes', 'writes'],
            ['writes', 'reads'],
            ['reads', 'writes'],
          ] as const) {
            const [plain, any_] = [at(one, cell, kind, true), at(other, cell, with_, false)];
            if (plain !== undefined && any_ !== undefined) races.push(`${plain} && ${any_}`);
          }
        }
    return races;
  }

  /** Where nobody can go on; and two pending accesses that race. */
  private judge(): string[] {
    const { system, recorded } = this;
    const rests = `timeout && dead == 0`;
    const options = [`${rests} && !(${this.returned()}) -> ${this.end('deadlock DEADLOCK')}; wipe()`];
    system.invariants.forEach(({ when, property, kind }, i) => {
      if (when !== 'end') return;
      const judge = this.value(recorded.invariants[i], (wrong) =>
        wrong ? this.code(`${kind ?? 'violation'} ${property}`) : 0,
      );
      const ends = select(['dead != 0 -> wipe()', `else -> ${NOTHING}`]);
      options.push(`${rests} && (${this.returned()}) -> stop(${judge}); ${ends}`);
    });
    const races = this.races();
    if (races.length > 0)
      options.push(
        `dead == 0 && (${races.map((race) => `(${race})`).join('\n|| ')}) -> ${this.end('report DATA-RACE')}; wipe()`,
      );
    return options;
  }

  export(): Exported {
    const { system, recorded, starts } = this;
    const processes = system.agents.map(({ name }, agent) => {
      const after = this.afterwards(agent);
      const steps = this.outcomes(agent)
        .flatMap((options) => inPieces(options, after))
        .map((options) => `:: d_step {\n${select(options)};\n${after}\n}\n`);
      const body = steps.length === 0 ? ':: false' : steps.join('');
      return `/* ${name.replaceAll('*/', '')} */\nactive proctype A${agent}() {\nend: do\n${body}od\n}\n`;
    });
    const judge = this.judge();
    const cells = [...this.written].sort((x, y) => x - y);
    const wipe = [...cells.map((cell) => this.cell(cell)), ...starts.map((_, agent) => `at${agent}`)];
    const found = this.ends.map((what, i) => `/* ${what} */ dead == ${i + 1} -> assert(dead != ${i + 1})`);
    const text = [
      '#define stop(found) dead = (dead -> dead : found)',
      'int dead;',
      'hidden int seen;',
      ...system.monitors.map((_, i) => `hidden byte changed${i};`),
      ...[
        ...new Set(
          recorded.monitors
            .flatMap((trees) => [...trees.values()].flatMap(leavesOf))
            .flatMap(({ writes }) => [...writes.keys()]),
        ),
      ].map((cell) => `hidden int will${cell};`),
      ...cells.map((cell) => `int ${this.cell(cell)} = ${recorded.initial[cell]!};`),
      ...starts.map((node, agent) => `int at${agent} = ${node};`),
      `inline wipe() {\n${wipe.map((name) => `${name} = 0`).join('; ')}\n}`,
      ...processes,
      `active proctype Judge() {\nend: do\n${[...judge, ...found].map((option) => `:: d_step { ${option} }\n`).join('')}od\n}\n`,
    ];
    return { text: text.join('\n'), ends: this.ends };
  }
}

/** The recorded system as Promela text. */
export function promela(recorded: Recorded): Exported {
  return new Exporter(recorded).export();
}
