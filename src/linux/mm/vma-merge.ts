// SPDX-License-Identifier: GPL-2.0-only
/** mm/vma.c: VMAs are merged and split. */
import { request, type Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import { ENOMEM } from '../include/errno.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { VM, VM_SPECIAL, type Inode, type Mm, type Vma } from '../include/mm_types.js';
import type { UserfaultfdCtx } from '../include/userfaultfd_k.js';
import { fput, get_file, vmaFile } from '../fs/file_table.js';
import { current } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import {
  anon_vma_clone,
  anon_vma_lock_write,
  anon_vma_unlock_write,
  anonVmaChainIsSingular,
  unlink_anon_vmas,
} from './rmap-anon_vma.js';
import { VMA, vm_area_dup, vm_area_free, vma_iter_store, vma_next, vma_prev } from './vma-tree.js';

/**
 * A range that may become part of the VMA before it, of the one after it, or join both.
 * @kernel 6.12 mm/vma.h struct vma_merge_struct: adapted (no policy, no name; vm_file as a number)
 */
export interface VmaMerge {
  readonly mm: Mm;
  prev: Vma | undefined;
  next: Vma | undefined;
  /** The VMA that the range is in; undefined: the range is new. Afterwards the one that has grown. */
  vma: Vma | undefined;
  start: number;
  end: number;
  pgoff: number;
  flags: number;
  readonly file: number;
  readonly anon_vma: number;
  readonly uffd_ctx: UserfaultfdCtx | undefined;
}

/** The range [start, end) with what `vma` is like. @context mmap_lock held @kernel 6.12 mm/vma.h VMG_VMA_STATE: faithful */
export function* vmgOf(vma: Vma, prev: Vma | undefined, start: number, end: number): Path<VmaMerge> {
  const flags = yield* load(vma.vm_flags);
  const vm_start = yield* load(vma.vm_start);
  const vm_pgoff = yield* load(vma.vm_pgoff);
  const file = current.kernel.inodes === undefined ? 0 : yield* load(vma.vm_file);
  const anon_vma = yield* load(vma.anon_vma);
  return {
    mm: vma.vm_mm,
    prev,
    next: undefined,
    vma,
    start,
    end,
    pgoff: vm_pgoff + start - vm_start,
    flags,
    file,
    anon_vma,
    uffd_ctx: vma.vm_userfaultfd_ctx,
  };
}

/** VM_SOFTDIRTY does not keep VMAs apart: what comes of them is soft-dirty. @context mmap_lock held @kernel 6.12 mm/vma.c is_mergeable_vma: adapted (no policy, no name) */
function* is_mergeable_vma(vmg: VmaMerge, vma: Vma): Path<boolean> {
  if (((yield* load(vma.vm_flags)) ^ vmg.flags) & ~VM.SOFTDIRTY) return false;
  if (current.kernel.inodes !== undefined && (yield* load(vma.vm_file)) !== vmg.file) return false;
  return vma.vm_userfaultfd_ctx === vmg.uffd_ctx;
}

/** VMAs that came from a fork don't take over an anon_vma. @context mmap_lock held @kernel 6.12 mm/vma.c is_mergeable_anon_vma: faithful */
function* is_mergeable_anon_vma(anon_vma1: number, anon_vma2: number, vma: Vma | undefined): Path<boolean> {
  if (anon_vma1 === anon_vma2) return true;
  if (anon_vma1 !== 0 && anon_vma2 !== 0) return false;
  return vma === undefined || vma.anon_vma_chain === undefined || (yield* anonVmaChainIsSingular(vma));
}

/** @context mmap_lock held @kernel 6.12 mm/vma.c can_vma_merge_right, can_vma_merge_before: faithful */
function* can_vma_merge_right(vmg: VmaMerge, can_merge_left: boolean): Path<boolean> {
  const { next, prev } = vmg;
  if (next === undefined || (yield* load(next.vm_start)) !== vmg.end) return false;
  if (!(yield* is_mergeable_vma(vmg, next))) return false;
  const anon_vma = yield* load(next.anon_vma);
  if (!(yield* is_mergeable_anon_vma(vmg.anon_vma, anon_vma, next))) return false;
  if ((yield* load(next.vm_pgoff)) !== vmg.pgoff + vmg.end - vmg.start) return false;
  if (!can_merge_left) return true;
  // Each of them goes with the range, but they have to go with each other as well.
  return yield* is_mergeable_anon_vma(yield* load(prev!.anon_vma), anon_vma, undefined);
}

/** @context mmap_lock held @kernel 6.12 mm/vma.c can_vma_merge_left, can_vma_merge_after: faithful */
function* can_vma_merge_left(vmg: VmaMerge): Path<boolean> {
  const { prev } = vmg;
  if (prev === undefined || (yield* load(prev.vm_end)) !== vmg.start) return false;
  if (!(yield* is_mergeable_vma(vmg, prev))) return false;
  if (!(yield* is_mergeable_anon_vma(vmg.anon_vma, yield* load(prev.anon_vma), prev))) return false;
  const pages = vmg.start - (yield* load(prev.vm_start));
  return (yield* load(prev.vm_pgoff)) === vmg.pgoff - pages;
}

/** `dst` is to hold pages of `src`, so it needs its anon_vma. @context mmap_lock held for write @kernel 6.12 mm/vma.c dup_anon_vma: adapted (never out of memory) */
function* dup_anon_vma(dst: Vma, src: Vma): Path {
  const anon_vma = yield* load(src.anon_vma);
  if (anon_vma === 0 || (yield* load(dst.anon_vma)) !== 0) return;
  yield* store(dst.anon_vma, anon_vma);
  yield* anon_vma_clone(dst, src);
}

/**
 * struct vma_prepare: the locks under which VMAs get another range, and VMAs that come and go with that.
 * @kernel 6.12 mm/vma.h struct vma_prepare: adapted (no uprobes)
 */
interface VmaPrepare {
  readonly vma: Vma;
  readonly adj_next?: Vma | undefined;
  readonly file: Inode | undefined;
  readonly anon_vma: number;
  readonly insert: Vma | undefined;
  readonly remove: readonly Vma[];
}

/** Keeps rmap walks out while the ranges change. @context mmap_lock held for write; may sleep @kernel 6.12 mm/vma.c vma_prepare: adapted (the trees are what the ranges say) */
function* vma_prepare({ file, anon_vma }: VmaPrepare): Path {
  if (file !== undefined) yield* down_write(file.i_mmap_rwsem);
  if (anon_vma !== 0 && current.kernel.anon_vma_pool !== undefined) yield* anon_vma_lock_write(anon_vma);
}

/** A VMA with another range takes its place in the interval trees. Not a step without chains. @context under vma_prepare() */
function* reinsert(vma: Vma, file: Inode | undefined, anon_vma: number): Path {
  if (vma.rb === undefined) return;
  const trees = (file === undefined ? 0 : 1) | (anon_vma === 0 ? 0 : 2);
  yield* request(current.kernel.op.rbReinsert, vma.vm_mm.number, vma.number, trees);
}

/** @context mmap_lock held for write; may sleep @kernel 6.12 mm/vma.c vma_complete: adapted (the trees are what the ranges say) */
function* vma_complete({ vma: changed, adj_next, file, anon_vma, insert, remove }: VmaPrepare): Path {
  if (adj_next !== undefined) yield* reinsert(adj_next, file, anon_vma);
  yield* reinsert(changed, file, anon_vma);
  if (insert !== undefined) yield* vma_iter_store(insert);
  if (anon_vma !== 0 && current.kernel.anon_vma_pool !== undefined) yield* anon_vma_unlock_write(anon_vma);
  if (file !== undefined) yield* up_write(file.i_mmap_rwsem);
  for (const vma of remove) {
    yield* store(vma.attached, VMA.DETACHED); // vma_mark_detached()
    if (file !== undefined) yield* fput(file);
    yield* unlink_anon_vmas(vma); // anon_vma_merge()
    yield* vm_area_free(vma);
  }
}

/**
 * Splits a VMA at `addr`. With `new_below` the new one is the lower part. Returns false if there is no record for it.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c __split_vma: adapted (a userfaultfd watches no VMA that is split)
 */
export function* __split_vma(vma: Vma, addr: number, new_below: boolean): Path<boolean> {
  const split = yield* vm_area_dup(vma, vma.vm_mm);
  if (split === undefined) return false;
  const pages = addr - (yield* load(vma.vm_start));
  const pgoff = pages + (yield* load(vma.vm_pgoff));
  if (new_below) yield* store(split.vm_end, addr);
  else {
    yield* store(split.vm_start, addr);
    yield* store(split.vm_pgoff, pgoff);
  }
  yield* anon_vma_clone(split, vma);
  const file = yield* vmaFile(vma);
  if (file !== undefined) yield* get_file(file);
  const anon_vma = yield* load(vma.anon_vma);
  const vp: VmaPrepare = { vma, file, anon_vma, insert: split, remove: [] };
  yield* vma_prepare(vp);
  if (new_below) {
    yield* store(vma.vm_start, addr);
    yield* store(vma.vm_pgoff, pgoff);
  } else yield* store(vma.vm_end, addr);
  yield* vma_complete(vp);
  return true;
}

/** What commit_merge() does beside growing the VMA. */
interface Merged {
  /** The VMA that shrinks on the left, or grows there: by how much its start moves. */
  readonly adjust?: Vma;
  readonly adj_start?: number;
  /** VMAs that go. */
  readonly remove: readonly Vma[];
}

/**
 * Gives vmg.vma its new range.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c commit_merge: adapted (never out of memory)
 */
function* commit_merge(vmg: VmaMerge, { adjust, adj_start = 0, remove }: Merged): Path {
  const vma = vmg.vma!;
  let anon_vma = yield* load(vma.anon_vma);
  if (anon_vma === 0 && adjust !== undefined) anon_vma = yield* load(adjust.anon_vma);
  const file = yield* vmaFile(vma);
  const vp: VmaPrepare = { vma, adj_next: adjust, file, anon_vma, insert: undefined, remove };
  yield* vma_prepare(vp);
  yield* store(vma.vm_start, vmg.start); // vma_set_range()
  yield* store(vma.vm_end, vmg.end);
  yield* store(vma.vm_pgoff, vmg.pgoff);
  if (adjust !== undefined) {
    const start = yield* load(adjust.vm_start);
    const pgoff = yield* load(adjust.vm_pgoff);
    yield* store(adjust.vm_start, start + adj_start);
    yield* store(adjust.vm_pgoff, pgoff + adj_start);
  }
  yield* vma_complete(vp);
}

/**
 * A range of vmg.vma is about to change: if it then is like a neighbour, and lies at the side of it, it becomes part of
 * that. Returns what it is part of, or undefined.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c vma_merge_existing_range: adapted (never out of memory; no VMA has a close())
 */
function* vma_merge_existing_range(vmg: VmaMerge): Path<Vma | undefined> {
  const vma = vmg.vma!;
  const { prev, start, end } = vmg;
  const vm_start = yield* load(vma.vm_start);
  const vm_end = yield* load(vma.vm_end);
  const left_side = start === vm_start;
  const right_side = end === vm_end;
  mmap_assert_locked(vmg.mm);
  if (vmg.flags & VM_SPECIAL || (!left_side && !right_side)) return undefined;
  const merge_left = left_side && (yield* can_vma_merge_left(vmg));
  let next: Vma | undefined;
  let merge_right = false;
  if (right_side) {
    next = yield* vma_next(vmg.mm, vm_end);
    vmg.next = next;
    merge_right = yield* can_vma_merge_right(vmg, merge_left);
  }
  if (merge_left && merge_right) {
    vmg.vma = prev;
    vmg.start = yield* load(prev!.vm_start);
    vmg.end = yield* load(next!.vm_end);
    vmg.pgoff = yield* load(prev!.vm_pgoff);
    yield* dup_anon_vma(prev!, (yield* load(next!.anon_vma)) === 0 ? vma : next!);
    yield* commit_merge(vmg, { remove: [vma, next!] });
    return prev;
  }
  if (merge_left) {
    vmg.vma = prev;
    vmg.start = yield* load(prev!.vm_start);
    vmg.pgoff = yield* load(prev!.vm_pgoff);
    yield* dup_anon_vma(prev!, vma);
    if (right_side) yield* commit_merge(vmg, { remove: [vma] });
    else yield* commit_merge(vmg, { adjust: vma, adj_start: end - vm_start, remove: [] });
    return prev;
  }
  if (!merge_right) return undefined;
  yield* dup_anon_vma(next!, vma);
  if (left_side) {
    vmg.vma = next;
    vmg.end = yield* load(next!.vm_end);
    const next_pgoff = yield* load(next!.vm_pgoff);
    vmg.pgoff = next_pgoff - (end - start);
    yield* commit_merge(vmg, { remove: [vma] });
  } else {
    // The VMA shrinks, and next grows to the left.
    vmg.start = vm_start;
    vmg.end = start;
    vmg.pgoff = yield* load(vma.vm_pgoff);
    yield* commit_merge(vmg, { adjust: next!, adj_start: start - vm_end, remove: [] });
  }
  return next;
}

/**
 * A new range becomes part of what is before it, after it, or joins both. Returns what it is part of, or undefined.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c vma_merge_new_range, vma_expand: adapted (never out of memory; no VMA has a close())
 */
export function* vma_merge_new_range(vmg: VmaMerge): Path<Vma | undefined> {
  const { prev, next, start, end } = vmg;
  mmap_assert_locked(vmg.mm);
  if (vmg.flags & VM_SPECIAL || (prev === undefined && next === undefined)) return undefined;
  const can_merge_left = yield* can_vma_merge_left(vmg);
  const can_merge_right = yield* can_vma_merge_right(vmg, can_merge_left);
  if (can_merge_right) {
    vmg.end = yield* load(next!.vm_end);
    vmg.vma = next;
    const next_pgoff = yield* load(next!.vm_pgoff);
    vmg.pgoff = next_pgoff - (end - start);
  }
  if (can_merge_left) {
    vmg.start = yield* load(prev!.vm_start);
    vmg.vma = prev;
    vmg.pgoff = yield* load(prev!.vm_pgoff);
  }
  if (vmg.vma === undefined) return undefined;
  const removes = can_merge_left && can_merge_right;
  if (removes) yield* dup_anon_vma(prev!, next!);
  yield* commit_merge(vmg, { remove: removes ? [next!] : [] });
  return vmg.vma;
}

/**
 * The flags of [start, end) of a VMA are about to change: merges it with a neighbour that has them, or else splits it
 * off. Returns the VMA that gets them, or -ENOMEM. What its flags are afterwards is the caller's business.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c vma_modify_flags, vma_modify: adapted (sysctl_max_map_count is never reached)
 */
export function* vma_modify_flags(
  prev: Vma | undefined,
  vma: Vma,
  start: number,
  end: number,
  new_flags: number,
): Path<Vma | number> {
  const vmg = yield* vmgOf(vma, prev, start, end);
  vmg.flags = new_flags;
  const merged = yield* vma_merge_existing_range(vmg);
  if (merged !== undefined) return merged;
  if ((yield* load(vma.vm_start)) < start && !(yield* __split_vma(vma, start, true))) return -ENOMEM;
  if ((yield* load(vma.vm_end)) > end && !(yield* __split_vma(vma, end, false))) return -ENOMEM;
  return vma;
}

/**
 * A VMA at [addr, addr + len) that is like `vma`, for mremap() to move entries to: one that is there and grows, or a new
 * one. `vma` itself may be the one that grows, if nothing was faulted in: then it is returned as well. Undefined without
 * a record.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/vma.c copy_vma: adapted (no MREMAP_DONTUNMAP)
 */
export function* copy_vma(
  vma: Vma,
  addr: number,
  len: number,
  pgoff: number,
): Path<{ new_vma: Vma; vma: Vma; need_rmap_locks: boolean } | undefined> {
  const mm = vma.vm_mm;
  const file = yield* vmaFile(vma);
  const vma_start = yield* load(vma.vm_start);
  const anon_vma = yield* load(vma.anon_vma);
  const vmg = yield* vmgOf(vma, undefined, addr, addr + len);
  // What was never faulted in may as well be where it would be if it were mapped there now: so it merges more often.
  vmg.pgoff = file === undefined && anon_vma === 0 ? addr : pgoff;
  const { pgoff: new_pgoff } = vmg;
  vmg.vma = undefined;
  vmg.prev = yield* vma_prev(mm, addr);
  vmg.next = yield* vma_next(mm, addr);
  const merged = yield* vma_merge_new_range(vmg);
  if (merged !== undefined) {
    const from = yield* load(merged.vm_start);
    const itself = vma_start >= from && vma_start < (yield* load(merged.vm_end));
    const source = itself ? merged : vma;
    const merged_pgoff = yield* load(merged.vm_pgoff);
    const need_rmap_locks = merged_pgoff <= (yield* load(source.vm_pgoff));
    return { new_vma: merged, vma: source, need_rmap_locks };
  }
  const new_vma = yield* vm_area_dup(vma, mm);
  if (new_vma === undefined) return undefined;
  yield* store(new_vma.vm_start, addr);
  yield* store(new_vma.vm_end, addr + len);
  yield* store(new_vma.vm_pgoff, new_pgoff);
  yield* anon_vma_clone(new_vma, vma);
  if (file !== undefined) yield* get_file(file);
  yield* vma_iter_store(new_vma); // vma_link()
  return { new_vma, vma, need_rmap_locks: false };
}
