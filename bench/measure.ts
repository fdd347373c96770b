// SPDX-License-Identifier: MIT
/**
 * One search in a process of its own: arguments are a configuration, or the kernel-sized case with a machine and a TLB
 * fill, and a mode; prints a {@link Measurement}.
 */
import type { Built } from '../src/core/scenario.js';
import { search, type SearchOptions } from '../src/explore/search.js';
import { kernelSized } from './kernel.js';
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
const options = MODES[mode];
const { system, monitor } = subject();
if (options === undefined) throw new Error(`expected a mode, got ${mode}`);
const before = process.cpuUsage();
const result = search(system, monitor === undefined ? options : { ...options, symmetry: true, monitor });
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

function subject(): Pick<Built, 'system' | 'monitor'> {
  const [first = '', machine, fill] = name.split(' ');
  if (first === 'kernel-sized') {
    const variant = kernelSized.variants.find(({ knobs }) => knobs['machine'] === machine);
    const pass =
      variant && kernelSized.passes(variant.knobs).find(({ settings }) => settings['fill'] === fill);
    if (pass !== undefined) return kernelSized.build(variant!.knobs, pass);
  }
  const configuration = CONFIGURATIONS[name];
  if (configuration === undefined) throw new Error(`expected a configuration, got ${name}`);
  return { system: build(configuration) };
}
