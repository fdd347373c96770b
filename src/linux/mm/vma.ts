// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import { mmap_read_unlock, mmap_write_downgrade } from '../include/mmap_lock.js';
import type { Mm, Vma } from '../include/mm_types.js';
import { current, type Kernel } from '../kernel.js';
import { free_pgtables, unmap_page_range } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';

/** What a VMA record is: `Vma.attached`. */
export const VMA = {
  /** Free, for vm_area_alloc(). */
  FREE: 0,
  /** In the mm's tree. */
  ATTACHED: 1,
  /** In use, but no look-up finds it: new, or being unmapped. */
  DETACHED: 2,
} as const;

/** No VMA follows: page tables may be freed up to the end. @kernel 6.12 include/linux/pgtable.h USER_PGTABLES_CEILING: faithful */
export const USER_PGTABLES_CEILING = Infinity;
export const FIRST_USER_ADDRESS = 0;
/** Above every address. */
const END_OF_SPACE = 1 << 20;

/**
 * An mm's VMAs are a pool of records; the maple tree over them is an ordered set, so a look-up is one step under
 * mmap_lock, and `attached` is the edit that a look-up sees.
 */
export function defineVmaOps(kernel: Kernel) {
  const { system, mms } = kernel;
  const attached = (mm: number): Vma[] =>
    mms[mm]!.vmas.filter((vma) => vma.attached.value === VMA.ATTACHED).sort(
      (x, y) => x.vm_start.value - y.vm_start.value,
    );
  const numberOf = (vma: Vma | undefined): number => (vma === undefined ? 0 : vma.number + 1);
  const readsTree = (
    a: number,
    _b: number,
    _c: number,
    _agent: number,
    access: { reads: number[] },
  ): void => {
    for (const vma of mms[a]!.vmas) access.reads.push(vma.attached.at, vma.vm_start.at, vma.vm_end.at);
  };
  const fields = (vma: Vma) => [
    vma.vm_start,
    vma.vm_end,
    vma.vm_flags,
    vma.vm_file,
    vma.anon_vma,
    vma.vm_pgoff,
  ];
  /** Takes a free record; with straight-through execution there always is one. */
  const take = (mm: Mm): Vma | undefined => {
    const vma =
      mm.vmas.find((record) => record.attached.value === VMA.FREE) ??
      (system.growable ? kernel.addVma(mm) : undefined);
    if (vma !== undefined) system.set(vma.attached.at, VMA.DETACHED);
    return vma;
  };
  return {
    /** The first VMA of mm a that ends after b and begins before c: its number + 1, 0 for none. */
    vmaFind: system.op({
      name: 'vma_find',
      exec: (a, b, c) => numberOf(attached(a).find((vma) => vma.vm_end.value > b && vma.vm_start.value < c)),
      touches: readsTree,
    }),
    /** The last VMA of mm a that ends at or before b. */
    vmaPrev: system.op({
      name: 'vma_prev',
      exec: (a, b) => numberOf(attached(a).findLast((vma) => vma.vm_end.value <= b)),
      touches: readsTree,
    }),
    /** A record of mm a for pages [b, c), not in the tree; its number + 1, or 0. */
    vmAreaAlloc: system.op({
      name: 'vm_area_alloc',
      exec: (a, b, c) => {
        const vma = take(mms[a]!);
        if (vma === undefined) return 0;
        for (const field of fields(vma)) system.set(field.at, 0);
        system.set(vma.vm_start.at, b);
        system.set(vma.vm_end.at, c);
        system.set(vma.vm_pgoff.at, b);
        // anon_vma_prepare(), folded in: one for each mm, if the set-up has any.
        if (kernel.anon_vmas[a + 1] !== undefined) system.set(vma.anon_vma.at, a + 1);
        return numberOf(vma);
      },
      touches: (a, _b, _c, _agent, access) => {
        for (const vma of mms[a]!.vmas) access.writes.push(vma.attached.at);
      },
    }),
    /** A record of mm c with the fields of VMA b of mm a; its number + 1, or 0. */
    vmAreaDup: system.op({
      name: 'vm_area_dup',
      exec: (a, b, c) => {
        const vma = take(mms[c]!);
        if (vma === undefined) return 0;
        const from = fields(mms[a]!.vmas[b]!);
        fields(vma).forEach((field, i) => system.set(field.at, from[i]!.value));
        return numberOf(vma);
      },
      touches: (a, b, c, _agent, access) => {
        for (const field of fields(mms[a]!.vmas[b]!)) access.reads.push(field.at);
        for (const vma of mms[c]!.vmas) access.writes.push(vma.attached.at);
      },
    }),
    /** Gives record b of mm a back. */
    vmAreaFree: system.op({
      name: 'vm_area_free',
      exec: (a, b) => {
        const { attached: state } = mms[a]!.vmas[b]!;
        if (state.value !== VMA.DETACHED)
          system.fail(
            'FREE-ONCE',
            `${state.name} is freed, but it is ${state.value === 1 ? 'in the tree' : 'free'}`,
          );
        system.set(state.at, VMA.FREE);
        return 0;
      },
      touches: (a, b, _c, _agent, access) => void access.writes.push(mms[a]!.vmas[b]!.attached.at),
    }),
  };
}

/**
 * The first VMA that overlaps [start, end), or undefined.
 * @context mmap_lock held
 * @kernel 6.12 include/linux/mm.h vma_find: adapted (the walk of the maple tree is one step)
 */
export function* vma_find(mm: Mm, start: number, end: number): Path<Vma | undefined> {
  const found = yield* request(current.kernel.op.vmaFind, mm.number, start, end);
  return found === 0 ? undefined : mm.vmas[found - 1]!;
}

/** The first VMA at or after `addr`, or undefined. @context mmap_lock held @kernel 6.12 include/linux/mm.h vma_next: adapted (one step) */
export function* vma_next(mm: Mm, addr: number): Path<Vma | undefined> {
  return yield* vma_find(mm, addr, END_OF_SPACE);
}

/** The last VMA that ends at or before `addr`, or undefined. @context mmap_lock held @kernel 6.12 include/linux/mm.h vma_prev: adapted (one step) */
export function* vma_prev(mm: Mm, addr: number): Path<Vma | undefined> {
  const found = yield* request(current.kernel.op.vmaPrev, mm.number, addr);
  return found === 0 ? undefined : mm.vmas[found - 1]!;
}

/**
 * A VMA for [start, end), which no look-up finds yet.
 * @kernel 6.12 kernel/fork.c vm_area_alloc: adapted (with vma_set_range(); undefined if the pool is empty)
 */
export function* vm_area_alloc(mm: Mm, start: number, end: number): Path<Vma | undefined> {
  const vma = yield* request(current.kernel.op.vmAreaAlloc, mm.number, start, end);
  return vma === 0 ? undefined : mm.vmas[vma - 1]!;
}

/**
 * A copy of `orig` for `mm`, which no look-up finds yet.
 * @context mmap_lock of orig's mm held
 * @kernel 6.12 kernel/fork.c vm_area_dup: adapted (sets vm_mm as well; undefined if the pool is empty)
 */
export function* vm_area_dup(orig: Vma, mm: Mm): Path<Vma | undefined> {
  const vma = yield* request(current.kernel.op.vmAreaDup, orig.vm_mm.number, orig.number, mm.number);
  return vma === 0 ? undefined : mm.vmas[vma - 1]!;
}

/** @kernel 6.12 kernel/fork.c vm_area_free: adapted (at once: nobody looks VMAs up under RCU here) */
export function* vm_area_free(vma: Vma): Path {
  yield* request(current.kernel.op.vmAreaFree, vma.vm_mm.number, vma.number);
}

/** From here on look-ups find it. @context mmap_lock held for write @kernel 6.12 mm/vma.h vma_iter_store: adapted */
export function* vma_iter_store(vma: Vma): Path {
  yield* store(vma.attached, VMA.ATTACHED);
}

/** @kernel 6.12 mm/vma.c remove_vma: adapted (no file, no policy) */
export function* remove_vma(vma: Vma): Path {
  yield* vm_area_free(vma);
}

/**
 * Splits a VMA at `addr`. With `new_below` the new one is the lower part. Returns false if there is no record for it.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/vma.c __split_vma: adapted (anonymous mappings; anon_vma is shared by number)
 */
export function* __split_vma(vma: Vma, addr: number, new_below: boolean): Path<boolean> {
  const split = yield* vm_area_dup(vma, vma.vm_mm);
  if (split === undefined) return false;
  if (new_below) {
    yield* store(split.vm_end, addr);
    yield* store(vma.vm_start, addr);
    yield* store(vma.vm_pgoff, addr);
  } else {
    yield* store(split.vm_start, addr);
    yield* store(split.vm_pgoff, addr);
    yield* store(vma.vm_end, addr);
  }
  yield* vma_iter_store(split);
  return true;
}

/**
 * struct vma_munmap_struct: one munmap.
 * @kernel 6.12 mm/vma.h struct vma_munmap_struct: adapted (holds the detached VMAs, with their ranges, by itself)
 */
export interface VmaMunmap {
  readonly mm: Mm;
  readonly start: number;
  readonly end: number;
  /** Drop the write lock to a read lock for the teardown, and release it. */
  readonly unlock: boolean;
  /** Page tables may be freed between these: where the neighbours end and begin. */
  unmap_start: number;
  unmap_end: number;
  clear_ptes: boolean;
  /** The detached VMAs, in order. */
  detached: Range[];
}
interface Range {
  readonly vma: Vma;
  readonly vm_start: number;
  readonly vm_end: number;
}

/** @kernel 6.12 mm/vma.h init_vma_munmap: faithful */
export function init_vma_munmap(mm: Mm, start: number, end: number, unlock: boolean): VmaMunmap {
  return {
    mm,
    start,
    end,
    unlock,
    unmap_start: FIRST_USER_ADDRESS,
    unmap_end: USER_PGTABLES_CEILING,
    clear_ptes: false,
    detached: [],
  };
}

/**
 * Takes all VMAs of the range out of the tree, splitting those that reach beyond it. `vma` is the first one. Returns
 * false if there is no record for a split: then nothing is detached.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/vma.c vms_gather_munmap_vmas: adapted (vma_iter_clear() folded in: `attached` is the tree)
 */
export function* vms_gather_munmap_vmas(vms: VmaMunmap, vma: Vma): Path<boolean> {
  const { mm, start, end } = vms;
  let vm_start = yield* load(vma.vm_start);
  if (start > vm_start) {
    if (!(yield* __split_vma(vma, start, true))) return false;
    vm_start = start;
  }
  const prev = yield* vma_prev(mm, start);
  if (prev !== undefined) vms.unmap_start = yield* load(prev.vm_end);
  let next: Vma | undefined = vma;
  while (next !== undefined && vm_start < end) {
    let vm_end: number = yield* load(next.vm_end);
    if (vm_end > end) {
      if (!(yield* __split_vma(next, end, false))) {
        yield* reattach_vmas(vms);
        return false;
      }
      vm_end = end;
    }
    yield* store(next.attached, VMA.DETACHED); // vma_mark_detached()
    vms.detached.push({ vma: next, vm_start, vm_end });
    next = yield* vma_next(mm, vm_end);
    if (next !== undefined) vm_start = yield* load(next.vm_start);
  }
  if (next !== undefined) vms.unmap_end = vm_start;
  vms.clear_ptes = true;
  return true;
}

/** @kernel 6.12 mm/vma.c reattach_vmas: faithful */
function* reattach_vmas(vms: VmaMunmap): Path {
  for (const { vma } of vms.detached) yield* store(vma.attached, VMA.ATTACHED);
  vms.detached = [];
}

/**
 * Zaps the detached VMAs and frees the page tables that no neighbour needs. They are detached, so no lock keeps faults
 * and mmap() of other ranges out, and the read lock is enough.
 * @context mmap_lock held
 * @kernel 6.12 mm/vma.c vms_clear_ptes: faithful
 */
function* vms_clear_ptes(vms: VmaMunmap): Path {
  if (!vms.clear_ptes) return;
  const { mm, detached } = vms;
  const tlb = yield* tlb_gather_mmu(mm);
  for (const { vm_start, vm_end } of detached) yield* unmap_page_range(tlb, mm, vm_start, vm_end);
  yield* free_pgtables(tlb, mm, detached, vms.unmap_start, vms.unmap_end);
  yield* tlb_finish_mmu(tlb);
  vms.clear_ptes = false;
}

/** Clears the area before something else is mapped there. @context mmap_lock held for write @kernel 6.12 mm/vma.c vms_clean_up_area: faithful */
export function* vms_clean_up_area(vms: VmaMunmap): Path {
  yield* vms_clear_ptes(vms);
}

/**
 * The part of munmap that can't fail any more.
 * @context mmap_lock held for write; at return held for write, or not at all (`unlock`)
 * @kernel 6.12 mm/vma.c vms_complete_munmap_vmas: adapted (no accounting)
 */
export function* vms_complete_munmap_vmas(vms: VmaMunmap): Path {
  if (vms.unlock) yield* mmap_write_downgrade(vms.mm);
  yield* vms_clear_ptes(vms);
  for (const { vma } of vms.detached) yield* remove_vma(vma);
  if (vms.unlock) yield* mmap_read_unlock(vms.mm);
}

/**
 * Unmaps [start, end), of which `vma` is the first VMA. Returns false if it could not; then the lock is still held.
 * @context mmap_lock held for write; at return as before, or not held (`unlock`)
 * @kernel 6.12 mm/vma.c do_vmi_align_munmap: faithful
 */
export function* do_vmi_align_munmap(
  vma: Vma,
  mm: Mm,
  start: number,
  end: number,
  unlock: boolean,
): Path<boolean> {
  const vms = init_vma_munmap(mm, start, end, unlock);
  if (!(yield* vms_gather_munmap_vmas(vms, vma))) return false;
  yield* vms_complete_munmap_vmas(vms);
  return true;
}
