// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: what can be done with the device file. */
import type { Path } from '../../core/path.js';
import { deviceErase } from '../../machine/machine.js';
import { EINVAL } from '../include/errno.js';
import { mmu_interval_notifier_insert, mmu_interval_notifier_remove } from '../mm/mmu_notifier-interval.js';
import { type Dmirror, dmirror_read, dmirror_write } from './test_hmm.js';
import { dmirror_device_remove_chunks, evictChunks } from './test_hmm-devmem.js';
import { dmirror_check_atomic, dmirror_exclusive } from './test_hmm-exclusive.js';
import { dmirror_migrate_to_device, dmirror_migrate_to_system } from './test_hmm-migrate.js';
import { dmirror_snapshot } from './test_hmm-snapshot.js';
import { HMM_DMIRROR, type HmmDmirrorCmd } from './test_hmm_uapi.js';

/** The process opens the device file: from then on the whole mm is mirrored. @context may sleep; the caller has mm_users @kernel 6.12 lib/test_hmm.c dmirror_fops_open: adapted (the record is there) */
export function* dmirror_fops_open({ notifier, mm }: Dmirror): Path<number> {
  return yield* mmu_interval_notifier_insert(notifier!, mm, 0, mm.space.pages);
}

/**
 * The last use of the device file ends.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_fops_release: adapted (the record stays; its entries go before the device's memory, since nobody can use them)
 */
export function* dmirror_fops_release(dmirror: Dmirror): Path {
  yield* mmu_interval_notifier_remove(dmirror.notifier!);
  yield* deviceErase(dmirror.device, 0, dmirror.mm.space.pages); // xa_destroy()
  if (dmirror.mdevice !== undefined) yield* evictChunks(dmirror.mdevice);
}

/**
 * A command of a program that has the device file open, which need not be the one that is mirrored. Returns 0 or a negative
 * error number; then the program sees no counts.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_fops_unlocked_ioctl: faithful
 */
export function* dmirror_fops_unlocked_ioctl(
  dmirror: Dmirror,
  command: number,
  arg: HmmDmirrorCmd,
): Path<number> {
  if (arg.npages <= 0) return -EINVAL;
  const cmd: HmmDmirrorCmd = { addr: arg.addr, npages: arg.npages, ptr: arg.ptr, cpages: 0, faults: 0 };
  const ret = yield* execute(dmirror, command, cmd);
  if (ret !== 0) return ret;
  arg.cpages = cmd.cpages;
  arg.faults = cmd.faults;
  return 0;
}

/** @context may sleep */
function* execute(dmirror: Dmirror, command: number, cmd: HmmDmirrorCmd): Path<number> {
  switch (command) {
    case HMM_DMIRROR.READ:
      return yield* dmirror_read(dmirror, cmd);
    case HMM_DMIRROR.WRITE:
      return yield* dmirror_write(dmirror, cmd);
    case HMM_DMIRROR.MIGRATE_TO_DEV:
      return yield* dmirror_migrate_to_device(dmirror, cmd);
    case HMM_DMIRROR.MIGRATE_TO_SYS:
      return yield* dmirror_migrate_to_system(dmirror, cmd);
    case HMM_DMIRROR.EXCLUSIVE:
      return yield* dmirror_exclusive(dmirror, cmd);
    case HMM_DMIRROR.CHECK_EXCLUSIVE:
      return yield* dmirror_check_atomic(dmirror, cmd.addr, cmd.addr + cmd.npages);
    case HMM_DMIRROR.SNAPSHOT:
      return yield* dmirror_snapshot(dmirror, cmd);
    case HMM_DMIRROR.RELEASE:
      yield* dmirror_device_remove_chunks(dmirror.mdevice!);
      return 0;
    default:
      return -EINVAL;
  }
}
