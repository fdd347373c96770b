// SPDX-License-Identifier: MIT
/** What the kernel's tests of HMM don't ask of the system calls that they use. */
import { expect, test } from 'vitest';
import {
  FOLL,
  HMM_PRIVATE_DEVICE_ONE,
  Killed,
  Machine,
  MAP,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from './machine.js';

const RW = PROT_READ | PROT_WRITE;
const booted = (): Machine => new Machine({ pages: 8, units: [HMM_PRIVATE_DEVICE_ONE] });

test('a hole of a file reads as zeroes, and what is behind its end is not read', () => {
  const machine = booted();
  const { main: p } = machine;
  const file = p.create(4);
  expect(p.pwrite(file, [7, 8])).toBe(2);
  const addr = p.mmap(4, RW, MAP.SHARED, file);
  p.store(addr + 3, 9);
  expect(p.pread(file, 6)).toEqual([7, 8, 0, 9]);
  expect(p.loads(addr, 4)).toEqual([7, 8, 0, 9]);
  expect(machine.finish()).toEqual([]);
});

test('a private mapping of the device file is copied when it is written to, also by a child', () => {
  const machine = booted();
  const { main: p } = machine;
  const addr = p.mmap(2, RW, MAP.PRIVATE, p.open(HMM_PRIVATE_DEVICE_ONE));
  p.store(addr, 5);
  p.fork(
    (child) => {
      child.store(addr + 1, 6);
      expect(child.loads(addr, 2)).toEqual([5, 6]);
    },
    () => expect(p.loads(addr, 2)).toEqual([5, 0]),
  );
  expect(machine.finish()).toEqual([]);
});

test('gup_test gets no more pages than there are', () => {
  const machine = booted();
  const { main: p } = machine;
  const addr = p.mmap(3, RW, MAP.PRIVATE);
  p.mprotect(addr + 2, 1, PROT_NONE);
  expect(p.gup_test('PIN_BASIC_TEST', addr, 3, FOLL.WRITE)).toBe(2);
  expect(p.gup_test('GUP_FAST_BENCHMARK', addr + 2, 1, FOLL.WRITE)).toBe(0);
  expect(machine.finish()).toEqual([]);
});

test('who loads where nothing may be loaded is killed; what is left open is found', () => {
  const machine = booted();
  const { main: p } = machine;
  expect(() => p.load(3)).toThrow(Killed);
  p.create(1);
  p.files.length = 0; // exit() forgets to close it
  expect(machine.finish()).toEqual([expect.stringMatching(/^inode\d+\.f_count is 1$/)]);
});
