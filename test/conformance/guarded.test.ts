// SPDX-License-Identifier: MIT
/** A replay has one operation after the other, so no race tells of a missing lock: the rules for the fields do. */
import { expect, test } from 'vitest';
import { siteCount } from '../../src/core/live.js';
import { type Mutant, mutantsOf, mutated, nameOf } from '../../src/cli/mutants.js';
import { modelAnswer } from '../../conformance/compare.js';

const SCRIPT = `P0 mmap R0 4 rw anon
P0 w R0 0 0x10
P0 w R0 1 0x11
P0 mprotect R0 0 1 r
P0 mprotect R0 0 1 rw
P0 fork P1
P1 w R0 1 0x12
P1 madvise R0 0 4 pageout
P1 r R0 1
P0 mmap R1 4 rw memfd
P0 w R1 0 0x20
P0 madvise R1 0 1 remove
P0 w R0 1 0x21
P0 mremap R0 0 2 R2 0
P0 open 0
P0 dwrite 0 R2 1 1 0x30
P0 excl 0 R2 1 1
P0 w R2 1 0x31
P0 mprotect R2 0 2 r
P0 munmap R2 0 2
P1 exit
`;

const mutants = new Map<string, Mutant>();
for (let site = 0; site < siteCount(); site++)
  for (const mutant of mutantsOf(site)) mutants.set(nameOf(mutant), mutant);

const lastLine = (mutant?: Mutant): string => {
  const run = () => modelAnswer(SCRIPT, 'script', { judged: 'operation', limit: 20_000 }).at(-1)!;
  return mutant === undefined ? run() : mutated(mutant, run);
};

test('nothing is missing', () => {
  expect(lastLine()).toContain('> P1 exit');
});

test.each([
  ['mm/mprotect.ts change_pte_range pte_offset_map_lock#1 lock', 'GUARDED-BY: P0 looks at .* without a PTL'],
  ['include/pgtable.ts pte_offset_map_lock spin_lock#1 lock', 'GUARDED-BY: .*without (a PTL|.*ptl)'],
  ['mm/mprotect.ts do_mprotect_pkey mmap_write_lock#1 lock', 'LOCK-HELD: .* P0.mmap_lock'],
  [
    'mm/memory-fork.ts copy_pte_range spin_lock_nested#1 lock',
    'GUARDED-BY: P0 changes .*pte.* without .*ptl',
  ],
  ['mm/rmap-anon_vma.ts anonVmaForkChain anon_vma_lock_write#1 lock', 'GUARDED-BY: .*anon_vma'],
  ['mm/rmap.ts rmapWalkBegin anon_vma_lock_read#1 lock', 'GUARDED-BY: .*anon_vma_interval_tree'],
  ['mm/memory.ts unmap_mapping_pages down_read#1 lock', 'GUARDED-BY: .*vma_interval_tree'],
  ['mm/vma-merge.ts vma_prepare anon_vma_lock_write#1 lock', 'GUARDED-BY: P0 changes P0.vma'],
  ['mm/memory-exclusive.ts remove_device_exclusive_entry folio_lock#1 lock', 'LOCK-HELD: '],
  ['mm/mmu_notifier.ts mn_itree_inv_start_range spin_lock#1 lock', 'GUARDED-BY: .*notifiers.lock'],
  ['lib/test_hmm.ts dmirror_write mutex_lock#1 lock', 'GUARDED-BY: .*dmirror.mutex'],
  [
    'mm/mprotect.ts change_protection mmu_notifier_invalidate_range_end#1 skip',
    'NOTIFY-BALANCE: |DEADLOCK: ',
  ],
])('without %s: %s', (name, found) => {
  const mutant = mutants.get(name);
  if (mutant === undefined) throw new Error(`expected a mutant ${name}`);
  expect(lastLine(mutant)).toMatch(new RegExp(`^the model is broken: .*${found}`));
});
