// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: faults on what the NUMA scan took the access from. */
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import type { PtePointer } from '../include/mm_types.js';
import {
  pte_mkwrite,
  pte_unmap_unlock,
  ptep_get_and_clear,
  pteUnchanged,
  set_pte,
} from '../include/pgtable.js';
import { spin_lock } from '../kernel/locking/spinlock.js';
import { VM_FAULT, type VmFault } from './memory-fault.js';
import {
  can_change_pte_writable,
  pte_modify,
  vm_page_prot,
  vma_wants_manual_pte_write_upgrade,
} from './mprotect.js';

/**
 * Serves a fault on an entry that the NUMA scan took the access from: gives it back, writable if no write fault is
 * needed for anything else.
 * @context mmap_lock held for read; the table is mapped, and unmapped at return
 * @kernel 6.12 mm/memory.c do_numa_page: adapted (numa_rebuild_single_mapping() folded in; the page stays where it is)
 */
export function* do_numa_page(vmf: VmFault, ptep: PtePointer, ptl: Cell): Path<number> {
  const { vma, orig_pte } = vmf;
  yield* spin_lock(ptl);
  if (!(yield* pteUnchanged(ptep, orig_pte))) {
    yield* pte_unmap_unlock(ptl);
    return VM_FAULT.NONE;
  }
  const vm_flags = yield* load(vma.vm_flags);
  const newprot = vm_page_prot(vm_flags);
  const writable =
    vma_wants_manual_pte_write_upgrade(vm_flags) &&
    (yield* can_change_pte_writable(vma, pte_modify(orig_pte, newprot)));
  const old_pte = yield* ptep_get_and_clear(ptep);
  const pte = pte_modify(old_pte, newprot);
  yield* set_pte(ptep, writable ? pte_mkwrite(pte) : pte);
  yield* pte_unmap_unlock(ptl);
  return VM_FAULT.NONE;
}
