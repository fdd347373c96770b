// SPDX-License-Identifier: GPL-2.0-only
/**
 * On-demand paging of the whole address space (an implicit MR, of which a child is there for each part that is in use).
 * A child whose last page goes is removed: from the callback that is impossible, so a work does it.
 */
import type { Path } from '../../../../../core/path.js';
import {
  add,
  addUnless,
  awaitValue,
  equals,
  load,
  read,
  subAndTest,
  write,
} from '../../../../../core/primitives.js';
import { type Cell, type Guard, holder } from '../../../../../core/system.js';
import { type Device, deviceFlush, deviceMap, deviceUnmap } from '../../../../../machine/machine.js';
import { EFAULT } from '../../../../include/errno.js';
import type { Mm } from '../../../../include/mm_types.js';
import {
  mmu_interval_set_seq,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierRange,
} from '../../../../include/mmu_notifier.js';
import { mutex_lock, mutex_unlock } from '../../../../kernel/locking/mutex.js';
import { spin_lock, spin_unlock } from '../../../../kernel/locking/spinlock.js';
import { driverLife, executes, free_module, Module } from '../../../../kernel/module.js';
import { flush_work, queue_work, WorkStruct } from '../../../../kernel/workqueue.js';
import { type Kernel, knob } from '../../../../kernel.js';
import {
  ib_umem_odp_map_dma_and_lock,
  ib_umem_odp_release,
  ib_umem_odp_unmap_dma_pages,
  IbUmemOdp,
} from '../../core/umem_odp.js';

/** struct mlx5_ib_mkey: who uses an MR holds a reference. @kernel 6.12 drivers/infiniband/hw/mlx5/mlx5_ib.h struct mlx5_ib_mkey: adapted (its count and its wait queue) */
class Mlx5IbMkey {
  readonly usecount: Cell;
  /** The wait queue; touched by who wakes. */
  readonly wait: Cell;

  constructor({ system }: Kernel, name: string, guard: Guard) {
    this.usecount = system.cell(`${name}.usecount`, 1, { guard });
    this.wait = system.cell(`${name}.wait`, 0, { guard });
  }
}

/**
 * An implicit MR with its one child. Both are there from the beginning, with the module.
 * @kernel 6.12 drivers/infiniband/hw/mlx5/mlx5_ib.h struct mlx5_ib_mr: adapted (parent and child are one record with two lives; a child that is gone is not made again)
 */
export class Mlx5ImplicitMr {
  readonly module: Module;
  readonly umem: IbUmemOdp;
  /** The parent's reference count, and its life. */
  readonly imr: Mlx5IbMkey;
  readonly imrLife: Cell;
  /** The child's. */
  readonly mr: Mlx5IbMkey;
  readonly mrLife: Cell;
  /** xa_lock of implicit_children. */
  readonly xa_lock: Cell;
  /** implicit_children: 1 while the child is in it. */
  readonly implicit_children: Cell;
  readonly odp_destroy: WorkStruct;

  constructor(
    kernel: Kernel,
    /** The card. */
    readonly device: Device,
    mm: Mm,
    { start, end }: { readonly start: number; readonly end: number },
  ) {
    const { system } = kernel;
    this.module = new Module(system, 'mlx5_ib');
    const imr = driverLife(system, 'imr');
    const mr = driverLife(system, 'mr');
    this.imrLife = imr.life;
    this.mrLife = mr.life;
    this.imr = new Mlx5IbMkey(kernel, 'imr', imr.guard);
    this.mr = new Mlx5IbMkey(kernel, 'mr', mr.guard);
    this.umem = new IbUmemOdp(kernel, 'umem', mm, start, end, mr.guard);
    const lock = { type: holder, lockClass: 'implicit_children', guard: imr.guard };
    this.xa_lock = system.cell('imr.xa_lock', 0, lock);
    this.implicit_children = system.cell('imr.implicit_children', 1, { guard: imr.guard });
    const work = (): Path => free_implicit_child_mr_work(this);
    this.odp_destroy = new WorkStruct(kernel, 'odp_destroy', this.module, work);
  }
}

/**
 * Drops a reference. Whoever drops the last one wakes who waits; knob mlx5.deref: he may have seen the count by then, and
 * have freed the record.
 * @context any
 * @kernel 6.12 drivers/infiniband/hw/mlx5/mlx5_ib.h mlx5r_deref_odp_mkey: adapted (who waits looks at the count)
 */
function* mlx5r_deref_odp_mkey(mmkey: Mlx5IbMkey): Path {
  const last = yield* subAndTest(mmkey.usecount, 1);
  if (last && knob('mlx5.deref') === 'then-wake') yield* load(mmkey.wait); // wake_up()
}

/** @context may sleep @kernel 6.12 drivers/infiniband/hw/mlx5/mlx5_ib.h mlx5r_deref_wait_odp_mkey: faithful */
function* mlx5r_deref_wait_odp_mkey(mmkey: Mlx5IbMkey): Path {
  yield* mlx5r_deref_odp_mkey(mmkey);
  if (knob('mlx5.mkey_wait') === 'on') yield* awaitValue(mmkey.usecount, 0);
}

/** Ends the child: the card forgets it, the interval is removed, the record is freed. @context may sleep @kernel 6.12 drivers/infiniband/hw/mlx5/mr.c mlx5_ib_dereg_mr: adapted (of a child that nobody uses) */
function* mlx5_ib_dereg_mr({ device, umem, mrLife }: Mlx5ImplicitMr): Path {
  yield* deviceUnmap(device, umem.start, umem.end); // mlx5r_handle_mkey_cleanup()
  yield* deviceFlush(device, umem.start, umem.end);
  yield* ib_umem_odp_release(umem);
  yield* write(mrLife, 0); // kfree()
}

/**
 * The work that removes a child. Faults may have found it before it left the list: they go first.
 * @context may sleep
 * @kernel 6.12 drivers/infiniband/hw/mlx5/odp.c free_implicit_child_mr_work: adapted (the parent's page table is not modelled)
 */
function* free_implicit_child_mr_work(imr: Mlx5ImplicitMr): Path {
  yield* mlx5r_deref_wait_odp_mkey(imr.mr);
  yield* mlx5_ib_dereg_mr(imr);
  yield* mlx5r_deref_odp_mkey(imr.imr);
}

/**
 * The last page of a child has gone: it leaves the list, and a work removes it, with a reference on the parent. Whoever
 * ends the parent removes those that are on the list.
 * @context umem_mutex of the child held, in a callback
 * @kernel 6.12 drivers/infiniband/hw/mlx5/odp.c destroy_unused_implicit_child_mr: adapted (no odp_mkeys)
 */
function* destroy_unused_implicit_child_mr({
  imr,
  xa_lock,
  implicit_children,
  odp_destroy,
}: Mlx5ImplicitMr): Path {
  if (!(yield* addUnless(imr.usecount, 1, 0))) return;
  yield* spin_lock(xa_lock);
  if (yield* equals(implicit_children, 0)) {
    yield* spin_unlock(xa_lock);
    yield* mlx5r_deref_odp_mkey(imr);
    return;
  }
  yield* write(implicit_children, 0);
  yield* spin_unlock(xa_lock);
  yield* queue_work(odp_destroy);
}

/** The subscription of a child. */
export class Mlx5MnOps implements MmuIntervalNotifierOps {
  constructor(private readonly imr: Mlx5ImplicitMr) {}

  /**
   * Takes the range off the card. A child that has no page left is removed, later.
   * @context sleeps; refuses a range in which it may not
   * @kernel 6.12 drivers/infiniband/hw/mlx5/odp.c mlx5_ib_invalidate_range: adapted (all entries of the range are zapped at once)
   */
  *invalidate(mni: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean> {
    const { module, umem, device } = this.imr;
    yield* executes(module);
    if (!mmu_notifier_range_blockable(range)) return false;
    yield* mutex_lock(umem.umem_mutex);
    yield* mmu_interval_set_seq(mni, cur_seq);
    if (!(yield* equals(umem.npages, 0))) {
      const start = Math.max(umem.start, range.start);
      const end = Math.min(umem.end, range.end);
      if (knob('mlx5.callback') === 'tears-down') {
        yield* deviceUnmap(device, start, end);
        yield* deviceFlush(device, start, end);
        yield* ib_umem_odp_unmap_dma_pages(umem, start, end);
      }
      const unused = knob('mlx5.callback') === 'marks-only' || (yield* equals(umem.npages, 0));
      if (unused) yield* this.removeChild();
    }
    yield* mutex_unlock(umem.umem_mutex);
    return true;
  }

  /** Knob mlx5.remove. @context umem_mutex held, in a callback */
  private *removeChild(): Path {
    if (knob('mlx5.remove') === 'work') yield* destroy_unused_implicit_child_mr(this.imr);
    else yield* ib_umem_odp_release(this.imr.umem);
  }
}

/**
 * Serves a fault of the card for a store at `user_va`. Returns 0 or a negative error number.
 * @context may sleep
 * @kernel 6.12 drivers/infiniband/hw/mlx5/odp.c pagefault_implicit_mr, pagefault_real_mr: adapted (one page; a child that is not there is not made)
 */
export function* pagefault_implicit_mr(imr: Mlx5ImplicitMr, user_va: number): Path<number> {
  const { xa_lock, implicit_children, mr, umem, device } = imr;
  yield* spin_lock(xa_lock);
  const gone = yield* equals(implicit_children, 0);
  if (!gone) yield* add(mr.usecount, 1);
  yield* spin_unlock(xa_lock);
  if (gone) return -EFAULT;
  const np = yield* ib_umem_odp_map_dma_and_lock(umem, user_va);
  if (np === 0) {
    yield* deviceMap(device, user_va, yield* read(umem.dma_list[user_va - umem.start]!)); // mlx5r_umr_update_xlt()
    yield* mutex_unlock(umem.umem_mutex);
  }
  yield* mlx5r_deref_odp_mkey(mr);
  return np;
}

/**
 * Ends the MR, and unloads the driver. Knob mlx5.unload: what is waited for before its memory and its code go.
 * @context may sleep
 * @kernel 6.12 drivers/infiniband/hw/mlx5/odp.c mlx5_ib_free_odp_mr: adapted (with __mlx5_ib_dereg_mr() of the parent, and the end of the module)
 */
export function* mlx5_ib_unload(imr: Mlx5ImplicitMr): Path {
  const unload = knob('mlx5.unload');
  yield* mlx5r_deref_odp_mkey(imr.imr);
  if (unload !== 'none') yield* awaitValue(imr.imr.usecount, 0);
  if (unload === 'flush') yield* flush_work(imr.odp_destroy);
  if (!(yield* equals(imr.implicit_children, 0))) {
    yield* write(imr.implicit_children, 0);
    yield* mlx5r_deref_wait_odp_mkey(imr.mr);
    yield* mlx5_ib_dereg_mr(imr);
  }
  yield* write(imr.imrLife, 0); // kfree()
  yield* free_module(imr.module);
}
