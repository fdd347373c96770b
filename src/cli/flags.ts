// SPDX-License-Identifier: MIT
/** The options that several commands have. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../core/scenario.js';
import type { CheckOptions, Strategy } from '../explore/check.js';
import { RANDOM_DEFAULTS } from '../explore/random.js';

const STRATEGIES: readonly Strategy[] = ['reduced', 'bfs', 'dfs', 'random', 'pct'];
const MAX_STATES = 20_000_000;

export interface VariantFlags {
  readonly variant?: string;
  readonly machine?: string;
  readonly kernel?: string;
  readonly set?: readonly string[];
}

/** Adds what selects variants. */
export function withVariant(command: Command): Command {
  return withKnobs(
    command
      .option('--variant <k=v,…>', 'this variant, by its name; "base" is the documented protocol')
      .option('--machine <name>', 'ipi or bcast'),
  );
}

/** Adds what sets knobs of the kernel. */
export function withKnobs(command: Command): Command {
  return command
    .option('--kernel <version>', 'kernel release')
    .option('--set <knob=value>', 'this value of a knob; may be repeated', collect);
}

export interface SearchFlags {
  readonly strategy?: Strategy;
  readonly maxStates: number;
  readonly timeout?: number;
  readonly exact?: boolean;
  readonly seed: number;
  readonly schedules: number;
  readonly bugDepth: number;
  readonly workers?: number;
}

/** Adds what says how to search, and how long. */
export function withSearch(command: Command): Command {
  const { seed, schedules, depth } = RANDOM_DEFAULTS;
  return command
    .addOption(
      new Option(
        '--strategy <name>',
        'reduced (default), bfs or dfs: all interleavings; random or pct: some, by chance',
      ).choices(STRATEGIES),
    )
    .option('--max-states <n>', 'give up a variant beyond so many states', whole(1), MAX_STATES)
    .option('--timeout <s>', 'give up a variant after so many seconds', seconds)
    .option('--exact', 'keep whole states instead of 64-bit fingerprints; without --strategy, bfs')
    .option('--seed <n>', 'random, pct: the same seed tries the same schedules', whole(0), seed)
    .option('--schedules <n>', 'random, pct: how many to try', whole(1), schedules)
    .option('--bug-depth <n>', 'pct: at how many moments it matters who runs', whole(1), depth);
}

/** Adds how many threads check. */
export function withWorkers(command: Command): Command {
  return command.option('--workers <n>', 'threads (default: one for each CPU)', whole(1));
}

/** What the engine is asked to do. Throws a UsageError where options don't go together. */
export function checkOptions(flags: SearchFlags): CheckOptions {
  const { maxStates, timeout, exact = false, seed, schedules, bugDepth } = flags;
  const strategy = flags.strategy ?? (exact ? 'bfs' : 'reduced');
  if (exact && strategy !== 'bfs' && strategy !== 'dfs')
    throw new UsageError(`--exact: goes with --strategy bfs or dfs, not with ${strategy}`);
  return {
    strategy,
    maxStates,
    exact,
    seed,
    schedules,
    bugDepth,
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
  };
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** A whole number from `least`. */
function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text.replaceAll('_', ''));
    if (!/^\d[\d_]*$/.test(text) || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
    return value;
  };
}

/** A number of seconds. */
function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Expected a number of seconds above 0.');
  return value;
}
