#!/usr/bin/env node
// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { internalError, userMessage, WorkerCrash } from './errors.js';
import { Exit } from './exit.js';
import {
  checkOptions,
  type SearchFlags,
  type VariantFlags,
  withKnobs,
  withSearch,
  withVariant,
  withWorkers,
} from './flags.js';
import { fail, tell } from './output.js';
import { kernelKnobs, wanted } from './variants.js';

Error.stackTraceLimit = 100; // a user's frame may stand below many of ours

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('shootdown')
  .description(
    'Runs every interleaving of a kernel path: a proof within stated bounds, or the shortest counterexample.',
  )
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .showSuggestionAfterError()
  .helpCommand(false)
  .addHelpText(
    'after',
    `
Exit codes:
  0   every verdict is the declared one (with none declared: safe)
  1   a verdict differs
  2   wrong usage or input
  3   incomplete: a bound or the time limit was hit
  70  a bug of shootdown
  130 Ctrl-C`,
  );

program
  .command('list')
  .description('the built-in scenarios by family, with their question')
  .option('--json', 'one JSON document')
  .action(async ({ json = false }: { json?: boolean }) => {
    const { listCommand } = await import('./list.js');
    listCommand({ json });
  });

withWorkers(
  withSearch(
    withVariant(
      program
        .command('check')
        .description(
          'check scenarios: built-in ones by id, your own by file; all built-in ones without argument',
        )
        .argument('[ID|FILE...]', 'a scenario id, a scenario file, or FILE#ID'),
    ).option('--family <name>', 'only this family'),
  ),
)
  .option('--json', 'one JSON document on stdout')
  .option('--junit <file>', 'write a JUnit report')
  .action(
    async (
      args: readonly string[],
      options: SearchFlags & VariantFlags & { family?: string; json?: boolean; junit?: string },
    ) => {
      const { checkCommand } = await import('./check.js');
      process.exitCode = await checkCommand({
        arguments: args,
        family: options.family,
        wanted: wanted(options),
        workers: options.workers,
        check: checkOptions(options),
        json: options.json ?? false,
        junit: options.junit,
      });
    },
  );

withSearch(
  withVariant(
    program
      .command('show')
      .description('draw the shortest counterexample of a variant')
      .argument('<ID|FILE>', 'a scenario id, a scenario file, or FILE#ID'),
  ),
)
  .option('--witness <name>', 'draw the shortest run to this witness instead')
  .addOption(
    new Option('--report <name>', 'draw the shortest run to this report instead').conflicts('witness'),
  )
  .option('--all', 'show quiet steps too')
  .option('--json', 'print the trace as JSON')
  .option('--out <file>', 'write the trace to a file, for replay')
  .action(
    async (
      argument: string,
      options: SearchFlags &
        VariantFlags & { witness?: string; report?: string; all?: boolean; json?: boolean; out?: string },
    ) => {
      const { showCommand } = await import('./show.js');
      const { witness, report } = options;
      process.exitCode = await showCommand({
        argument,
        wanted: wanted(options),
        sought:
          witness !== undefined
            ? { kind: 'witness', name: witness }
            : report === undefined
              ? undefined
              : { kind: 'report', name: report },
        all: options.all ?? false,
        json: options.json ?? false,
        out: options.out,
        check: checkOptions(options),
      });
    },
  );

program
  .command('replay')
  .description('execute a recorded run again')
  .argument('<TOKEN|FILE>', 'a token, or a trace file')
  .option('--all', 'show quiet steps too')
  .option('--json', 'print the trace as JSON')
  .action(async (argument: string, { all = false, json = false }: { all?: boolean; json?: boolean }) => {
    const { replayCommand } = await import('./replay.js');
    process.exitCode = await replayCommand({ argument, all, json });
  });

withWorkers(
  withSearch(
    program
      .command('matrix')
      .description('the verdicts of all variants as a table')
      .argument('<ID|FAMILY|FILE>', 'a scenario id, a family, or a scenario file'),
  ),
)
  .option('--json', 'one JSON document on stdout')
  .action(async (argument: string, options: SearchFlags & { json?: boolean }) => {
    const { matrixCommand } = await import('./matrix.js');
    process.exitCode = await matrixCommand({
      argument,
      workers: options.workers,
      check: checkOptions(options),
      json: options.json ?? false,
    });
  });

withKnobs(
  program
    .command('ops')
    .description('execute a script of mm operations straight through, and print what they answer')
    .argument('<FILE>', 'a script, or - for standard input'),
)
  .option('--normalise', 'print the answer as it compares: frames renumbered, without unstable flags')
  .option('--trace', 'show what mmu notifiers are told as well')
  .action(
    async (
      file: string,
      {
        normalise = false,
        trace = false,
        ...knobs
      }: { normalise?: boolean; trace?: boolean; kernel?: string; set?: readonly string[] },
    ) => {
      const { opsCommand } = await import('./ops.js');
      process.exitCode = await opsCommand({ file, normalise, trace, knobs: kernelKnobs(wanted(knobs)) });
    },
  );

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // the reader has seen enough
  throw error;
});

// Node would exit with 1, which says that a verdict differs.
process.on('uncaughtException', (error) => process.exit(explain(error)));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** Says what went wrong, and returns the exit code. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return Exit.OK; // --help, --version
    // Without a command commander prints the help itself.
    if (error.code !== 'commander.help') fail(error.message.replace(/^error: /, '').replaceAll('\n', ' '));
    return Exit.USAGE;
  }
  const message = userMessage(error);
  if (message !== undefined) {
    fail(message);
    return Exit.USAGE;
  }
  tell(error instanceof WorkerCrash ? error.stack : internalError(error));
  return Exit.INTERNAL;
}
