// SPDX-License-Identifier: MIT
/**
 * A recorded system as Promela text. One proctype for each agent, one d_step for each step, one global variable for each
 * cell that changes and one for each agent's point. Operations of the core, store buffers, guards and gates are
 * written out here once more, as expressions; own operations, invariants and monitors are decision trees.
 *
 * A run that goes wrong ends in a state of its own, `dead`, one for each thing that was found. There is no init
 * process: the states that SPIN stores are those of the engine and these.
 */
import { Op } from '../../src/core/ops.js';
import type { Recorded } from './record.js';
import { Requests } from './requests.js';
import { all, any, comment, leavesOf, LONGEST, NOTHING, select, statements, Words } from './words.js';

export { UNKNOWN } from './words.js';

/** Promela text, and what each value of `dead` stands for. */
export interface Exported {
  readonly text: string;
  /** By value of `dead` less one: `violation P`, `deadlock DEADLOCK`, `leak P`, `report DATA-RACE`, UNKNOWN. */
  readonly ends: readonly string[];
}

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

class Exporter {
  private readonly words: Words;
  private readonly requests: Requests;

  constructor(private readonly recorded: Recorded) {
    this.words = new Words(recorded);
    this.requests = new Requests(this.words);
  }

  /** After each step: monitors whose cells have changed, then invariants, the first that is broken counts. */
  private afterwards(agent: number): string {
    const { recorded } = this;
    const { system } = recorded;
    const monitors = system.monitors.map((_, i) => {
      const tree = recorded.monitors[i]!.get(agent);
      const ghosts = [...new Set(leavesOf(tree).flatMap(({ writes }) => [...writes.keys()]))];
      const update = [
        `stop(${this.words.value(tree, ({ fault }) => (fault === undefined ? 0 : this.words.code(`violation ${fault}`)))})`,
        // First what all of them will be, then that they are it.
        ...ghosts.map((cell) => {
          const now = this.words.cell(cell);
          return `will${cell} = ${this.words.value(tree, ({ writes }) => writes.get(cell) ?? now, now)}`;
        }),
        ...ghosts.map((cell) => `${this.words.assign(cell, `will${cell}`)}; will${cell} = 0`),
      ];
      return select([`dead == 0 && changed${i} -> ${update.join('; ')}`, `else -> ${NOTHING}`]);
    });
    const invariants = system.invariants.flatMap(({ when, property }, i) => {
      if (when !== 'always') return [];
      const judge = this.words.value(recorded.invariants[i], (wrong) =>
        wrong ? this.words.code(`violation ${property}`) : 0,
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
      this.recorded.system.agents.flatMap(({ daemon }, agent) => {
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
    const { agents, cells } = this.recorded.system;
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
          for (const [kind, otherKind] of [
            ['writes', 'writes'],
            ['writes', 'reads'],
            ['reads', 'writes'],
          ] as const) {
            const [plain, rival] = [at(one, cell, kind, true), at(other, cell, otherKind, false)];
            if (plain !== undefined && rival !== undefined) races.push(`${plain} && ${rival}`);
          }
        }
    return races;
  }

  /** Where nobody can go on; and two pending accesses that race. */
  private judge(): string[] {
    const { recorded } = this;
    const { system } = recorded;
    const rests = `timeout && dead == 0`;
    const options = [`${rests} && !(${this.returned()}) -> ${this.words.end('deadlock DEADLOCK')}; wipe()`];
    system.invariants.forEach(({ when, property, kind }, i) => {
      if (when !== 'end') return;
      const judge = this.words.value(recorded.invariants[i], (wrong) =>
        wrong ? this.words.code(`${kind ?? 'violation'} ${property}`) : 0,
      );
      const ends = select(['dead != 0 -> wipe()', `else -> ${NOTHING}`]);
      options.push(`${rests} && (${this.returned()}) -> stop(${judge}); ${ends}`);
    });
    const races = this.races();
    if (races.length > 0)
      options.push(
        `dead == 0 && (${races.map((race) => `(${race})`).join('\n|| ')}) -> ${this.words.end('report DATA-RACE')}; wipe()`,
      );
    return options;
  }

  export(): Exported {
    const { recorded, words } = this;
    const { system } = recorded;
    const { starts, written, ends } = words;
    const processes = system.agents.map(({ name }, agent) => {
      const after = this.afterwards(agent);
      const steps = this.requests
        .outcomes(agent)
        .flatMap((options) => inPieces(options, after))
        .map((options) => `:: d_step {\n${select(options)};\n${after}\n}\n`);
      const body = steps.length === 0 ? ':: false\n' : steps.join('');
      return `${comment(name)}\nactive proctype A${agent}() {\nend: do\n${body}od\n}\n`;
    });
    const judge = this.judge();
    const cells = [...written].sort((x, y) => x - y);
    const wipe = [...cells.map((cell) => this.words.cell(cell)), ...starts.map((_, agent) => `at${agent}`)];
    const found = ends.map((what, i) => `${comment(what)} dead == ${i + 1} -> assert(dead != ${i + 1})`);
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
      ...cells.map((cell) => `int ${this.words.cell(cell)} = ${recorded.initial[cell]!};`),
      ...starts.map((node, agent) => `int at${agent} = ${node};`),
      `inline wipe() {\n${wipe.map((name) => `${name} = 0`).join('; ')}\n}`,
      ...processes,
      `active proctype Judge() {\nend: do\n${[...judge, ...found].map((option) => `:: d_step { ${option} }\n`).join('')}od\n}\n`,
    ];
    return { text: text.join('\n'), ends };
  }
}

/** The recorded system as Promela text. */
export function promela(recorded: Recorded): Exported {
  return new Exporter(recorded).export();
}
