// SPDX-License-Identifier: MIT
import { parseArgs } from 'node:util';
import { compare, type Comparison } from './compare.js';
import { kernelSizedFigures, type KernelSizedFigures } from './kernel-sized.js';
import { CONFIGURATIONS } from './model.js';
import { largestScenarios, type ScenarioFigures } from './scenarios.js';
import { spinMissing, spinVersion } from './spin.js';
import { straightFigures, type StraightFigures } from './straight.js';

const USAGE = `npm run bench -- [--json] [--models ${Object.keys(CONFIGURATIONS).join(',')}] [--rounds 3] [--no-scenarios] [--limit 5]
CPU seconds are user + system, the least of the rounds; ratio is ours to SPIN's with whole states. Exit code 1 if the
kernel-sized case takes more CPU seconds than --limit: 5, and more on a machine that is slower or busy.
`;

/** Columns, right-aligned but for the first two. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((text, column) => (column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function comparisonTable(comparisons: readonly Comparison[]): string {
  const head = [
    'model',
    'mode',
    'states',
    'SPIN states',
    'our CPU',
    'SPIN CPU',
    'ratio',
    'B/state',
    'SPIN B/state',
  ];
  const shown = (value: number | null, digits = 0): string => (value === null ? '-' : value.toFixed(digits));
  return table([
    head,
    ...comparisons.map((row) => [
      row.model,
      row.mode,
      shown(row.states),
      shown(row.peerStates),
      shown(row.ourCpu, 2),
      shown(row.peerCpu, 2),
      shown(row.ratio, 2),
      shown(row.bytesPerState, 1),
      shown(row.peerBytesPerState),
    ]),
  ]);
}

function kernelSizedTable(figures: readonly KernelSizedFigures[], limit: number): string {
  return table([
    ['kernel-sized', 'TLB fill', 'states', 'CPU', 'states/s', 'B/state', 'automaton nodes', ''],
    ...figures.map((row) => [
      row.machine,
      row.fill,
      String(row.states),
      row.cpu.toFixed(2),
      String(Math.round(row.states / row.cpu)),
      row.bytesPerState.toFixed(1),
      String(row.automatonNodes),
      row.cpu > limit ? `over ${limit} s` : '',
    ]),
  ]);
}

function scenarioTable(scenarios: readonly ScenarioFigures[]): string {
  return table([
    ['scenario', '', 'states', 'states/s', 'B/state', 'automaton nodes'],
    ...scenarios.map((row) => [
      row.id,
      '',
      String(row.states),
      String(row.statesPerSecond),
      row.bytesPerState.toFixed(1),
      String(row.automatonNodes),
    ]),
  ]);
}

function straightTable(figures: readonly StraightFigures[]): string {
  return table([
    ['straight through', '', 'operations', 'steps', 'operations/s', 'steps/s'],
    ...figures.map((row) => [
      row.name,
      '',
      String(row.operations),
      String(row.steps),
      String(row.operationsPerSecond),
      String(row.stepsPerSecond),
    ]),
  ]);
}

export function main(args: readonly string[]): number {
  let options;
  try {
    ({ values: options } = parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean' },
        help: { type: 'boolean' },
        models: { type: 'string', default: Object.keys(CONFIGURATIONS).join(',') },
        rounds: { type: 'string', default: '3' },
        limit: { type: 'string', default: '5' },
        'no-scenarios': { type: 'boolean' },
      },
    }));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
  if (options.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const models = options.models.split(',');
  const rounds = Number(options.rounds);
  const unknown = models.find((model) => CONFIGURATIONS[model] === undefined);
  if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(
      unknown !== undefined
        ? `unknown model ${unknown}\n`
        : `--rounds: expected 1 or more, got ${options.rounds}\n`,
    );
    return 2;
  }
  const limit = Number(options.limit);
  if (!(limit > 0)) {
    process.stderr.write(`--limit: expected seconds, got ${options.limit}\n`);
    return 2;
  }
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const comparisons = compare(models, rounds, progress);
  const kernelSized = kernelSizedFigures(rounds, progress);
  const scenarios = options['no-scenarios'] === true ? [] : largestScenarios(3, progress);
  const straight = options['no-scenarios'] === true ? [] : straightFigures();
  if (options.json === true)
    process.stdout.write(`${JSON.stringify({ comparisons, kernelSized, scenarios, straight })}\n`);
  else {
    const peer =
      spinMissing() === undefined ? `SPIN ${spinVersion()}, whole states, no reduction` : 'without SPIN';
    process.stdout.write(`Node ${process.versions.node}; ${peer}\n\n${comparisonTable(comparisons)}\n`);
    process.stdout.write(`\n${kernelSizedTable(kernelSized, limit)}\n`);
    if (scenarios.length > 0) process.stdout.write(`\n${scenarioTable(scenarios)}\n`);
    if (straight.length > 0) process.stdout.write(`\n${straightTable(straight)}\n`);
  }
  return kernelSized.some(({ cpu }) => cpu > limit) ? 1 : 0;
}
