// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Op } from '../../src/core/ops.js';
import { PathError } from '../../src/core/live.js';
import { semantics } from '../../src/core/semantics.js';
import { Automaton } from '../../src/explore/automaton.js';
import { search } from '../../src/explore/search.js';
import { mixHigh, mixLow } from '../../src/explore/fingerprint.js';
import { FrameSymmetry } from '../../src/explore/symmetry.js';
import { type Instruction, Program, scripted } from './fixtures/script.js';
import { permutations } from './compare.js';
import { build, frameOptions, recipes } from './random-systems.js';

describe('frame symmetry', () => {
  test('a state and all its renamings have one fingerprint', () => {
    fc.assert(
      fc.property(recipes(frameOptions, true), fc.infiniteStream(fc.nat(1000)), (recipe, random) => {
        const system = build(recipe);
        const { enabled, choices, execute } = semantics(system);
        const automaton = new Automaton(system);
        const symmetry = new FrameSymmetry(system, automaton, system.agents.length);
        const count = system.cells.length;
        const nodes = system.agents.map((_, agent) => automaton.start(agent));
        const orders = permutations(system.frameCells.map((_, frame) => frame));
        const place = system.cells.map((cell) => system.frameCells.findIndex((row) => row.includes(cell.at)));
        const moved = (cell: number, to: readonly number[]): number => {
          const frame = place[cell]!;
          return frame < 0 ? cell : system.frameCells[to[frame]!]![system.frameCells[frame]!.indexOf(cell)]!;
        };
        const rename = (cell: number, value: number, to: readonly number[]): number =>
          system.cells[cell]!.type.rename?.(value, to) ?? value;
        for (let steps = 0; steps < 30; steps++) {
          const original = system.mem.slice(0, count);
          const fingerprints = orders.map((to) => {
            const state = new Int32Array(count + nodes.length);
            original.forEach((value, cell) => (state[moved(cell, to)] = rename(cell, value, to)));
            for (const first of system.storeBuffers)
              for (let at = first; at < first + 2 * system.storeBufferDepth; at += 2) {
                const cell = original[at]! - 1;
                if (cell < 0) continue;
                state[at] = moved(cell, to) + 1;
                state[at + 1] = rename(cell, original[at + 1]!, to);
              }
            const renaming = { to, images: new Int32Array(0) };
            nodes.forEach(
              (node, agent) => (state[count + agent] = automaton.renamed(node, renaming, symmetry)),
            );
            let [low, high] = [0, 0];
            state.forEach((value, at) => {
              low ^= mixLow(at, value);
              high ^= mixHigh(at, value);
            });
            symmetry.canonical(state, low, high);
            return `${symmetry.low},${symmetry.high}`;
          });
          expect(new Set(fingerprints).size).toBe(1);
          const able = nodes.flatMap((node, agent) =>
            enabled(agent, automaton.op[node]!, automaton.a[node]!, automaton.b[node]!, automaton.c[node]!)
              ? [agent]
              : [],
          );
          if (able.length === 0) return;
          const agent = able[(random.next().value as number) % able.length]!;
          const node = nodes[agent]!;
          const [op, a, b, c] = [
            automaton.op[node]!,
            automaton.a[node]!,
            automaton.b[node]!,
            automaton.c[node]!,
          ];
          const choice = (random.next().value as number) % choices(agent, op, a, b, c);
          nodes[agent] = automaton.child(node, execute(agent, op, a, b, c, choice));
          if (system.fault !== undefined || automaton.op[nodes[agent]] === Op.FAIL) return;
        }
      }),
      { numRuns: 300 },
    );
  });

  const act = (what: Instruction['do'], x = 0, v = 0): Instruction => ({ do: what, x, v });
  const run = (...code: Instruction[]) =>
    search(scripted({ frames: 3 }, [new Program(code)]), { symmetry: true });

  test('a path that calculates with a frame number is refused', () => {
    expect(() => run(act('alloc'), act('calculate'))).toThrow(PathError);
    expect(() => run(act('alloc'), act('calculate'))).toThrow(
      /agent0: a path calculates with a frame number/,
    );
  });

  test('a witness named after a frame is refused', () => {
    expect(() => run(act('alloc'), act('seeFrame'), act('read'))).toThrow(/calculates with a frame number/);
  });

  test('a mask of flags is no frame', () => {
    expect(() => run(act('alloc'), act('publish'), act('flags'))).not.toThrow();
  });

  test('a path of many steps needs no recursion', () => {
    const long = Array.from({ length: 20_000 }, (_, i) => act('write', 0, i % 3));
    expect(run(act('alloc'), ...long, act('publish')).complete).toBe(true);
  });
});
