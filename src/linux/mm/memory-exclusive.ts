// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: device-exclusive entries become present again. */
import type { Path } from '../../core/path.js';
import { claim, load, testBits } from '../../core/primitives.js';
import { PTE } from '../../machine/pte.js';
import { EBUSY } from '../include/errno.js';
import { assertFolioLocked, lockdep_assert_held } from '../include/lockdep.js';
import { PG, VM, type Folio, type Mm, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  mmu_notifier_range_init_owner,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { folio_try_get, page_folio } from '../include/page_ref.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  mk_pte,
  PAGE_SIZE,
  pmd_offset,
  type Pte,
  pte_mkdirty,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_get,
  pteUnchanged,
  set_pte,
} from '../include/pgtable.js';
import {
  is_device_exclusive_entry,
  is_writable_device_exclusive_entry,
  pfn_swap_entry_to_page,
} from '../include/swapops.js';
import { current, knob } from '../kernel.js';
import { VM_FAULT, type VmFault } from './memory-fault.js';
import { can_change_pte_writable, vm_page_prot } from './mprotect.js';
import {
  DEFINE_FOLIO_VMA_WALK,
  page_vma_mapped_walk,
  page_vma_mapped_walk_done,
  PVMW,
} from './page_vma_mapped.js';
import { folio_add_anon_rmap_pte, type RmapTarget, rmapWalkBegin, rmapWalkEnd } from './rmap.js';
import { folio_put } from './swap.js';

/**
 * Makes a device-exclusive entry present again, with the reference that the entry has. It was not present before, so no
 * CPU needs a flush.
 * @context PTL held, folio locked
 * @kernel 6.12 mm/memory.c restore_exclusive_pte: adapted (no accessed bit, no assertion on PG_anon_exclusive; knob exclusive.entry is 6.15's form)
 */
export function* restore_exclusive_pte(vma: Vma, page: Page, _address: number, ptep: PtePointer): Path {
  const folio = yield* page_folio(page);
  assertFolioLocked(folio);
  const orig_pte = yield* ptep_get(ptep);
  const vm_flags = yield* load(vma.vm_flags);
  let pte = mk_pte(page, vm_page_prot(vm_flags));
  pte |= orig_pte & (PTE.SOFT_DIRTY | PTE.UFFD_WP);
  if (knob('exclusive.entry') === 'single') pte = yield* writableAnew(vma, vm_flags, folio, pte);
  else if (!(orig_pte & PTE.UFFD_WP) && is_writable_device_exclusive_entry(orig_pte)) {
    pte = pte_mkdirty(pte);
    if (vm_flags & VM.WRITE) pte = pte_mkwrite(pte); // maybe_mkwrite()
  }
  const counted = knob('exclusive.mapcount') === 'kept';
  const locksAgain = knob('restore.mlock') === 'on' ? vma : undefined;
  if (!counted && knob('restore.rmap') === 'rmap-set') yield* folio_add_anon_rmap_pte(page, locksAgain);
  yield* set_pte(ptep, pte);
  if (!counted && knob('restore.rmap') === 'set-rmap') yield* folio_add_anon_rmap_pte(page, locksAgain);
}

/** The entry does not say whether it was writable: finds out. @context PTL held @kernel 6.15 mm/memory.c restore_exclusive_pte: adapted (the part for the write permission) */
function* writableAnew(vma: Vma, vm_flags: number, folio: Folio, pte: Pte): Path<Pte> {
  if (!(vm_flags & VM.WRITE) || !(yield* can_change_pte_writable(vma, pte))) return pte;
  const dirty = yield* testBits(folio.flags, PG.dirty);
  return pte_mkwrite(dirty ? pte_mkdirty(pte) : pte);
}

/**
 * Restores the entry if the folio can be locked without sleeping. Returns 0 or -EBUSY.
 * @context PTL held
 * @kernel 6.12 mm/memory.c try_restore_exclusive_pte: faithful
 */
export function* try_restore_exclusive_pte(ptep: PtePointer, vma: Vma, addr: number): Path<number> {
  const page = pfn_swap_entry_to_page(yield* ptep_get(ptep));
  const folio = yield* page_folio(page);
  if (!(yield* folio_trylock(folio))) return -EBUSY;
  yield* restore_exclusive_pte(vma, page, addr, ptep);
  yield* folio_unlock(folio);
  return 0;
}

/** What the restoring fault tells: knob restore.event. undefined: nothing. */
function restoreRange(mm: Mm, start: number): MmuNotifierRange | undefined {
  const event = knob('restore.event');
  const end = start + PAGE_SIZE;
  if (event === 'none') return undefined;
  if (event === 'clear') return mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, start, end);
  const made = current.kernel.machine.devices.find(({ space }) => space === mm.number);
  const owner = event === 'owner' && made !== undefined ? made.number + 1 : 0;
  return mmu_notifier_range_init_owner(MMU_NOTIFY.EXCLUSIVE, 0, mm, start, end, owner);
}

/**
 * A CPU touched a page that a device has for itself: the device is told, then the entry is restored, if it is still the
 * one that faulted. The folio lock waits until a driver that has just made the page exclusive has mapped it.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c remove_device_exclusive_entry: adapted (waits for the folio lock with mmap_lock held; knobs restore.*)
 */
export function* remove_device_exclusive_entry(vmf: VmFault): Path<number> {
  const { vma, address, orig_pte } = vmf;
  const named = pfn_swap_entry_to_page(orig_pte);
  const folio = yield* page_folio(named);
  const page = knob('restore.page') === 'entry' ? named : folio;
  const takesRef = knob('restore.folio_ref') === 'try-get';
  // Without the PTL nothing but a reference keeps the folio from being freed while its lock is waited for.
  if (takesRef && !(yield* folio_try_get(folio))) return VM_FAULT.NONE;
  const notifiesFirst = knob('restore.order') === 'notify-lock';
  if (!notifiesFirst) yield* folio_lock(folio); // folio_lock_or_retry()
  const others = yield* sharersBegin(folio, vma, address);
  const range = restoreRange(vma.vm_mm, address);
  if (range !== undefined) yield* mmu_notifier_invalidate_range_start(range);
  if (notifiesFirst) yield* folio_lock(folio);
  if (knob('restore.find') === 'pte-lock') yield* restoreAtPte(vmf, page);
  else yield* restoreByWalk(vmf, page);
  yield* folio_unlock(folio);
  if (takesRef) yield* folio_put(folio);
  if (range !== undefined) yield* mmu_notifier_invalidate_range_end(range);
  yield* sharersEnd(others);
  return VM_FAULT.NONE;
}

/** remove_device_exclusive_entry(), what is done under the PTL. @context folio locked */
function* restoreAtPte(vmf: VmFault, page: Page): Path {
  const mapped = yield* pte_offset_map_lock(vmf.pmd, vmf.address);
  if (mapped === undefined) {
    const handled = knob('restore.null_table') === 'handled';
    yield* claim(handled, 'TABLE-ALIVE', 'the entry is compared through a pointer that is NULL');
    return;
  }
  if (knob('restore.pte_same') === 'off' || (yield* pteUnchanged(mapped.ptep, vmf.orig_pte)))
    yield* restore_exclusive_pte(vmf.vma, page, vmf.address, mapped.ptep);
  yield* pte_unmap_unlock(mapped.ptl);
}

/** The same in the versions that walk the mappings of the page: of one page, or of a whole folio if it is the head. @context folio locked */
function* restoreByWalk(vmf: VmFault, page: Page): Path {
  const pvmw = DEFINE_FOLIO_VMA_WALK(page, vmf.vma, vmf.address, PVMW.SYNC);
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    if (knob('restore.pte_same') === 'on' && !(yield* pteUnchanged(ptep, vmf.orig_pte))) {
      yield* page_vma_mapped_walk_done(pvmw);
      break;
    }
    yield* restore_exclusive_pte(vmf.vma, page, pvmw.address, ptep);
  }
}

/** The other mappings of a page that were told of a restore, and the anon_vma whose lock is held for it. */
interface Sharers {
  readonly walk: { readonly anon_vma: number; readonly targets: readonly RmapTarget[] };
  readonly ranges: readonly MmuNotifierRange[];
}

/**
 * Knob restore.sharers: tells every other mm that may have the page, and with `revert-all` restores its entry as well,
 * before the faulting entry is looked at.
 * @context folio locked; may sleep
 */
function* sharersBegin(folio: Folio, vma: Vma, address: number): Path<Sharers | undefined> {
  const how = knob('restore.sharers');
  if (how === 'this-entry') return undefined;
  const walk = yield* rmapWalkBegin(folio);
  const ranges: MmuNotifierRange[] = [];
  for (const target of walk.targets) {
    if (target.vma === vma && target.address === address) continue;
    const range = restoreRange(target.vma.vm_mm, target.address);
    if (range === undefined) continue;
    ranges.push(range);
    yield* mmu_notifier_invalidate_range_start(range);
  }
  if (how === 'revert-all')
    for (const target of walk.targets)
      if (target.vma !== vma || target.address !== address)
        yield* revertEntry(folio, target.vma, target.address);
  return { walk, ranges };
}

/** @context folio locked, anon_vma lock held */
function* revertEntry(folio: Folio, vma: Vma, address: number): Path {
  const mapped = yield* pte_offset_map_lock(pmd_offset(vma.vm_mm, address), address);
  if (mapped === undefined) return;
  lockdep_assert_held(folio.lock);
  const pte = yield* ptep_get(mapped.ptep);
  if (is_device_exclusive_entry(pte) && pfn_swap_entry_to_page(pte) === folio)
    yield* restore_exclusive_pte(vma, folio, address, mapped.ptep);
  yield* pte_unmap_unlock(mapped.ptl);
}

/** The other end of {@link sharersBegin}. @context may sleep */
function* sharersEnd(sharers: Sharers | undefined): Path {
  if (sharers === undefined) return;
  for (const range of sharers.ranges) yield* mmu_notifier_invalidate_range_end(range);
  yield* rmapWalkEnd(sharers.walk);
}
