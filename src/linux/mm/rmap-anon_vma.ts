// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: anon_vmas and their chains. */
import { request, type Path } from '../../core/path.js';
import { add, load, store, subAndTest } from '../../core/primitives.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { VM, VM_ACCESS_FLAGS, type AnonVma, type Vma } from '../include/mm_types.js';
import { current, type Kernel } from '../kernel.js';
import { down_read, down_write, down_write_trylock, up_read, up_write } from '../kernel/locking/rwsem.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { vma_next, vma_prev } from './vma-tree.js';

/** Chains grow as they need it, so they are for straight-through runs; elsewhere an mm has one anon_vma. */
export function defineAnonVmaOps(kernel: Kernel) {
  const { system } = kernel;
  return {
    /** Takes a free anon_vma, its own root and parent, with one reference: its number. */
    anonVmaAlloc: system.op({
      name: 'anon_vma_alloc',
      exec: () => {
        const pool = kernel.anon_vma_pool!;
        const anon_vma = pool.find((each) => each?.refcount.value === 0) ?? kernel.addAnonVma();
        system.set(anon_vma.refcount.at, 1);
        system.set(anon_vma.root.at, anon_vma.number);
        system.set(anon_vma.parent.at, anon_vma.number);
        return anon_vma.number;
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const each of kernel.anon_vma_pool ?? [])
          if (each !== undefined) access.writes.push(each.refcount.at);
      },
    }),
  };
}

const anonVma = (number: number): AnonVma => current.kernel.anon_vma_pool![number]!;

/** The lock of a whole tree of anon_vmas is that of its root; without chains each has its own. @context any */
export function* anonVmaRoot(anon_vma: number): Path<number> {
  return current.kernel.anon_vma_pool === undefined ? anon_vma : yield* load(anonVma(anon_vma).root);
}

/** @context may sleep @kernel 6.12 include/linux/rmap.h anon_vma_lock_write: faithful */
export function* anon_vma_lock_write(anon_vma: number): Path {
  yield* down_write(current.kernel.anon_vmas[yield* anonVmaRoot(anon_vma)]!);
}
/** @kernel 6.12 include/linux/rmap.h anon_vma_unlock_write: faithful */
export function* anon_vma_unlock_write(anon_vma: number): Path {
  yield* up_write(current.kernel.anon_vmas[yield* anonVmaRoot(anon_vma)]!);
}
/** @kernel 6.12 include/linux/rmap.h anon_vma_trylock_write: faithful */
export function* anon_vma_trylock_write(anon_vma: number): Path<boolean> {
  return yield* down_write_trylock(current.kernel.anon_vmas[yield* anonVmaRoot(anon_vma)]!);
}
/** @context may sleep @kernel 6.12 include/linux/rmap.h anon_vma_lock_read: faithful */
export function* anon_vma_lock_read(anon_vma: number): Path {
  yield* down_read(current.kernel.anon_vmas[yield* anonVmaRoot(anon_vma)]!);
}
/** @kernel 6.12 include/linux/rmap.h anon_vma_unlock_read: faithful */
export function* anon_vma_unlock_read(anon_vma: number): Path {
  yield* up_read(current.kernel.anon_vmas[yield* anonVmaRoot(anon_vma)]!);
}

/** Whether the VMA is linked to one anon_vma: then it has not come from a fork. @context mmap_lock held @kernel 6.12 include/linux/list.h list_is_singular: adapted (of anon_vma_chain) */
export function* anonVmaChainIsSingular(vma: Vma): Path<boolean> {
  return (yield* load(vma.anon_vma_chain!.length)) === 1;
}

/** @context mmap_lock held, anon_vma locked for write @kernel 6.12 mm/rmap.c anon_vma_chain_assign: adapted (with anon_vma_interval_tree_insert()) */
function* anon_vma_chain_assign(vma: Vma, anon_vma: number): Path {
  const { length } = vma.anon_vma_chain!;
  const links = yield* load(length);
  yield* store(vma.avc(links), anon_vma);
  yield* store(length, links + 1);
  yield* add(anonVma(anon_vma).rb_root, 1);
}

/**
 * Whether two VMAs, in this order, are so alike that the one may use the other's anon_vma: they differ in nothing that
 * mprotect() does not change.
 * @context mmap_lock held
 * @kernel 6.12 mm/vma.c anon_vma_compatible: faithful
 */
function* anon_vma_compatible(a: Vma, b: Vma): Path<boolean> {
  const b_start = yield* load(b.vm_start);
  if ((yield* load(a.vm_end)) !== b_start) return false;
  const file = yield* load(a.vm_file);
  if (file !== (yield* load(b.vm_file))) return false;
  const flags = yield* load(a.vm_flags);
  if ((flags ^ (yield* load(b.vm_flags))) & ~(VM_ACCESS_FLAGS | VM.SOFTDIRTY)) return false;
  const pages = b_start - (yield* load(a.vm_start));
  const pgoff = pages + (yield* load(a.vm_pgoff));
  return (yield* load(b.vm_pgoff)) === pgoff;
}

/** @context mmap_lock held @kernel 6.12 mm/vma.c reusable_anon_vma: faithful */
function* reusable_anon_vma(old: Vma, a: Vma, b: Vma): Path<number> {
  if (!(yield* anon_vma_compatible(a, b))) return 0;
  const anon_vma = yield* load(old.anon_vma);
  return anon_vma !== 0 && (yield* anonVmaChainIsSingular(old)) ? anon_vma : 0;
}

/** The anon_vma of a neighbour that the VMA may use as well, 0 for none. @context mmap_lock held @kernel 6.12 mm/vma.c find_mergeable_anon_vma: faithful */
function* find_mergeable_anon_vma(vma: Vma): Path<number> {
  const mm = vma.vm_mm;
  const end = yield* load(vma.vm_end);
  const next = yield* vma_next(mm, end);
  if (next !== undefined) {
    const anon_vma = yield* reusable_anon_vma(next, vma, next);
    if (anon_vma !== 0) return anon_vma;
  }
  const prev = yield* vma_prev(mm, yield* load(vma.vm_start));
  return prev === undefined ? 0 : yield* reusable_anon_vma(prev, prev, vma);
}

/**
 * The VMA is about to get its first anonymous page: gives it an anon_vma. The read lock lets several faults come here at
 * once, so page_table_lock decides.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/rmap.c __anon_vma_prepare: adapted (never out of memory)
 */
export function* __anon_vma_prepare(vma: Vma): Path {
  const mm = vma.vm_mm;
  mmap_assert_locked(mm);
  let anon_vma = yield* find_mergeable_anon_vma(vma);
  let allocated = 0;
  if (anon_vma === 0) {
    anon_vma = yield* request(current.kernel.op.anonVmaAlloc);
    yield* add(anonVma(anon_vma).num_children, 1); // a root is its own child
    allocated = anon_vma;
  }
  yield* anon_vma_lock_write(anon_vma);
  yield* spin_lock(mm.page_table_lock);
  if ((yield* load(vma.anon_vma)) === 0) {
    yield* store(vma.anon_vma, anon_vma);
    yield* anon_vma_chain_assign(vma, anon_vma);
    yield* add(anonVma(anon_vma).num_active_vmas, 1);
    allocated = 0;
  }
  yield* spin_unlock(mm.page_table_lock);
  yield* anon_vma_unlock_write(anon_vma);
  if (allocated !== 0) yield* put_anon_vma(allocated);
}

/** @context mmap_lock held; may sleep @kernel 6.12 include/linux/rmap.h anon_vma_prepare: adapted (never out of memory; the anon_vma of an mm without chains is there from the start) */
export function* anon_vma_prepare(vma: Vma): Path {
  if (current.kernel.anon_vma_pool === undefined) return;
  if ((yield* load(vma.anon_vma)) === 0) yield* __anon_vma_prepare(vma);
}

/** @context mmap_lock held; may sleep @kernel 6.12 mm/internal.h vmf_anon_prepare: adapted (no per-VMA lock) */
export function* vmf_anon_prepare(vma: Vma): Path {
  yield* anon_vma_prepare(vma);
}

/**
 * Links `dst` to all anon_vmas of `src`. Without an anon_vma of its own, which is fork's case, `dst` takes one that has
 * no VMAs any more and no more than one child, so that tasks that fork and exit don't make ever longer chains.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/rmap.c anon_vma_clone: adapted (never out of memory)
 */
export function* anon_vma_clone(dst: Vma, src: Vma): Path {
  if (current.kernel.anon_vma_pool === undefined) return;
  const links = yield* load(src.anon_vma_chain!.length);
  const src_anon_vma = yield* load(src.anon_vma);
  let dst_anon_vma = yield* load(dst.anon_vma);
  if (links > 0) yield* anon_vma_lock_write(yield* load(src.avc(0)));
  for (let i = 0; i < links; i++) {
    const anon_vma = yield* load(src.avc(i));
    yield* anon_vma_chain_assign(dst, anon_vma);
    if (dst_anon_vma !== 0 || src_anon_vma === 0) continue;
    const { num_children, num_active_vmas } = anonVma(anon_vma);
    if ((yield* load(num_children)) < 2 && (yield* load(num_active_vmas)) === 0) {
      dst_anon_vma = anon_vma;
      yield* store(dst.anon_vma, anon_vma);
    }
  }
  if (dst_anon_vma !== 0) yield* add(anonVma(dst_anon_vma).num_active_vmas, 1);
  if (links > 0) yield* anon_vma_unlock_write(yield* load(src.avc(0)));
}

/**
 * fork(): the child's VMA gets the anon_vmas of the parent's, where rmap finds the pages that they share, and one of its
 * own for what it will write.
 * @context both mmap_locks held for write; may sleep
 * @kernel 6.12 mm/rmap.c anon_vma_fork: adapted (never out of memory)
 */
export function* anonVmaForkChain(vma: Vma, pvma: Vma): Path {
  const parent = yield* load(pvma.anon_vma);
  if (parent === 0) return;
  yield* store(vma.anon_vma, 0);
  yield* anon_vma_clone(vma, pvma);
  if ((yield* load(vma.anon_vma)) !== 0) return;
  const number = yield* request(current.kernel.op.anonVmaAlloc);
  const anon_vma = anonVma(number);
  yield* add(anon_vma.num_active_vmas, 1);
  const root = yield* load(anonVma(parent).root);
  yield* store(anon_vma.root, root);
  yield* store(anon_vma.parent, parent);
  yield* add(anonVma(root).refcount, 1); // the lock of all of them is in the root
  yield* store(vma.anon_vma, number);
  yield* anon_vma_lock_write(number);
  yield* anon_vma_chain_assign(vma, number);
  yield* add(anonVma(parent).num_children, 1);
  yield* anon_vma_unlock_write(number);
}

/**
 * Unlinks a VMA from its anon_vmas, the newest first, and frees those that have none left: the root last.
 * @context mmap_lock held for write, or the VMA is detached; may sleep
 * @kernel 6.12 mm/rmap.c unlink_anon_vmas: faithful
 */
export function* unlink_anon_vmas(vma: Vma): Path {
  if (vma.anon_vma_chain === undefined) return;
  const { length } = vma.anon_vma_chain;
  const links = yield* load(length);
  if (links === 0) return;
  const empty: number[] = [];
  yield* anon_vma_lock_write(yield* load(vma.avc(0)));
  for (let i = links - 1; i >= 0; i--) {
    const number = yield* load(vma.avc(i));
    const { rb_root, parent } = anonVma(number);
    if (!(yield* subAndTest(rb_root, 1))) continue;
    yield* add(anonVma(yield* load(parent)).num_children, -1);
    empty.push(number);
  }
  const anon_vma = yield* load(vma.anon_vma);
  if (anon_vma !== 0) {
    yield* add(anonVma(anon_vma).num_active_vmas, -1);
    yield* store(vma.anon_vma, 0);
  }
  yield* anon_vma_unlock_write(yield* load(vma.avc(0)));
  for (const number of empty) yield* put_anon_vma(number);
  yield* store(length, 0);
}

/** @context may sleep @kernel 6.12 include/linux/rmap.h put_anon_vma: faithful */
function* put_anon_vma(number: number): Path {
  const { refcount, root } = anonVma(number);
  const itsRoot = yield* load(root);
  if (!(yield* subAndTest(refcount, 1))) return;
  if (itsRoot !== number) yield* subAndTest(anonVma(itsRoot).refcount, 1); // __put_anon_vma()
}
