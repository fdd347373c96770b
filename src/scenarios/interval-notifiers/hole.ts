// SPDX-License-Identifier: GPL-2.0-only
import {
  type Cell,
  type Path,
  type Process,
  read,
  type Region,
  type Testbed,
  write,
} from '../../litmus/index.js';
import {
  intervalBatch,
  MMU_NOTIFY,
  mmu_interval_notifier_insert_safe,
  mmu_interval_notifier_update,
  mmu_interval_set_seq,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceFlush, deviceUnmap } from '../../machine/machine.js';
import { type Mirror, mirror } from './mirror.js';

/** How a driver deals with a hole in its interval. */
export type How = 'callback' | 'outside' | 'batch' | 'keep' | 'refault' | 'insert-first';

/**
 * A driver has one interval over three pages, and the one in the middle is unmapped: its interval is to end before the
 * hole, and another one is to begin behind it. Nobody looks at the left page, so nothing is mapped there.
 */
export interface Split {
  readonly p: Process;
  readonly gpu0: Mirror;
  readonly right: Region;
  /** The one over all three pages, later over the left one. */
  readonly old: MmuIntervalNotifier;
  /** The one over the right page. */
  readonly fresh: MmuIntervalNotifier;
  /** By the driver's books, under its lock: which one covers the right page. Number + 1; 0: none. */
  readonly covers: Cell;
}

const LEFT = 0;

/** `clip`: the callback acts on what its books say of the subscription, not on what the tree says. */
export function split(
  m: Testbed,
  { how, clip = false, mapped = false }: { how: How; clip?: boolean; mapped?: boolean },
): Split {
  const p = m.process('P', { cpus: [0] });
  const right = p.mmap({ pages: 1, touched: true, at: LEFT + 2 });
  const gpu0 = mirror(m, p);
  const { gpu, user_lock } = gpu0;
  const ops: MmuIntervalNotifierOps = {
    *invalidate(sub, range, cur_seq) {
      const unmaps = range.event === MMU_NOTIFY.UNMAP;
      yield* mutex_lock(user_lock);
      yield* mmu_interval_set_seq(sub, cur_seq);
      const skipped = clip && range.start === right.start && (yield* read(covers)) !== sub.number + 1;
      const end = unmaps && (how === 'refault' || how === 'keep') ? right.end : range.end;
      if (!skipped) {
        yield* deviceUnmap(gpu, range.start, end);
        yield* deviceFlush(gpu, range.start, end);
      }
      if (unmaps && how === 'callback') yield* shrinkAndInsert(it);
      if (unmaps && how === 'refault') {
        yield* mmu_interval_notifier_update(sub, LEFT, LEFT);
        yield* write(covers, 0);
      }
      yield* mutex_unlock(user_lock);
      return true;
    },
    *release() {}, // v5: so that update() does not wait
  };
  const old = p.intervalNotifier({ start: LEFT, end: right.end }, ops);
  const fresh = p.intervalNotifier(right, ops, { inserted: false, ready: true });
  const covers = m.flag('covers right').init(old.number + 1);
  if (mapped) gpu.pte[right.start]!.init(p.ptep(right.start).cell.value);
  const it: Split = { p, gpu0, right, old, fresh, covers };
  return it;
}

/** Ends the old interval before the hole, then begins the other one behind it. @context the driver's lock held */
export function* shrinkAndInsert({ p, old, fresh, right, covers }: Split): Path {
  yield* mmu_interval_notifier_update(old, LEFT, LEFT);
  yield* mmu_interval_notifier_insert_safe(fresh, p.mm, right.start, 1);
  yield* write(covers, fresh.number + 1);
}

/** What mirrors hear of the munmap() of the page in the middle; none was mapped there. */
export function* unmapHole({ p }: Split): Path {
  const range = mmu_notifier_range_init(MMU_NOTIFY.UNMAP, 0, p.mm, LEFT + 1, LEFT + 2);
  yield* mmu_notifier_invalidate_range_start(range);
  yield* mmu_notifier_invalidate_range_end(range);
}

/** What the driver does when the hole is there, outside of its callback. */
export function* afterTheHole(it: Split, how: How): Path {
  const { p, gpu0, old, fresh, right, covers } = it;
  if (how === 'callback' || how === 'keep' || how === 'refault') return;
  yield* mutex_lock(gpu0.user_lock);
  if (how === 'outside') yield* shrinkAndInsert(it);
  else if (how === 'batch') {
    yield* intervalBatch(
      { interval_sub: old, start: LEFT, last: LEFT },
      { interval_sub: fresh, start: right.start, last: right.start },
    );
    yield* write(covers, fresh.number + 1);
  } else {
    yield* mmu_interval_notifier_insert_safe(fresh, p.mm, right.start, 1);
    yield* write(covers, fresh.number + 1);
    yield* mmu_interval_notifier_update(old, LEFT, LEFT);
  }
  yield* mutex_unlock(gpu0.user_lock);
}

/** The subscription that covers the right page, by the driver's books; inserts one if none does. */
export function* covering({ p, gpu0, fresh, right, covers }: Split): Path<MmuIntervalNotifier> {
  const { user_lock } = gpu0;
  const number = yield* read(covers);
  if (number !== 0) return p.mm.notifier_subscriptions!.interval_subs[number - 1]!;
  yield* mutex_lock(user_lock);
  yield* mmu_interval_notifier_insert_safe(fresh, p.mm, right.start, 1);
  yield* write(covers, fresh.number + 1);
  yield* mutex_unlock(user_lock);
  return fresh;
}
