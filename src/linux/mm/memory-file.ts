// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: faults on files. */
import type { Path } from '../../core/path.js';
import { add, load } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { VM, type Folio, type Inode, type Mm, type PtePointer, type Vma } from '../include/mm_types.js';
import { check_stable_address_space } from '../include/oom.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import { folio_get } from '../include/page_ref.js';
import {
  pmdOfTable,
  mk_pte,
  pmd_none,
  pmdp_get_lockless,
  pmdUnchanged,
  pte_mkdirty,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_unmap_unlock,
  pteUnchanged,
  set_pmd,
  set_pte,
} from '../include/pgtable.js';
import { current } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { filemap_map_pages } from './filemap.js';
import { copy_user_page, FAULT_FLAG, VM_FAULT, type VmFault } from './memory-fault.js';
import { vm_page_prot } from './mprotect.js';
import { alloc_page, free_unref_page, pte_alloc_one } from './page_alloc.js';
import { folio_mark_dirty } from './page-writeback.js';
import { vmf_anon_prepare } from './rmap-anon_vma.js';
import { folio_add_file_rmap_pte, folio_add_new_anon_rmap } from './rmap.js';
import { shmem_fault } from './shmem.js';
import { folio_add_lru_vma, folio_put } from './swap.js';

/** The counter of the mm for pages of a file. @kernel 6.12 include/linux/mm.h mm_counter_file: adapted (all files are in memory, but for DAX) */
export const fileRss = (mm: Mm): Cell => mm.shmem_rss ?? mm.file_rss;

/** The page of the file that is mapped at `address`. @context mmap_lock held @kernel 6.12 include/linux/pagemap.h linear_page_index: faithful */
export function* linear_page_index(vma: Vma, address: number): Path<number> {
  const start = yield* load(vma.vm_start);
  const pgoff = yield* load(vma.vm_pgoff);
  return pgoff + address - start;
}

/** Pages that a read fault looks for at once: fault_around_bytes. */
const FAULT_AROUND_PAGES = 16;

/**
 * Puts a page table that was allocated before under an empty PMD, and forgets it then.
 * @context mmap_lock held
 * @kernel 6.12 mm/memory.c pmd_install: faithful
 */
export function* pmd_install(vmf: VmFault): Path {
  const { mm, pmd, prealloc_pte } = vmf;
  yield* spin_lock(mm.page_table_lock);
  if (yield* pmdUnchanged(pmd, 0)) {
    yield* set_pmd(pmd, pmdOfTable(prealloc_pte!));
    vmf.prealloc_pte = undefined;
  }
  yield* spin_unlock(mm.page_table_lock);
}

/**
 * Maps a page of a file, or the private copy of one that a store made, at `addr`.
 * @context PTL held, the entry is empty
 * @kernel 6.12 mm/memory.c set_pte_range: adapted (one page; no accessed bit)
 */
export function* set_pte_range(vmf: VmFault, ptep: PtePointer, folio: Folio, addr: number): Path {
  const { vma, flags } = vmf;
  const vm_flags = yield* load(vma.vm_flags);
  const write = (flags & FAULT_FLAG.WRITE) !== 0;
  let entry = mk_pte(folio, vm_page_prot(vm_flags));
  if (write) {
    entry = pte_mkdirty(entry);
    if (vm_flags & VM.WRITE) entry = pte_mkwrite(entry); // maybe_mkwrite()
  }
  if (write && !(vm_flags & VM.SHARED)) {
    yield* folio_add_new_anon_rmap(folio, vma, addr);
    yield* folio_add_lru_vma(folio, vma);
  } else yield* folio_add_file_rmap_pte(folio, vma);
  yield* set_pte(ptep, entry);
}

/**
 * Maps what the fault has found, if the entry is still empty.
 * @context mmap_lock held; vmf.page locked and referenced
 * @kernel 6.12 mm/memory.c finish_fault: adapted (small folios)
 */
export function* finish_fault(vmf: VmFault): Path<number> {
  const { mm, vma, address, pmd, flags } = vmf;
  const is_cow = (flags & FAULT_FLAG.WRITE) !== 0 && !((yield* load(vma.vm_flags)) & VM.SHARED);
  const folio = (is_cow ? vmf.cow_page : vmf.page)!;
  if (mm.oom_victim && !((yield* load(vma.vm_flags)) & VM.SHARED)) {
    if (!(yield* check_stable_address_space(mm))) return VM_FAULT.SIGBUS;
  }
  if (pmd_none(yield* pmdp_get_lockless(pmd)) && vmf.prealloc_pte !== undefined) yield* pmd_install(vmf);
  const mapped = yield* pte_offset_map_lock(pmd, address);
  if (mapped === undefined) return VM_FAULT.NOPAGE;
  // The entry was empty when the fault began, or there was no table yet.
  const same = yield* pteUnchanged(mapped.ptep, 0);
  if (same) {
    yield* set_pte_range(vmf, mapped.ptep, folio, address);
    yield* add(is_cow ? mm.anon_rss : fileRss(mm), 1);
  }
  yield* pte_unmap_unlock(mapped.ptl);
  return same ? VM_FAULT.NONE : VM_FAULT.NOPAGE;
}

/** Whether the fault ends before the page is mapped. */
const failed = (ret: number): boolean =>
  (ret & (VM_FAULT.OOM | VM_FAULT.SIGSEGV | VM_FAULT.SIGBUS | VM_FAULT.NOPAGE | VM_FAULT.RETRY)) !== 0;

/** Has the file find the page: vmf.page, locked and referenced. @context mmap_lock held; may sleep @kernel 6.12 mm/memory.c __do_fault: adapted (hardware poison is the caller's business) */
function* __do_fault(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  if (vmf.prealloc_pte === undefined && pmd_none(yield* pmdp_get_lockless(vmf.pmd))) {
    vmf.prealloc_pte = yield* pte_alloc_one();
    if (vmf.prealloc_pte === undefined) return VM_FAULT.OOM;
  }
  const ret = yield* shmem_fault(vmf, inode, pgoff);
  if (ret & VM_FAULT.LOCKED) assertFolioLocked(vmf.page!);
  return ret;
}

/** @context mmap_lock held @kernel 6.12 mm/memory.c do_fault_around: faithful */
function* do_fault_around(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  const { vma, address, pmd } = vmf;
  const { ptrsPerPte: PTRS_PER_PTE } = current.kernel.machine.options;
  const vm_start = yield* load(vma.vm_start);
  const vm_end = yield* load(vma.vm_end);
  const vm_pgoff = yield* load(vma.vm_pgoff);
  const vma_pages = vm_end - vm_start;
  const vma_off = pgoff - vm_pgoff;
  const pte_off = address % PTRS_PER_PTE;
  const from_pte = Math.max(
    Math.floor(pte_off / FAULT_AROUND_PAGES) * FAULT_AROUND_PAGES,
    pte_off - Math.min(pte_off, vma_off),
  );
  const to_pte = Math.min(from_pte + FAULT_AROUND_PAGES, PTRS_PER_PTE, pte_off + vma_pages - vma_off);
  if (pmd_none(yield* pmdp_get_lockless(pmd))) {
    vmf.prealloc_pte = yield* pte_alloc_one();
    if (vmf.prealloc_pte === undefined) return VM_FAULT.OOM;
  }
  const first = pgoff + from_pte - pte_off;
  return yield* filemap_map_pages(vmf, inode, first, pgoff + to_pte - pte_off, address + from_pte - pte_off);
}

/** @context mmap_lock held; may sleep @kernel 6.12 mm/memory.c do_read_fault: faithful */
function* do_read_fault(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  const around = yield* do_fault_around(vmf, inode, pgoff);
  if (around !== VM_FAULT.NONE) return around;
  let ret = yield* __do_fault(vmf, inode, pgoff);
  if (failed(ret)) return ret;
  ret |= yield* finish_fault(vmf);
  yield* folio_unlock(vmf.page!);
  if (failed(ret)) yield* folio_put(vmf.page!);
  return ret;
}

/** A store to a private mapping: a copy of the file's page. @context mmap_lock held; may sleep @kernel 6.12 mm/memory.c do_cow_fault: faithful */
function* do_cow_fault(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  yield* vmf_anon_prepare(vmf.vma);
  const folio = yield* alloc_page();
  if (folio === undefined) return VM_FAULT.OOM;
  vmf.cow_page = folio;
  let ret = yield* __do_fault(vmf, inode, pgoff);
  if (failed(ret)) {
    yield* folio_put(folio);
    return ret;
  }
  yield* copy_user_page(folio, vmf.page);
  ret |= yield* finish_fault(vmf);
  yield* folio_unlock(vmf.page!);
  yield* folio_put(vmf.page!);
  if (failed(ret)) yield* folio_put(folio);
  return ret;
}

/** The page of the file was written to: the file has to know. @context folio locked, unlocked at return @kernel 6.12 mm/memory.c fault_dirty_shared_page: adapted (files in memory write nothing back) */
function* fault_dirty_shared_page(folio: Folio): Path {
  assertFolioLocked(folio);
  yield* folio_mark_dirty(folio);
  yield* folio_unlock(folio);
}

/** @context mmap_lock held; may sleep @kernel 6.12 mm/memory.c do_shared_fault: adapted (no page_mkwrite()) */
function* do_shared_fault(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  let ret = yield* __do_fault(vmf, inode, pgoff);
  if (failed(ret)) return ret;
  ret |= yield* finish_fault(vmf);
  if (failed(ret)) {
    yield* folio_unlock(vmf.page!);
    yield* folio_put(vmf.page!);
    return ret;
  }
  yield* fault_dirty_shared_page(vmf.page!);
  return ret;
}

/**
 * Serves a fault in a mapping of a file where the entry is empty.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_fault: faithful
 */
export function* do_fault(vmf: VmFault, inode: Inode): Path<number> {
  const { vma, flags, address, pmd } = vmf;
  // A driver that serves no faults has mapped all that there is.
  if (inode.f_op !== undefined) {
    const mapped = yield* pte_offset_map_lock(pmd, address);
    if (mapped === undefined) return VM_FAULT.SIGBUS;
    const none = yield* pteUnchanged(mapped.ptep, 0);
    yield* pte_unmap_unlock(mapped.ptl);
    return none ? VM_FAULT.SIGBUS : VM_FAULT.NOPAGE;
  }
  const pgoff = yield* linear_page_index(vma, address);
  const vm_flags = yield* load(vma.vm_flags);
  let ret: number;
  if (!(flags & FAULT_FLAG.WRITE)) ret = yield* do_read_fault(vmf, inode, pgoff);
  else if (!(vm_flags & VM.SHARED)) ret = yield* do_cow_fault(vmf, inode, pgoff);
  else ret = yield* do_shared_fault(vmf, inode, pgoff);
  if (vmf.prealloc_pte !== undefined) yield* free_unref_page(vmf.prealloc_pte);
  return ret;
}

/**
 * A store to a shared page of a file that is mapped read-only.
 * @context PTL held at entry, dropped at return; mmap_lock held
 * @kernel 6.12 mm/memory.c wp_page_shared: adapted (no page_mkwrite())
 */
export function* wp_page_shared(vmf: VmFault, ptep: PtePointer, ptl: Cell, folio: Folio): Path<number> {
  yield* folio_get(folio);
  yield* set_pte(ptep, pte_mkwrite(pte_mkdirty(vmf.orig_pte))); // wp_page_reuse()
  yield* pte_unmap_unlock(ptl);
  yield* folio_lock(folio);
  yield* fault_dirty_shared_page(folio);
  yield* folio_put(folio);
  return VM_FAULT.NONE;
}
