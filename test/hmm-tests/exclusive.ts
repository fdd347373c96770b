// SPDX-License-Identifier: MIT
/** Memory is made exclusive for the device. */
import { expect } from 'vitest';
import { fill } from './anon.js';
import { type HmmTest, LARGE } from './harness.js';
import {
  counted,
  EPERM,
  type File,
  hmm_dmirror_cmd,
  type HmmBuffer,
  type Process,
  PROT_READ,
  PROT_WRITE,
} from './machine.js';

const RW = PROT_READ | PROT_WRITE;

/** The program fills the buffer, and the device gets all of it for itself. */
function makesExclusive(p: Process, fd: File, buffer: HmmBuffer): void {
  fill(p, buffer);
  expect(hmm_dmirror_cmd(fd, 'EXCLUSIVE', buffer, buffer.size)).toBe(0);
  expect(buffer.cpages).toBe(buffer.size);
}

/** The process adds 1 to each page, and sees no other addition. */
function addsOne(p: Process, buffer: HmmBuffer): void {
  for (let i = 0; i < buffer.size; i++) {
    const was = p.load(buffer.ptr + i);
    expect(was).toBe(1 + i);
    p.store(buffer.ptr + i, was + 1);
  }
  expect(p.loads(buffer.ptr, buffer.size)).toEqual(counted(buffer.size, 2));
}

export const exclusiveTests: Record<string, HmmTest> = {
  exclusive: {
    asserts:
      'all pages become exclusive, with their data; CPU accesses bring them back and revoke those of the device',
    npages: LARGE,
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      makesExclusive(p, fd, buffer);
      expect(buffer.mirror).toEqual(counted(npages));
      addsOne(p, buffer);
      expect(hmm_dmirror_cmd(fd, 'CHECK_EXCLUSIVE', buffer, npages)).toBe(0);
      p.munmap(buffer.ptr, npages);
    },
  },

  exclusive_mprotect: {
    asserts: 'after mprotect(PROT_READ) of exclusive memory a device write is -EPERM',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      makesExclusive(p, fd, buffer);
      expect(buffer.mirror).toEqual(counted(npages));
      expect(p.mprotect(buffer.ptr, npages, PROT_READ)).toBe(0);
      expect(hmm_dmirror_cmd(fd, 'WRITE', buffer, npages)).toBe(-EPERM);
      p.munmap(buffer.ptr, npages);
    },
  },

  exclusive_cow: {
    asserts: 'fork of exclusive memory: parent and child each see only their own additions',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      makesExclusive(p, fd, buffer);
      p.fork(
        (child) => addsOne(child, buffer),
        () => addsOne(p, buffer),
      );
      p.munmap(buffer.ptr, npages);
    },
  },
};
