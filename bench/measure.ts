// SPDX-License-Identifier: MIT
/** One search in a process of its own: arguments are a configuration and a mode; prints a {@link Measurement}. */
import { search, type SearchOptions } from '../src/explore/search.js';
import { build, CONFIGURATIONS } from './model.js';

/** exact keeps whole states; reduced fuses locks with the steps that they surround. */
const MODES: Readonly<Record<string, SearchOptions>> = {
  exact: { exact: true },
  fingerprint: {},
  reduced: { fuse: true },
};

export interface Measurement {
  readonly states: number;
  readonly transitions: number;
  /** User and system time of the search, warming up included, start of the process not. */
  readonly cpu: number;
  readonly bytes: number;
  readonly automatonNodes: number;
  /** What was found: nothing, if all is well. */
  readonly findings: readonly string[];
}

const [name = '', mode = ''] = process.argv.slice(2);
const configuration = CONFIGURATIONS[name];
const options = MODES[mode];
if (configuration === undefined || options === undefined)
  throw new Error(`expected a configuration and a mode, got ${name} ${mode}`);
const system = build(configuration);
const before = process.cpuUsage();
const result = search(system, options);
const spent = process.cpuUsage(before);
const measurement: Measurement = {
  states: result.states,
  transitions: result.transitions,
  cpu: (spent.user + spent.system) / 1e6,
  bytes: result.bytes,
  automatonNodes: result.automatonNodes,
  findings: [
    ...result.findings.map((finding) => `${finding.kind} ${finding.name}`),
    ...(result.complete ? [] : [`incomplete: ${result.bound ?? 'stopped'}`]),
  ],
};
process.stdout.write(`${JSON.stringify(measurement)}\n`);
