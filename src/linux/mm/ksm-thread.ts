// SPDX-License-Identifier: GPL-2.0-only
/** mm/ksm.c: ksmd, and what it hears of memory hotplug. */
import type { Path } from '../../core/path.js';
import { awaitClear, clearBits, equals, fence, read, setBits, testBits } from '../../core/primitives.js';
import type { Cell, System } from '../../core/system.js';
import { current, knob, type Kernel } from '../kernel.js';
import { defineMutex, mutex_lock, mutex_unlock } from '../kernel/locking/mutex.js';
import { ksm_get_folio, remove_node_from_stable_tree } from './ksm.js';
import { MEM } from './memory_hotplug.js';
import type { MemSection } from './sparse.js';
import { folio_put } from './swap.js';

/** In ksm_run: memory is going offline, ksmd stays away from the stable tree. */
export const KSM_RUN_OFFLINE = 4;

/** What ksmd and its memory notifier share. */
export class KsmThread {
  readonly ksm_thread_mutex: Cell;
  readonly ksm_run: Cell;

  constructor(system: System) {
    this.ksm_thread_mutex = defineMutex(system, 'ksm_thread_mutex');
    this.ksm_run = system.cell('ksm_run');
  }
}

const thread = (): KsmThread => current.kernel.ksm!;

/** Set-up: KSM hears of memory that goes away. @kernel 6.12 mm/ksm.c ksm_init: adapted (the memory notifier) */
export function ksm_init(kernel: Kernel): void {
  if (kernel.ksm !== undefined && kernel.knobs['ksm.memory_notifier'] === 'on')
    kernel.hotplug?.memory_chain.push(ksm_memory_callback);
}

/** @context ksm_thread_mutex held, dropped while it waits @kernel 6.12 mm/ksm.c wait_while_offlining: faithful */
function* wait_while_offlining(): Path {
  const { ksm_thread_mutex, ksm_run } = thread();
  while (yield* testBits(ksm_run, KSM_RUN_OFFLINE)) {
    yield* mutex_unlock(ksm_thread_mutex);
    yield* awaitClear(ksm_run, KSM_RUN_OFFLINE);
    yield* mutex_lock(ksm_thread_mutex);
  }
}

/**
 * One turn of ksmd: looks whether the nodes of the stable tree still have their pages, and drops those that have not.
 * @context may sleep
 * @kernel 6.12 mm/ksm.c ksm_scan_thread: adapted (one turn; of the scan only what it does to nodes: no merging)
 */
export function* ksm_scan_thread(): Path {
  const { ksm_thread_mutex } = thread();
  yield* mutex_lock(ksm_thread_mutex);
  yield* wait_while_offlining();
  for (const stable_node of current.kernel.ksm_nodes) {
    if (stable_node === undefined || !(yield* equals(stable_node.linked, 1))) continue;
    const folio = yield* ksm_get_folio(stable_node, 'NOLOCK');
    if (typeof folio === 'object') yield* folio_put(folio);
  }
  yield* mutex_unlock(ksm_thread_mutex);
}

/** Drops the nodes whose pages are in the section: their struct pages may not be looked at. @kernel 6.12 mm/ksm.c ksm_check_stable_tree: faithful */
function* ksm_check_stable_tree(section: MemSection): Path {
  for (const stable_node of current.kernel.ksm_nodes) {
    if (stable_node === undefined || !(yield* equals(stable_node.linked, 1))) continue;
    const page = current.kernel.mem_map[(yield* read(stable_node.kpfn)) - 1]!;
    if (section.pages.includes(page)) yield* remove_node_from_stable_tree(stable_node);
  }
}

/**
 * Keeps ksmd away while memory goes offline, and drops the nodes that are left over before it comes back.
 * @context may sleep; mem_hotplug_lock held for write
 * @kernel 6.12 mm/ksm.c ksm_memory_callback: adapted (offlining is not cancelled)
 */
export function* ksm_memory_callback(action: number, section: MemSection): Path {
  const { ksm_thread_mutex, ksm_run } = thread();
  if (action === MEM.GOING_OFFLINE) {
    yield* mutex_lock(ksm_thread_mutex);
    yield* setBits(ksm_run, KSM_RUN_OFFLINE);
    yield* mutex_unlock(ksm_thread_mutex);
    return;
  }
  if (action !== MEM.OFFLINE) return;
  if (knob('ksm.offline_prune') === 'on') yield* ksm_check_stable_tree(section);
  yield* mutex_lock(ksm_thread_mutex);
  yield* clearBits(ksm_run, KSM_RUN_OFFLINE);
  yield* mutex_unlock(ksm_thread_mutex);
  yield* fence();
}
