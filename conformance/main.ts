// SPDX-License-Identifier: MIT
import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { UsageError } from '../src/core/scenario.js';
import { MIX_NAMES, type MixName } from './mixes.js';
import { build, Told } from './build.js';
import { goldenFiles, readGolden } from './golden.js';
import { Coverage } from './coverage.js';
import { docs } from './docs.js';
import { GuestError } from './guest.js';
import { live } from './live.js';
import { mutate } from './mutate.js';
import { noProgress, say } from './progress.js';
import { replay } from './replay.js';
import { answerScript, record, recordAgain } from './record.js';

const USAGE = `npm run conformance:build                              builds kernel and agent; see conformance/README.md
npm run conformance:record -- --seed 1 --ops 2500 [--mix ${MIX_NAMES[0]}] [--seeds 10] [--trace] [--out FOLDER]
npm run conformance:record -- --again FILE             records a file once more: it must be the same
npm run conformance:record -- --script FILE [--trace]  prints what the real kernel answers to a script; - is standard input
npm run conformance:live -- --seed 1 --ops 20000 [--mix M] [--trace]   compares it with the model, and shrinks the first difference
npm run conformance:replay -- [FILE…]                  compares the model with what was recorded
npm run conformance:mutate -- [--sample N] [--only TEXT] [--results FILE] [FILE…]   which mutants of the kernel's paths make the replay fail?
npm run conformance:coverage -- [FILE…]                operations, entries and errors that the files reach
mixes: ${MIX_NAMES.join(', ')}
`;

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  ops: { type: 'string' },
  mix: { type: 'string' },
  out: { type: 'string' },
  again: { type: 'string' },
  script: { type: 'string' },
  trace: { type: 'boolean' },
  check: { type: 'boolean' },
  only: { type: 'string' },
  sample: { type: 'string' },
  results: { type: 'string' },
  json: { type: 'boolean' },
} as const;
type Values = ReturnType<typeof parseArgs<{ readonly options: typeof OPTIONS }>>['values'];

/** Each command with its options; FILE: it takes files. */
const COMMANDS: Readonly<Record<string, readonly (keyof typeof OPTIONS | 'FILE')[]>> = {
  build: [],
  record: ['seed', 'seeds', 'ops', 'mix', 'out', 'again', 'script', 'trace'],
  live: ['seed', 'ops', 'mix', 'trace'],
  replay: ['FILE'],
  mutate: ['FILE', 'only', 'sample', 'results', 'json'],
  coverage: ['FILE'],
  docs: ['check'],
};

/** Seeds are used times a thousand. */
const MOST = 1_000_000_000;

function whole(value: string | undefined, option: string, least = 1, otherwise?: number): number {
  if (value === undefined && otherwise !== undefined) return otherwise;
  const number = /^\d{1,10}$/.test(value ?? '') ? Number(value) : -1;
  if (number < least || number > MOST)
    throw new UsageError(
      `expected --${option} and a whole number from ${least} to ${MOST}, found ${value ?? 'nothing'}`,
    );
  return number;
}

function mixOf(value: string | undefined): MixName | undefined {
  if (value !== undefined && !(MIX_NAMES as readonly string[]).includes(value))
    throw new UsageError(`there is no mix ${value}; there is ${MIX_NAMES.join(', ')}`);
  return value as MixName | undefined;
}

/** The options and files of a command. Throws a UsageError for what it does not take. */
function parsed(args: readonly string[]): { command: string; files: string[]; values: Values } | undefined {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  const [command = '', ...files] = positionals;
  const takes = Object.hasOwn(COMMANDS, command) ? COMMANDS[command]! : undefined;
  if (takes === undefined) return undefined;
  const wrong = (Object.keys(values) as (keyof typeof OPTIONS)[]).find((option) => !takes.includes(option));
  if (wrong !== undefined) throw new UsageError(`${command} takes no --${wrong}`);
  if (files.length > 0 && !takes.includes('FILE')) throw new UsageError(`${command} takes no ${files[0]}`);
  return { command, files, values };
}

async function recordCommand(values: Values): Promise<number> {
  const { trace = false, script, again } = values;
  const whose = script === undefined ? (again === undefined ? undefined : 'again') : 'script';
  const other = Object.keys(values).find((option) => option !== whose && option !== 'trace');
  if (whose !== undefined && other !== undefined)
    throw new UsageError(`record takes --${whose} or --${other}, not both`);
  if (whose === 'again' && trace) throw new UsageError('record --again knows by the file whether to trace');
  if (script !== undefined) return await answerScript(script, trace);
  if (again !== undefined) return await recordAgain(again);
  return await record({
    seed: whole(values.seed, 'seed', 0),
    seeds: whole(values.seeds, 'seeds', 1, 1),
    ops: whole(values.ops, 'ops'),
    mix: mixOf(values.mix) ?? MIX_NAMES[0]!,
    trace,
    folder: values.out,
  });
}

async function run(args: readonly string[]): Promise<number> {
  const asked = parsed(args);
  if (asked === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const { command, values } = asked;
  const files = asked.files.length === 0 ? goldenFiles() : asked.files;
  switch (command) {
    case 'build':
      say(Object.values(await build()).join('\n'));
      return 0;
    case 'record':
      return await recordCommand(values);
    case 'live':
      return await live({
        seed: whole(values.seed, 'seed', 0),
        ops: whole(values.ops, 'ops'),
        mix: mixOf(values.mix),
        trace: values.trace ?? false,
      });
    case 'replay':
      return await replay(files);
    case 'mutate':
      return await mutate({
        files,
        only: values.only,
        sample: values.sample === undefined ? undefined : whole(values.sample, 'sample'),
        results: values.results,
        json: values.json ?? false,
      });
    case 'coverage': {
      const coverage = new Coverage();
      for (const file of files) coverage.add(readGolden(file).answer);
      say(coverage.tables().join('\n'));
      return 0;
    }
    default:
      return docs(values.check ?? false);
  }
}

/** Ends what was started, and takes away what was drawn, when this process is told to end. */
function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      noProgress();
      process.exit(128 + constants.signals[signal]);
    });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(); // the reader has seen enough
    throw error;
  });
}

/** Returns the exit code: 0, 1 where model and kernel differ, 2 for bad input or where something is missing. */
export async function main(args: readonly string[]): Promise<number> {
  endOnSignals();
  try {
    return await run(args);
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    const parsing = code?.startsWith('ERR_PARSE_ARGS') ?? false;
    const expected =
      parsing || error instanceof UsageError || error instanceof GuestError || syscall !== undefined;
    noProgress();
    if (!expected) throw error;
    if (!(error instanceof Told))
      process.stderr.write(`conformance: ${parsing ? message.replaceAll('\n', ' ') : message}\n`);
    return 2;
  }
}
