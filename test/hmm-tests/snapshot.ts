// SPDX-License-Identifier: MIT
/** The device looks at what the process has mapped, and has nothing faulted in. */
import { expect } from 'vitest';
import { fill } from './anon.js';
import type { HmmTest } from './harness.js';
import {
  type File,
  hmm_dmirror_cmd,
  HMM_DMIRROR_PROT as PROT,
  hmm_migrate_sys_to_dev,
  type HmmBuffer,
  MADV,
  MAP,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  PTRS_PER_PTE,
} from './machine.js';

const RW = PROT_READ | PROT_WRITE;

/** What a device says of each page. */
export function snapshot(fd: File, buffer: HmmBuffer, size: number): number[] {
  expect(hmm_dmirror_cmd(fd, 'SNAPSHOT', buffer, size)).toBe(0);
  expect(buffer.cpages).toBe(size);
  return buffer.mirror.slice(0, size);
}

export const snapshotTests: Record<string, HmmTest> = {
  mixedmap: {
    asserts: "a private mapping of the driver's own page is READ",
    run({ p, fd, buffer: map }) {
      const buffer = map(1, RW, MAP.PRIVATE, fd);
      expect(snapshot(fd, buffer, 1)).toEqual([PROT.READ]);
      p.munmap(buffer.ptr, 1);
    },
  },

  snapshot: {
    asserts:
      'PROT_NONE and a hole are ERROR; zero, read-only, writable pages and those on each device are told apart',
    two: true,
    run({ p, fd: fd0, fd1, buffer: map, coherent }) {
      const buffer = map(7, PROT_NONE);
      const { ptr } = buffer;
      expect(p.munmap(ptr + 1, 1)).toBe(0);
      expect(p.mprotect(ptr + 2, 1, PROT_READ)).toBe(0);
      const val = p.load(ptr + 2) + 3;
      expect(val).toBe(3);
      expect(p.mprotect(ptr + 3, 1, RW)).toBe(0);
      p.store(ptr + 3, val);
      expect(p.mprotect(ptr + 3, 1, PROT_READ)).toBe(0);
      expect(p.mprotect(ptr + 4, 3, RW)).toBe(0);
      p.store(ptr + 4, val);
      for (const [page, fd] of [
        [5, fd0],
        [6, fd1],
      ] as const) {
        buffer.ptr = ptr + page;
        expect(hmm_migrate_sys_to_dev(fd, buffer, 1)).toBe(0);
        expect(buffer.cpages).toBe(1);
      }
      buffer.ptr = ptr;
      expect(snapshot(fd0, buffer, 7)).toEqual([
        PROT.ERROR,
        PROT.ERROR,
        PROT.ZERO | PROT.READ,
        PROT.READ,
        PROT.WRITE,
        (coherent ? PROT.DEV_COHERENT_LOCAL : PROT.DEV_PRIVATE_LOCAL) | PROT.WRITE,
        coherent ? PROT.DEV_COHERENT_REMOTE | PROT.WRITE : PROT.NONE,
      ]);
      p.munmap(ptr, 7);
    },
  },

  compound: {
    asserts: 'each page of a huge page says PMD, with WRITE; with READ after mprotect()',
    machine: { thp: true },
    run({ p, fd, buffer: map }) {
      const size = PTRS_PER_PTE;
      const buffer = map(2 * size, RW);
      const { ptr } = buffer;
      buffer.ptr = size * Math.ceil(ptr / size);
      expect(p.madvise(buffer.ptr, size, MADV.HUGEPAGE)).toBe(0);
      fill(p, { ...buffer, size });
      expect(snapshot(fd, buffer, size)).toEqual(Array(size).fill(PROT.WRITE | PROT.PMD));
      expect(p.mprotect(buffer.ptr, size, PROT_READ)).toBe(0);
      expect(snapshot(fd, buffer, size)).toEqual(Array(size).fill(PROT.READ | PROT.PMD));
      p.munmap(ptr, 2 * size);
    },
  },
};
