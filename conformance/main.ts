// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { UsageError } from '../src/core/scenario.js';
import { MIX_NAMES, type MixName } from './mixes.js';
import { goldenFiles, readGolden } from './golden.js';
import { Coverage } from './coverage.js';
import { docs } from './docs.js';
import { build } from './guest.js';
import { live } from './live.js';
import { mutate } from './mutate.js';
import { replay } from './replay.js';
import { answerScript, record, recordAgain } from './record.js';

const USAGE = `npm run conformance:build                              builds kernel and agent; see conformance/README.md
npm run conformance:record -- --seed 1 --ops 2500 [--mix ${MIX_NAMES[0]}] [--seeds 10] [--trace] [--out FOLDER]
npm run conformance:record -- --again FILE             records a file once more: it must be the same
npm run conformance:record -- --script FILE [--trace]  prints what the real kernel answers to a script
npm run conformance:live -- --seed 1 --ops 20000 [--mix M] [--trace]   compares it with the model, and shrinks the first difference
npm run conformance:replay -- [FILE…]                  compares the model with what was recorded
npm run conformance:mutate -- [--sample N] [--only TEXT] [--results FILE] [FILE…]   which mutants of the kernel's paths make the replay fail?
npm run conformance:coverage -- [FILE…]                operations, entries and errors that the files reach
mixes: ${MIX_NAMES.join(', ')}
`;

/** What recorded files reach, as tables. */
function coverageOf(files: readonly string[]): string {
  const coverage = new Coverage();
  for (const file of files) coverage.add(readGolden(file).answer);
  return coverage.tables().join('\n');
}

function whole(value: string | undefined, option: string, otherwise?: number): number {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (value === undefined || !/^\d{1,9}$/.test(value))
    throw new UsageError(`expected --${option} and a whole number`);
  return Number(value);
}

function mixOf(value: string | undefined): MixName | undefined {
  if (value !== undefined && !(MIX_NAMES as readonly string[]).includes(value))
    throw new UsageError(`there is no mix ${value}; there is ${MIX_NAMES.join(', ')}`);
  return value as MixName | undefined;
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      ops: { type: 'string' },
      mix: { type: 'string' },
      out: { type: 'string' },
      again: { type: 'string' },
      script: { type: 'string' },
      trace: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      only: { type: 'string' },
      sample: { type: 'string' },
      results: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [command, ...files] = positionals;
  const { trace } = values;
  switch (command) {
    case 'build':
      process.stdout.write(`${Object.values(build()).join('\n')}\n`);
      return 0;
    case 'record': {
      if (values.script !== undefined) return await answerScript(readFileSync(values.script, 'utf8'), trace);
      if (values.again !== undefined) return await recordAgain(values.again);
      const seed = whole(values.seed, 'seed');
      const mix = mixOf(values.mix) ?? MIX_NAMES[0]!;
      return await record({
        seed,
        seeds: whole(values.seeds, 'seeds', 1),
        ops: whole(values.ops, 'ops'),
        mix,
        trace,
        folder: values.out,
      });
    }
    case 'live':
      return await live({
        seed: whole(values.seed, 'seed'),
        ops: whole(values.ops, 'ops'),
        mix: mixOf(values.mix),
        trace,
      });
    case 'replay':
      return replay(files.length === 0 ? goldenFiles() : files);
    case 'mutate':
      return await mutate({
        files: files.length === 0 ? goldenFiles() : files,
        only: values.only,
        sample: values.sample === undefined ? undefined : whole(values.sample, 'sample'),
        results: values.results,
        json: values.json,
      });
    case 'coverage':
      process.stdout.write(`${coverageOf(files.length === 0 ? goldenFiles() : files)}\n`);
      return 0;
    case 'docs':
      return docs(values.check);
    default:
      process.stderr.write(USAGE);
      return 2;
  }
}

/** Returns the exit code: 0, 1 where model and kernel differ, 2 for bad input. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (!(error instanceof UsageError) && !code?.startsWith('ERR_PARSE_ARGS')) throw error;
    process.stderr.write(`conformance: ${message}\n`);
    return 2;
  }
}
