// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import {
  MEM,
  mem_hotplug_begin,
  mem_hotplug_done,
  memory_notify,
  offline_pages,
} from '../../mm/memory_hotplug.js';
import type { MemSection } from '../../mm/sparse.js';

/**
 * Takes a memory block offline.
 * @context may sleep; device_hotplug_lock held
 * @kernel 6.12 drivers/base/memory.c memory_block_offline: adapted (a block is one section; no altmap)
 */
export function* memory_block_offline(section: MemSection): Path<number> {
  yield* mem_hotplug_begin();
  const ret = yield* offline_pages(section);
  if (ret === 0) yield* memory_notify(MEM.FINISH_OFFLINE, section);
  yield* mem_hotplug_done();
  return ret;
}
