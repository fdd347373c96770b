// SPDX-License-Identifier: GPL-2.0-only
/** The VMAs of an mm: the tree, and the records. */
import type { Access } from '../../core/ops.js';
import { request, type Path } from '../../core/path.js';
import { store } from '../../core/primitives.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import type { Mm, Vma } from '../include/mm_types.js';
import { current, type Kernel } from '../kernel.js';

/** What a VMA record is: `Vma.attached`. */
export const VMA = {
  /** Free, for vm_area_alloc(). */
  FREE: 0,
  /** In the mm's tree. */
  ATTACHED: 1,
  /** In use, but no look-up finds it: new, or being unmapped. */
  DETACHED: 2,
} as const;

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
  /** One of the records is taken and filled: nobody else knows it yet. */
  const touchesRecords = (mm: number, access: Access): void => {
    for (const vma of mms[mm]!.vmas) {
      access.writes.push(vma.attached.at);
      access.silent.push(...fields(vma).map(({ at }) => at));
    }
  };
  /** Takes a free record; with straight-through execution there always is one. */
  const take = (mm: Mm): Vma | undefined => {
    const vma =
      mm.vmas.find((record) => record.attached.value === VMA.FREE) ??
      (system.growable ? kernel.addVma(mm) : undefined);
    if (vma !== undefined) system.set(vma.attached.at, VMA.DETACHED);
    return vma;
  };
  const last = kernel.anon_vma_pool === undefined ? undefined : system.cell('rb.last');
  /** It becomes the last of those with its vm_pgoff. */
  const append = ({ rb }: Vma, tree: 'i_mmap' | 'anon'): void => {
    if (rb === undefined || last === undefined) return;
    system.set(last.at, last.value + 1);
    system.set(rb[tree].at, last.value);
  };
  /** It becomes the one after `prev`. @kernel 6.12 include/linux/mm.h vma_interval_tree_insert_after: faithful */
  const insertAfter = (vma: Vma, prev: Vma): void => {
    if (vma.rb === undefined || last === undefined || prev.vm_file.value === 0) return;
    const place = prev.rb!.i_mmap.value;
    system.set(last.at, last.value + 1);
    for (const mm of mms)
      for (const { rb } of mm.vmas)
        if (rb!.i_mmap.value > place) system.set(rb!.i_mmap.at, rb!.i_mmap.value + 1);
    system.set(vma.rb.i_mmap.at, place + 1);
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
        // anon_vma_prepare(), folded in: one for each mm, if the set-up has any. Chains are made at the first fault.
        if (kernel.anon_vma_pool === undefined && kernel.anon_vmas[a + 1] !== undefined)
          system.set(vma.anon_vma.at, a + 1);
        append(vma, 'i_mmap');
        append(vma, 'anon');
        return numberOf(vma);
      },
      touches: (a, _b, _c, _agent, access) => touchesRecords(a, access),
    }),
    /** A record of mm c with the fields of VMA b of mm a; its number + 1, or 0. */
    vmAreaDup: system.op({
      name: 'vm_area_dup',
      exec: (a, b, c) => {
        const vma = take(mms[c]!);
        if (vma === undefined) return 0;
        const from = fields(mms[a]!.vmas[b]!);
        fields(vma).forEach((field, i) => system.set(field.at, from[i]!.value));
        if (a === c) append(vma, 'i_mmap');
        else insertAfter(vma, mms[a]!.vmas[b]!);
        append(vma, 'anon');
        return numberOf(vma);
      },
      touches: (a, b, c, _agent, access) => {
        for (const field of fields(mms[a]!.vmas[b]!)) access.reads.push(field.at);
        touchesRecords(c, access);
      },
    }),
    /** With chains: VMA b of mm a is put into the interval trees anew: c & 1 that of its file, c & 2 those of its anon_vmas. */
    rbReinsert: system.op({
      name: 'interval_tree_insert',
      exec: (a, b, c) => {
        const vma = mms[a]!.vmas[b]!;
        if (c & 1) append(vma, 'i_mmap');
        if (c & 2) append(vma, 'anon');
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { i_mmap, anon } = mms[a]!.vmas[b]!.rb!;
        access.writes.push(i_mmap.at, anon.at);
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
  mmap_assert_locked(mm); // the maple tree does
  const found = yield* request(current.kernel.op.vmaFind, mm.number, start, end);
  return found === 0 ? undefined : mm.vmas[found - 1]!;
}

/** The first VMA at or after `addr`, or undefined. @context mmap_lock held @kernel 6.12 include/linux/mm.h vma_next: adapted (one step) */
export function* vma_next(mm: Mm, addr: number): Path<Vma | undefined> {
  return yield* vma_find(mm, addr, END_OF_SPACE);
}

/** The last VMA that ends at or before `addr`, or undefined. @context mmap_lock held @kernel 6.12 include/linux/mm.h vma_prev: adapted (one step) */
export function* vma_prev(mm: Mm, addr: number): Path<Vma | undefined> {
  mmap_assert_locked(mm);
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

/** From here on look-ups find it. @context mmap_lock held for write @kernel 6.12 mm/vma.h vma_iter_store: adapted (a VMA says itself that it is in the tree) */
export function* vma_iter_store(vma: Vma): Path {
  mmap_assert_locked(vma.vm_mm);
  yield* store(vma.attached, VMA.ATTACHED);
}
