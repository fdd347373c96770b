// SPDX-License-Identifier: MIT
/** The device loads from and stores to anonymous memory. */
import { expect } from 'vitest';
import { type HmmTest, LARGE } from './harness.js';
import {
  counted,
  EFAULT,
  EPERM,
  type File,
  hmm_dmirror_cmd,
  HMM_PRIVATE_DEVICE_ONE,
  type HmmBuffer,
  MADV,
  MAP,
  others,
  type Process,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  PTRS_PER_PTE,
} from './machine.js';

const RW = PROT_READ | PROT_WRITE;
/** Rounds of the tests that do a thing again and again. */
const NTIMES = 10;

/** The program fills its buffer, from page `first` on. */
export function fill(p: Process, buffer: HmmBuffer, values = counted(buffer.size), first = 0): void {
  for (let i = first; i < buffer.size; i++) p.store(buffer.ptr + i, values[i]!);
}

/** The device reads or writes the buffer: one fault serves all of it. */
export function readsOrWrites(fd: File, request: 'READ' | 'WRITE', buffer: HmmBuffer, size: number): void {
  expect(hmm_dmirror_cmd(fd, request, buffer, size)).toBe(0);
  expect({ cpages: buffer.cpages, faults: buffer.faults }).toEqual({ cpages: size, faults: 1 });
}

/** A device of the child stores to what it has inherited; `seen`: what the parent sees then. */
function childWrites(p: Process, buffer: HmmBuffer, seen: readonly number[]): void {
  fill(p, buffer);
  buffer.mirror = others(buffer.size);
  p.fork((child) => {
    expect(child.loads(buffer.ptr, buffer.size)).toEqual(counted(buffer.size));
    expect(buffer.mirror).toEqual(others(buffer.size));
    // A mirror of its own: that of the parent mirrors the parent.
    const child_fd = child.open(HMM_PRIVATE_DEVICE_ONE);
    readsOrWrites(child_fd, 'WRITE', buffer, buffer.size);
    expect(child.loads(buffer.ptr, buffer.size)).toEqual(others(buffer.size));
    child.close(child_fd);
  });
  expect(p.loads(buffer.ptr, buffer.size)).toEqual(seen);
}

export const anonTests: Record<string, HmmTest> = {
  open_close: {
    asserts: 'the device file opens and closes',
    run: ({ p, fd }) => expect(p.close(fd)).toBe(0),
  },

  anon_read: {
    asserts: 'the device reads untouched, zero and filled pages with one fault',
    npages: LARGE,
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      // Page 0 stays without an entry, page 1 becomes the zero page.
      fill(p, buffer, counted(npages), 2);
      expect(p.mprotect(buffer.ptr, npages, PROT_READ)).toBe(0);
      expect(p.load(buffer.ptr + 1)).toBe(0);
      readsOrWrites(fd, 'READ', buffer, npages);
      expect(buffer.mirror).toEqual([0, 0, ...counted(npages - 2, 3)]);
      p.munmap(buffer.ptr, npages);
    },
  },

  anon_read_prot: {
    asserts: 'a device read of PROT_NONE memory is -EFAULT and copies nothing',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      fill(p, buffer);
      buffer.mirror = others(npages);
      expect(p.mprotect(buffer.ptr, npages, PROT_NONE)).toBe(0);
      expect(hmm_dmirror_cmd(fd, 'READ', buffer, npages)).toBe(-EFAULT);
      expect(p.mprotect(buffer.ptr, npages, PROT_READ)).toBe(0);
      expect(p.loads(buffer.ptr, npages)).toEqual(counted(npages));
      expect(buffer.mirror).toEqual(others(npages));
      p.munmap(buffer.ptr, npages);
    },
  },

  anon_write: {
    asserts: 'the device writes untouched memory with one fault, and the CPU sees it',
    npages: LARGE,
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      buffer.mirror = counted(npages);
      readsOrWrites(fd, 'WRITE', buffer, npages);
      expect(p.loads(buffer.ptr, npages)).toEqual(counted(npages));
      p.munmap(buffer.ptr, npages);
    },
  },

  anon_write_prot: {
    asserts: 'read-only memory: a device read works, a write is -EPERM; after mprotect() it works',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, PROT_READ);
      readsOrWrites(fd, 'READ', buffer, 1);
      buffer.mirror = counted(npages);
      expect(hmm_dmirror_cmd(fd, 'WRITE', buffer, npages)).toBe(-EPERM);
      expect(p.loads(buffer.ptr, npages)).toEqual(Array(npages).fill(0));
      // The zero pages are replaced.
      expect(p.mprotect(buffer.ptr, npages, RW)).toBe(0);
      readsOrWrites(fd, 'WRITE', buffer, npages);
      expect(p.loads(buffer.ptr, npages)).toEqual(counted(npages));
      p.munmap(buffer.ptr, npages);
    },
  },

  anon_write_child: {
    asserts: "a device write in a forked child copies private memory: the parent's stays",
    machine: { childUnits: [HMM_PRIVATE_DEVICE_ONE] },
    run({ p, buffer: map, npages }) {
      childWrites(p, map(npages, RW), counted(npages));
    },
  },

  anon_write_child_shared: {
    asserts: 'a device write in a forked child reaches the parent by shared memory',
    machine: { childUnits: [HMM_PRIVATE_DEVICE_ONE] },
    run({ p, buffer: map, npages }) {
      childWrites(p, map(npages, RW, MAP.SHARED), others(npages));
    },
  },

  anon_write_huge: {
    asserts: 'the device writes memory that a huge page backs, with one fault',
    machine: { thp: true },
    run({ p, fd, buffer: map }) {
      const size = PTRS_PER_PTE;
      const buffer = map(2 * size, RW);
      const { ptr } = buffer;
      buffer.ptr = size * Math.ceil(ptr / size);
      expect(p.madvise(buffer.ptr, size, MADV.HUGEPAGE)).toBe(0);
      buffer.mirror = counted(size);
      readsOrWrites(fd, 'WRITE', buffer, size);
      expect(p.loads(buffer.ptr, size)).toEqual(counted(size));
      p.munmap(ptr, 2 * size);
    },
  },

  anon_write_hugetlbfs: {
    asserts: 'the device writes a page of hugetlbfs',
    skipped: 'the model has no hugetlbfs',
    run() {},
  },

  anon_read_multiple: {
    asserts: 'memory that is mapped, filled and read again and again: one fault each time',
    run({ p, fd, buffer: map, npages }) {
      for (let c = 0; c < NTIMES; c++) {
        const buffer = map(npages, RW);
        fill(p, buffer, counted(npages, c));
        readsOrWrites(fd, 'READ', buffer, npages);
        expect(buffer.mirror).toEqual(counted(npages, c));
        p.munmap(buffer.ptr, npages);
      }
    },
  },

  anon_teardown: {
    asserts: 'a device read beside munmap() gets all pages and the right data, or an error',
    run({ p, fd, buffer: map, npages }) {
      const outcomes = new Set<number>();
      for (let c = 0; c < NTIMES; c++) {
        const buffer = map(npages, RW);
        fill(p, buffer, counted(npages, c));
        // From step for step to long after the device has read.
        p.munmapBeside(buffer.ptr + npages / 2, npages / 2, 2 ** c);
        const ret = hmm_dmirror_cmd(fd, 'READ', buffer, npages);
        outcomes.add(ret);
        if (ret === 0) {
          expect({ cpages: buffer.cpages, faults: buffer.faults }).toEqual({ cpages: npages, faults: 1 });
          expect(buffer.mirror).toEqual(counted(npages, c));
        }
        p.join();
        p.munmap(buffer.ptr, npages / 2);
      }
      expect(outcomes).toEqual(new Set([-EFAULT, 0]));
    },
  },
};
