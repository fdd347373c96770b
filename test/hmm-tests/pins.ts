// SPDX-License-Identifier: MIT
/** Device memory meets GUP, and copy on write. */
import { expect } from 'vitest';
import { fill } from './anon.js';
import type { HmmTest } from './harness.js';
import { migrates } from './migrate.js';
import { snapshot } from './snapshot.js';
import { counted, FOLL, HMM_DMIRROR_PROT as PROT, PROT_READ, PROT_WRITE } from './machine.js';

const RW = PROT_READ | PROT_WRITE;

export const pinTests: Record<string, HmmTest> = {
  hmm_gup_test: {
    asserts:
      'private device pages come back when the CPU takes references, coherent ones when they are pinned for long',
    run({ p, fd, buffer: map, coherent }) {
      const buffer = map(4, RW);
      fill(p, buffer);
      migrates(fd, buffer, 4);
      const { ptr } = buffer;
      expect(p.gup_test('GUP_BASIC_TEST', ptr, 1, FOLL.WRITE)).toBe(1);
      expect(p.gup_test('GUP_FAST_BENCHMARK', ptr + 1, 1, FOLL.WRITE)).toBe(1);
      expect(p.gup_test('PIN_FAST_BENCHMARK', ptr + 2, 1, FOLL.WRITE | FOLL.LONGTERM)).toBe(1);
      expect(p.gup_test('PIN_LONGTERM_BENCHMARK', ptr + 3, 1, FOLL.WRITE)).toBe(1);
      const kept = (coherent ? PROT.DEV_COHERENT_LOCAL : PROT.NONE) | PROT.WRITE;
      expect(snapshot(fd, buffer, 4)).toEqual([kept, kept, PROT.WRITE, PROT.WRITE]);
      expect(p.loads(ptr, 4)).toEqual(counted(4));
      p.munmap(ptr, 4);
    },
  },

  hmm_cow_in_device: {
    asserts: 'a store after fork copies device pages to system memory: WRITE',
    run({ p, fd, buffer: map }) {
      const buffer = map(4, RW);
      fill(p, buffer);
      migrates(fd, buffer, 4);
      p.fork(
        () => {},
        () => fill(p, buffer),
      );
      expect(snapshot(fd, buffer, 4)).toEqual(Array(4).fill(PROT.WRITE));
      p.munmap(buffer.ptr, 4);
    },
  },
};
