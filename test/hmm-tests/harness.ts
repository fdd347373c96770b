// SPDX-License-Identifier: MIT
import {
  type File,
  HMM_COHERENCE_DEVICE_ONE,
  HMM_COHERENCE_DEVICE_TWO,
  HMM_PRIVATE_DEVICE_ONE,
  HMM_PRIVATE_DEVICE_TWO,
  type HmmBuffer,
  hmmBuffer,
  Machine,
  type MachineSpec,
  MAP,
  type Process,
} from './machine.js';

/** Pages of the buffer that most tests have: it begins and ends inside of page tables. */
const NPAGES = 20;
/** More than one round of the driver takes. */
export const LARGE = 68;

/** What the devices' memory is. */
export const FIXTURES = ['device_private', 'device_coherent'] as const;
export type Fixture = (typeof FIXTURES)[number];

/** What a test has: the program, and the device files that it has open. */
export interface Self {
  readonly p: Process;
  readonly fd: File;
  /** The file of the second device, for the tests named hmm2. */
  readonly fd1: File;
  readonly coherent: boolean;
  /** Pages of a buffer. */
  readonly npages: number;
  /** Maps anonymous memory, and allocates a mirror for it. */
  buffer(size: number, prot: number, flags?: number, file?: File): HmmBuffer;
}

/** One of the kernel's tests. */
export interface HmmTest {
  /** What it asserts, in a line. */
  readonly asserts: string;
  readonly two?: true;
  readonly npages?: number;
  readonly machine?: Pick<MachineSpec, 'childUnits' | 'thp'>;
  /** Why it is not run here. */
  readonly skipped?: string;
  readonly run: (self: Self) => void;
}

const DEVICES: Record<Fixture, readonly [number, number]> = {
  device_private: [HMM_PRIVATE_DEVICE_ONE, HMM_PRIVATE_DEVICE_TWO],
  device_coherent: [HMM_COHERENCE_DEVICE_ONE, HMM_COHERENCE_DEVICE_TWO],
};

/** As `hmm.device_private.anon_read`. */
export const nameOf = (name: string, { two }: HmmTest, fixture: Fixture): string =>
  `${two === true ? 'hmm2' : 'hmm'}.${fixture}.${name}`;

/** Runs a test on a machine of its own, and closes all. Throws what it finds; returns what is left in use. */
export function runTest(test: HmmTest, fixture: Fixture, knobs: MachineSpec['knobs'] = {}): string[] {
  const [one, two] = DEVICES[fixture];
  const units = test.two === true ? [one, two] : [one];
  const { npages = NPAGES } = test;
  const machine = new Machine({ units, pages: npages, ...test.machine, knobs });
  const { main: p } = machine;
  const fds = units.map((unit) => p.open(unit));
  test.run({
    p,
    fd: fds[0]!,
    fd1: fds[1]!,
    coherent: fixture === 'device_coherent',
    npages,
    buffer: (size, prot, flags = MAP.PRIVATE, file) => hmmBuffer(p.mmap(size, prot, flags, file), size),
  });
  return machine.finish();
}
