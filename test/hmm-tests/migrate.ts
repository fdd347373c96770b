// SPDX-License-Identifier: MIT
/** Memory is migrated to a device, and back. */
import { expect } from 'vitest';
import { fill, readsOrWrites } from './anon.js';
import { type HmmTest, LARGE } from './harness.js';
import {
  counted,
  EINVAL,
  ENOENT,
  type File,
  hmm_dmirror_cmd,
  hmm_migrate_dev_to_sys,
  hmm_migrate_sys_to_dev,
  type HmmBuffer,
  MAP,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from './machine.js';

const RW = PROT_READ | PROT_WRITE;
const NTIMES = 10;

/** All of the buffer goes to the device, which reads it there. */
export function migrates(fd: File, buffer: HmmBuffer, size: number): void {
  expect(hmm_migrate_sys_to_dev(fd, buffer, size)).toBe(0);
  expect(buffer.cpages).toBe(size);
  expect(buffer.mirror).toEqual(counted(size));
}

export const migrateTests: Record<string, HmmTest> = {
  migrate: {
    asserts: 'anonymous memory goes to the device, all of it, with its data',
    npages: LARGE,
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      fill(p, buffer);
      migrates(fd, buffer, npages);
      p.munmap(buffer.ptr, npages);
    },
  },

  migrate_file_private: {
    asserts: 'private copies of pages of a file go to the device as anonymous memory does',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW, MAP.PRIVATE, p.create(npages));
      fill(p, buffer);
      migrates(fd, buffer, npages);
      p.munmap(buffer.ptr, npages);
    },
  },

  migrate_fault: {
    asserts: 'to the device, half of it back by CPU faults, and the mix to the device again',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      fill(p, buffer);
      migrates(fd, buffer, npages);
      expect(p.loads(buffer.ptr, npages / 2)).toEqual(counted(npages / 2));
      migrates(fd, buffer, npages);
      p.munmap(buffer.ptr, npages);
    },
  },

  migrate_release: {
    asserts: 'a device that gives up its memory sends all pages back',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW);
      fill(p, buffer);
      migrates(fd, buffer, npages);
      expect(hmm_dmirror_cmd(fd, 'RELEASE', buffer, npages)).toBe(0);
      expect(p.loads(buffer.ptr, npages / 2)).toEqual(counted(npages / 2));
      p.munmap(buffer.ptr, npages);
    },
  },

  migrate_shared: {
    asserts: 'shared anonymous memory is not migrated: -ENOENT',
    run({ p, fd, buffer: map, npages }) {
      const buffer = map(npages, RW, MAP.SHARED);
      expect(hmm_migrate_sys_to_dev(fd, buffer, npages)).toBe(-ENOENT);
      p.munmap(buffer.ptr, npages);
    },
  },

  migrate_mixed: {
    asserts:
      'PROT_NONE and holes are -EINVAL; zero, read-only and writable pages go; those of another device do not',
    two: true,
    run({ p, fd: fd0, fd1, buffer: map }) {
      const buffer = map(6, PROT_NONE);
      const { ptr } = buffer;
      expect(hmm_migrate_sys_to_dev(fd1, buffer, 6)).toBe(-EINVAL);
      // A hole behind the first page.
      expect(p.munmap(ptr + 1, 1)).toBe(0);
      expect(hmm_migrate_sys_to_dev(fd1, buffer, 3)).toBe(-EINVAL);
      // Page 2 is the zero page, page 3 read-only, pages 4 and 5 are writable.
      expect(p.mprotect(ptr + 2, 1, PROT_READ)).toBe(0);
      const val = p.load(ptr + 2) + 3;
      expect(val).toBe(3);
      expect(p.mprotect(ptr + 3, 1, RW)).toBe(0);
      p.store(ptr + 3, val);
      expect(p.mprotect(ptr + 3, 1, PROT_READ)).toBe(0);
      expect(p.mprotect(ptr + 4, 2, RW)).toBe(0);
      p.store(ptr + 4, val);
      p.store(ptr + 5, val);
      buffer.ptr = ptr + 2;
      expect(hmm_migrate_sys_to_dev(fd1, buffer, 4)).toBe(0);
      expect(buffer.cpages).toBe(4);
      // Page 5 is on device 1, so device 0 does not get it.
      buffer.ptr = ptr + 5;
      expect(hmm_migrate_sys_to_dev(fd0, buffer, 1)).toBe(-ENOENT);
      p.munmap(ptr, 6);
    },
  },

  migrate_multiple: {
    asserts: 'to the device and back, again and again; what the CPU can reach there goes back on demand',
    run({ p, fd, buffer: map, coherent, npages }) {
      for (let c = 0; c < NTIMES; c++) {
        const buffer = map(npages, RW);
        fill(p, buffer);
        migrates(fd, buffer, npages);
        if (coherent) {
          expect(hmm_migrate_dev_to_sys(fd, buffer, npages)).toBe(0);
          expect(buffer.cpages).toBe(npages);
        }
        expect(p.loads(buffer.ptr, npages)).toEqual(counted(npages));
        p.munmap(buffer.ptr, npages);
      }
    },
  },

  double_map: {
    asserts: 'two devices read the same pages; when they have gone to one, the other reads the same',
    two: true,
    run({ p, fd: fd0, fd1, buffer: map }) {
      const buffer = map(6, RW);
      fill(p, buffer);
      expect(p.mprotect(buffer.ptr, 6, PROT_READ)).toBe(0);
      for (const fd of [fd0, fd1]) {
        readsOrWrites(fd, 'READ', buffer, 6);
        expect(buffer.mirror).toEqual(counted(6));
        buffer.mirror.fill(0);
      }
      expect(hmm_migrate_sys_to_dev(fd1, buffer, 6)).toBe(0);
      expect(buffer.cpages).toBe(6);
      readsOrWrites(fd0, 'READ', buffer, 6);
      expect(buffer.mirror).toEqual(counted(6));
      p.munmap(buffer.ptr, 6);
    },
  },
};
