// SPDX-License-Identifier: MIT
/** The device loads from and stores to pages of a file. */
import { expect } from 'vitest';
import { readsOrWrites } from './anon.js';
import type { HmmTest } from './harness.js';
import { counted, MAP, PROT_READ, PROT_WRITE } from './machine.js';

export const fileTests: Record<string, HmmTest> = {
  file_read: {
    asserts: 'the device reads what was written to a shared file',
    run({ p, fd, buffer: map, npages }) {
      const file = p.create(npages);
      expect(p.pwrite(file, counted(npages))).toBe(npages);
      const buffer = map(npages, PROT_READ, MAP.SHARED, file);
      readsOrWrites(fd, 'READ', buffer, npages);
      expect(buffer.mirror).toEqual(counted(npages));
      p.munmap(buffer.ptr, npages);
    },
  },

  file_write: {
    asserts: 'what the device writes to a shared file, the CPU sees and pread() returns',
    run({ p, fd, buffer: map, npages }) {
      const file = p.create(npages);
      const buffer = map(npages, PROT_READ | PROT_WRITE, MAP.SHARED, file);
      buffer.mirror = counted(npages);
      readsOrWrites(fd, 'WRITE', buffer, npages);
      expect(p.loads(buffer.ptr, npages)).toEqual(counted(npages));
      expect(p.pread(file, npages)).toEqual(counted(npages));
      p.munmap(buffer.ptr, npages);
    },
  },
};
