// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { type Instruction, Program, scripted, type WorldOptions } from './fixtures/script.js';
import type { System } from '../../src/core/system.js';

type Do = Instruction['do'];
const act = (what: Do, x = 0, v = 0): Instruction => ({ do: what, x, v });

const simple = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom<Do>('read', 'write', 'equals', 'exchange', 'bump'),
      x: fc.nat(2),
      v: fc.nat(2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom<Do>('load', 'store'), x: fc.nat(2), v: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom<Do>('await', 'quorum', 'choose', 'fence', 'peekLock'),
      x: fc.nat(1),
      v: fc.nat(2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom<Do>('claim', 'see'), x: fc.nat(1), v: fc.nat(2) }),
  },
);
/** Little that agents do to each other, much that they do for themselves. */
const private_ = fc.oneof(
  { weight: 2, arbitrary: simple },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom<Do>('writeOwn', 'storeOwn', 'readOwn', 'constant', 'tally'),
      x: fc.nat(1),
      v: fc.nat(2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom<Do>('readOther', 'count', 'allLeft'),
      x: fc.nat(1),
      v: fc.nat(2),
    }),
  },
);
const onFrames = fc.record({
  do: fc.constantFrom<Do>(
    'alloc',
    'take',
    'next',
    'publish',
    'link',
    'poke',
    'peek',
    'isSlot',
    'join',
    'lockFrame',
    'unlockFrame',
    'free',
  ),
  x: fc.constant(0),
  v: fc.nat(2),
});

/** Pairs of instructions that a block may stand between. */
const BRACKETS: readonly (readonly [Do, Do])[] = [
  ['enter', 'leave'],
  ['readLock', 'readUnlock'],
  ['writeLock', 'writeUnlock'],
  ['begin', 'end'],
];

/** Statements that nest, flattened to jumps. */
const blocksOf = (
  one: fc.Arbitrary<Instruction>,
  brackets: readonly (readonly [Do, Do])[] = [],
): fc.Arbitrary<Instruction[]> =>
  fc.letrec<{ block: Instruction[]; statement: Instruction[] }>((tie) => ({
    statement: fc.oneof(
      { maxDepth: 2, withCrossShrink: true },
      { weight: 10, arbitrary: one.map((what) => [what]) },
      ...brackets.map(([before, after]) => ({
        weight: 2,
        arbitrary: tie('block').map((body) => [act(before), ...body, act(after)]),
      })),
      ...(brackets.length === 0
        ? []
        : [
            {
              weight: 1,
              arbitrary: tie('block').map((body) => [
                act('tryRead'),
                act('jumpIfZero', body.length + 1),
                ...body,
                act('readUnlock'),
              ]),
            },
          ]),
      {
        weight: 5,
        arbitrary: fc
          .tuple(fc.nat(1), tie('block'))
          .map(([l, body]) => [act('lock', l), ...body, act('unlock', l)]),
      },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.nat(1), tie('block'))
          .map(([l, body]) => [
            act('trylock', l),
            act('jumpIfZero', body.length + 1),
            ...body,
            act('unlock', l),
          ]),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.nat(2), tie('block'))
          .map(([x, body]) => [...body, act('read', x), act('jumpIfZero', 1), act('jump', -body.length - 3)]),
      },
      { weight: 1, arbitrary: tie('block').map((body) => [act('jumpIfZero', body.length), ...body]) },
      { weight: 1, arbitrary: tie('block').map((body) => [act('close'), ...body, act('open')]) },
      { weight: 1, arbitrary: fc.nat(1).map((l) => [act('unlock', l)]) },
    ),
    block: fc.array(tie('statement'), { minLength: 1, maxLength: 3 }).map((statements) => statements.flat()),
  })).block;
const block = blocksOf(simple);

const program = (withFrames: boolean): fc.Arbitrary<Program> =>
  (withFrames
    ? fc
        .tuple(
          block,
          fc.array(fc.oneof({ weight: 4, arbitrary: onFrames }, simple), { minLength: 2, maxLength: 6 }),
          fc.nat(5),
        )
        .map(([one, other, loops]) =>
          loops === 0
            ? [...other, act('free'), act('read'), act('jumpIfZero', -other.length - 3)]
            : [...other, ...(one.length > 6 ? [] : one)],
        )
    : block
  ).map((code) => new Program(code));

export interface Recipe {
  readonly options: WorldOptions;
  readonly programs: readonly Program[];
}

/** Systems of two or three agents that have cells of their own, and sections that others wait for. */
export const privateRecipes: fc.Arbitrary<Recipe> = fc.record({
  options: fc.record({
    memory: fc.constantFrom('sc', 'sc', 'sc', 'tso'),
    watch: fc.constantFrom('nothing', 'own', 'held', 'pending', 'cell'),
    ghost: fc.boolean(),
  }),
  programs: fc.array(
    blocksOf(private_, BRACKETS).map((code) => new Program(code)),
    { minLength: 2, maxLength: 3 },
  ),
});

/** Systems of two or three agents. */
export function recipes(options: fc.Arbitrary<WorldOptions>, withFrames = false): fc.Arbitrary<Recipe> {
  return fc.record({ options, programs: fc.array(program(withFrames), { minLength: 2, maxLength: 3 }) });
}

export const options: fc.Arbitrary<WorldOptions> = fc.record({
  memory: fc.constantFrom('sc', 'sc', 'tso'),
  watch: fc.constantFrom('nothing', 'cell', 'lock'),
  gated: fc.boolean(),
  ghost: fc.boolean(),
});
export const frameOptions: fc.Arbitrary<WorldOptions> = fc.record({
  memory: fc.constantFrom('sc', 'sc', 'tso'),
  watch: fc.constantFrom('nothing', 'frame'),
  frames: fc.constantFrom(2, 3),
});

export const build = ({ options: world, programs }: Recipe): System => scripted(world, programs);
