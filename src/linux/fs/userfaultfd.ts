// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { awaitClear, clearBits, setBits } from '../../core/primitives.js';
import { mmap_read_unlock } from '../include/mmap_lock.js';
import {
  pmd_none,
  pmd_present,
  pmdp_get_lockless,
  pte_none,
  pte_offset_map,
  pte_present,
  pte_unmap,
  pte_write,
  ptep_get,
} from '../include/pgtable.js';
import type { UserfaultfdCtx } from '../include/userfaultfd_k.js';
import { current } from '../kernel.js';
import { FAULT_FLAG, VM_FAULT, type VmFault } from '../mm/memory-fault.js';
import { mwriteprotect_range } from '../mm/userfaultfd.js';

/**
 * Whether the fault is still to be served: it may have been since the PTL was dropped. Read without the lock, since the
 * task is queued already: who serves the fault from here on wakes it.
 * @context mmap_lock held for read
 * @kernel 6.12 fs/userfaultfd.c userfaultfd_must_wait: adapted (upper levels folded; no huge PMDs)
 */
function* userfaultfd_must_wait(vmf: VmFault): Path<boolean> {
  const pmd = yield* pmdp_get_lockless(vmf.pmd);
  if (pmd_none(pmd)) return true;
  if (!pmd_present(pmd)) return false;
  const ptep = yield* pte_offset_map(vmf.pmd, vmf.address);
  if (ptep === undefined) return true;
  const ptent = yield* ptep_get(ptep);
  yield* pte_unmap();
  return pte_none(ptent) || (pte_present(ptent) && !pte_write(ptent));
}

/**
 * A store met an entry that userfaultfd has write-protected: waits until the monitor has served it, with mmap_lock
 * dropped, and has the access tried again. A caller that does not allow that (GUP without FOLL_UNLOCKABLE) gets SIGBUS.
 * @context mmap_lock held for read at entry, dropped if it returns VM_FAULT_RETRY; may sleep
 * @kernel 6.12 fs/userfaultfd.c handle_userfault: adapted (write-protect mode; no messages, no signals, no release)
 */
export function* handle_userfault(vmf: VmFault): Path<number> {
  const ctx = vmf.vma.vm_userfaultfd_ctx;
  if (ctx === undefined || ctx.sigbus || !(vmf.flags & FAULT_FLAG.ALLOW_RETRY)) return VM_FAULT.SIGBUS;
  const me = 1 << current.task.agent;
  yield* setBits(ctx.fault_pending_wqh, me);
  const must_wait = yield* userfaultfd_must_wait(vmf);
  yield* mmap_read_unlock(vmf.mm);
  if (must_wait) yield* awaitClear(ctx.fault_pending_wqh, me);
  else yield* clearBits(ctx.fault_pending_wqh, me);
  return VM_FAULT.RETRY;
}

/** Has all tasks that wait try their access again. @kernel 6.12 fs/userfaultfd.c wake_userfault: adapted (all ranges) */
function* wake_userfault(ctx: UserfaultfdCtx): Path {
  yield* clearBits(ctx.fault_pending_wqh, -1);
}

/**
 * ioctl(UFFDIO_WRITEPROTECT): write-protects [start, start + len), or gives it free and wakes who waits.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 fs/userfaultfd.c userfaultfd_writeprotect: adapted (never MODE_DONTWAKE; the range is valid)
 */
export function* userfaultfd_writeprotect(
  ctx: UserfaultfdCtx,
  start: number,
  len: number,
  mode_wp: boolean,
): Path<number> {
  const ret = yield* mwriteprotect_range(ctx, start, len, mode_wp);
  if (ret === 0 && !mode_wp) yield* wake_userfault(ctx);
  return ret;
}
