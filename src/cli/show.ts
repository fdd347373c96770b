// SPDX-License-Identifier: MIT
import { UsageError, type Variant } from '../core/scenario.js';
import type { CheckOptions } from '../explore/check.js';
import type { Sought } from '../explore/find.js';
import type { Trace } from '../explore/trace.js';
import { type Entry, selectOne } from './catalogue.js';
import { Exit } from './exit.js';
import { nearest } from './near.js';
import { fail, reserve, say, sayJson } from './output.js';
import { type Job, Pool } from './pool.js';
import { Progress } from './progress.js';
import { drawn } from './replay.js';
import { againLine, resultJson, verdictText, withSource } from './result.js';
import { interruptible, runJobs } from './run.js';
import { selectVariants, type Wanted } from './variants.js';

export interface ShowCommand {
  readonly argument: string;
  readonly wanted: Wanted;
  readonly sought?: Sought | undefined;
  readonly all: boolean;
  readonly json: boolean;
  /** Where to write the trace. */
  readonly out?: string | undefined;
  readonly check: CheckOptions;
}

const REPORTS = ['DATA-RACE', 'LOCK-ORDER', 'CTX'];

/** Checks a variant and draws the run that shows its verdict, a witness or a report. Returns the exit code. */
export async function showCommand(command: ShowCommand): Promise<number> {
  const { sought } = command;
  const write = command.out === undefined ? undefined : reserve(command.out, '--out');
  const entry = await selectOne(command.argument);
  if (sought !== undefined) checkName(entry, sought);
  const variants = selectVariants([entry.scenario], command.wanted).flatMap(
    (selection) => selection.variants,
  );
  const job: Job = { entry, variant: mostTelling(variants) };
  return sought === undefined
    ? await showVerdict(command, job, write)
    : await showSought(command, job, sought, write);
}

/** Where nobody says which: the first that is declared to go wrong. */
function mostTelling(variants: readonly Variant[]): Variant {
  return variants.find(({ expect }) => expect !== undefined && expect.verdict !== 'safe') ?? variants[0]!;
}

async function showVerdict(
  { check, all, json }: ShowCommand,
  job: Job,
  write: ((text: string) => void) | undefined,
): Promise<number> {
  const { checked, interrupted } = await runJobs([job], { check, workers: 1, quiet: true });
  const [one] = checked;
  if (interrupted || one === undefined) return Exit.INTERRUPTED;
  if (one.trace !== null) print(one.trace, job.entry, { all, json }, write);
  else if (json) sayJson(resultJson(one));
  else {
    const { id, variant, reports, states } = one.verdict;
    say(`${id} ${variant}: ${verdictText(one.verdict)}, ${states} states`);
    for (const name of reports)
      if (REPORTS.includes(name)) say(`Next: ${againLine(one, 'show')} --report ${name}`);
  }
  return one.verdict.verdict === 'incomplete' ? Exit.INCOMPLETE : Exit.OK;
}

async function showSought(
  { check, all, json }: ShowCommand,
  job: Job,
  sought: Sought,
  write: ((text: string) => void) | undefined,
): Promise<number> {
  const pool = new Pool([job], { workers: 1, check });
  const { value: run } = await interruptible(pool, new Progress(pool, 1), () => pool.find(sought));
  if (run === undefined) return Exit.INTERRUPTED;
  if (run.trace !== null) {
    print(run.trace, job.entry, { all, json }, write);
    return Exit.OK;
  }
  const what = `${sought.kind} ${sought.name}`;
  const where = `${job.entry.scenario.id} ${job.variant.name}`;
  if (run.bound !== undefined) {
    fail(`${where}: no ${what} so far; the search was ended by its bound (${run.bound})`);
    return Exit.INCOMPLETE;
  }
  fail(`${where}: there is no ${what} in any run`);
  return Exit.DIFFERS;
}

function print(
  trace: Trace,
  entry: Entry,
  { all, json }: { all: boolean; json: boolean },
  write: ((text: string) => void) | undefined,
): void {
  const document = withSource(trace, entry);
  write?.(`${JSON.stringify(document, undefined, 1)}\n`);
  if (json) sayJson(document);
  else process.stdout.write(drawn(trace, entry, all));
}

function checkName(entry: Entry, { kind, name }: Sought): void {
  const names = kind === 'witness' ? entry.scenario.sometimes : REPORTS;
  if (names.includes(name)) return;
  const near = nearest(name, names);
  throw new UsageError(
    `${entry.scenario.id}: no ${kind} ${name}; ${near.length > 0 ? `near it: ${near.join(', ')}` : names.length > 0 ? `there is ${names.join(', ')}` : 'it declares none'}`,
  );
}
