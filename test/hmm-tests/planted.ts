// SPDX-License-Identifier: MIT
/**
 * For each test a fault in src/linux that it notices: a call that is left out, or a knob that is not as in 6.12. `by`: how
 * what is thrown begins, an invariant or an assertion of the test.
 */
import type { Knobs } from '../../src/linux/knobs.js';
import type { Instead } from '../mutants/leave-out.js';
import type { Fixture } from './harness.js';

export type Fault = { readonly by: string } & (
  { readonly without: string; readonly instead?: Instead } | { readonly knobs: Partial<Knobs> }
);

const fault = (by: string, without: string, instead?: Instead): Fault =>
  instead === undefined ? { by, without } : { by, without, instead };

/** By test; where the fixtures run other code, one for each. */
const PLANTED: Record<string, Fault | Record<Fixture, Fault>> = {
  open_close: fault(
    'left in use',
    'lib/test_hmm-fops.ts dmirror_fops_release mmu_interval_notifier_remove#1',
  ),
  anon_read: fault('SPTE-COHERENT', 'mm/hmm.ts hmm_range_fault walk_page_range#1'),
  anon_read_prot: fault('expected +0 to be -14', 'mm/mprotect.ts changeVma write#1'),
  anon_write: fault('MAP-SUM', 'mm/memory-fault.ts do_anonymous_page folio_add_new_anon_rmap#1'),
  anon_write_prot: fault('TLB', 'mm/memory-wp.ts wp_page_copy ptep_clear_flush#1'),
  anon_write_child: fault('ANON-EXCL', 'mm/memory-fork.ts copy_present_pte ptep_set_wrprotect#1'),
  anon_write_child_shared: fault('left in use: inode', 'kernel/fork.ts dup_mmap get_file#1'),
  anon_write_huge: fault('REF-SUM', 'mm/huge_memory.ts zap_huge_pmd free_unref_page#1'),
  file_read: fault('REF-SUM', 'mm/shmem.ts shmem_add_to_page_cache folio_get#1'),
  file_write: fault('MAP-SUM', 'mm/memory-file.ts set_pte_range folio_add_file_rmap_pte#1'),
  migrate: fault('expected', 'mm/migrate_device.ts migrate_device_unmap isolate#1', false),
  migrate_file_private: fault('expected', 'mm/memory-file.ts do_cow_fault vmf_anon_prepare#1'),
  migrate_fault: {
    device_private: fault('REF-SUM', 'mm/memory-device.ts faultDevicePrivate folio_put#1'),
    device_coherent: fault('WARN-ON', 'mm/migrate_device-collect.ts select is_device_coherent_page#1', false),
  },
  migrate_release: fault('expected', 'lib/test_hmm-devmem.ts dmirror_device_evict_chunk copy_user_page#1'),
  migrate_shared: fault('expected', 'include/mm.ts vma_is_anonymous load#1'),
  migrate_mixed: {
    device_private: fault('expected', 'lib/test_hmm-migrate.ts nextPart load#1', 1),
    device_coherent: fault('SPTE-COHERENT', 'lib/test_hmm-migrate.ts nextPart load#1', 1),
  },
  migrate_multiple: fault('expected', 'lib/test_hmm-devmem.ts dmirror_devmem_free store#2'),
  snapshot: fault('expected [', 'mm/hmm.ts walk_page_range hmm_vma_walk_hole#2'),
  double_map: { by: 'NOTIFY-ORDER', knobs: { 'migrate_vma.notifier': 'off' } },
  hmm_gup_test: {
    device_private: fault('MAP-SUM', 'mm/rmap-migrate.ts remove_migration_pte folio_add_anon_rmap_pte#1'),
    device_coherent: fault('WARN-ON', 'mm/gup-longterm.ts longtermPinned check_and_migrate_movable_pages#1'),
  },
  hmm_cow_in_device: {
    device_private: fault('REF-SUM', 'mm/memory-swap.ts copy_nonpresent_pte folio_get#1'),
    device_coherent: fault('MAP-SUM', 'mm/memory-wp.ts wp_page_copy folio_remove_rmap_pte#1'),
  },
  anon_read_multiple: fault('SPTE-COHERENT', 'lib/test_hmm.ts dmirror_do_update deviceErase#1'),
  anon_teardown: fault('NOTIFY-ORDER', 'mm/memory.ts unmap_vmas mmu_notifier_invalidate_range_start#1'),
  mixedmap: fault('MAP-SUM', 'mm/memory-insert.ts insert_page_into_pte_locked folio_get#1'),
  compound: fault('expected [', 'mm/mprotect.ts change_protection change_huge_pmd#1', true),
  exclusive: fault(
    'EXCL',
    'mm/memory-exclusive.ts remove_device_exclusive_entry mmu_notifier_invalidate_range_start#1',
  ),
  exclusive_mprotect: { by: 'SPTE-COHERENT', knobs: { 'change_protection.notifier': 'off' } },
  exclusive_cow: fault('LOCK', 'mm/memory-exclusive.ts try_restore_exclusive_pte folio_unlock#1'),
};

/** The fault that a test is to notice. */
export function faultOf(name: string, fixture: Fixture): Fault | undefined {
  const planted = PLANTED[name];
  return planted === undefined || 'by' in planted ? planted : planted[fixture];
}
