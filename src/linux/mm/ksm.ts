// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, progress, read, testBits, write } from '../../core/primitives.js';
import { frameRef, type Cell, type System } from '../../core/system.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { EBUSY } from '../include/errno.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_test_ksm } from '../include/page-flags.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_try_get } from '../include/page_ref.js';
import { current, knob } from '../kernel.js';
import { down_read } from '../kernel/locking/rwsem.js';
import type { RmapTarget, RmapWalk } from './rmap.js';
import { folio_put } from './swap.js';

/** page->mapping of a KSM page: this + the number of its stable node; this alone while it has none. */
export const PAGE_MAPPING_KSM = 1 << 16;

/**
 * struct ksm_stable_node: one KSM page of the stable tree. It holds no reference on the page.
 * @kernel 6.12 mm/ksm.c struct ksm_stable_node: adapted (rmap items are fixed at set-up)
 */
export class KsmStableNode {
  /** Frame + 1. */
  readonly kpfn: Cell;
  /** 1: in the stable tree. */
  readonly linked: Cell;
  /** The mappings of the page that rmap walks. */
  readonly rmap: RmapTarget[] = [];

  constructor(
    system: System,
    readonly number: number,
  ) {
    this.kpfn = system.cell(`ksm[${number}].kpfn`, 0, { type: frameRef });
    this.linked = system.cell(`ksm[${number}].linked`);
  }

  /** What page->mapping of its page is. */
  get mapping(): number {
    return PAGE_MAPPING_KSM + this.number;
  }
}

export type KsmGetFolio = 'NOLOCK' | 'LOCK' | 'TRYLOCK';

/** @context ksm_thread_mutex held @kernel 6.12 mm/ksm.c remove_node_from_stable_tree: adapted (a flag of the node; no rmap items to clean, no counters) */
export function* remove_node_from_stable_tree(stable_node: KsmStableNode): Path {
  yield* write(stable_node.linked, 0);
}

/**
 * The page of a stable node, with a reference, if it still is that: the node holds no reference, so the page may have
 * been freed, reused, or migrated. A frozen count of a folio in the swap cache means migration, which may end with the
 * node pointing to the new page: so it waits. Returns undefined, with the node removed, if the page has gone.
 * @context interrupts on, no RCU
 * @kernel 6.12 mm/ksm.c ksm_get_folio: faithful
 */
export function* ksm_get_folio(
  stable_node: KsmStableNode,
  flags: KsmGetFolio,
): Path<Folio | number | undefined> {
  const checks = knob('ksm.mapping_checks');
  const expected_mapping = stable_node.mapping;
  for (;;) {
    const kpfn = yield* read(stable_node.kpfn);
    const folio = current.kernel.mem_map[kpfn - 1]!;
    const got = yield* getIfMapped(folio, expected_mapping);
    if (got) {
      if (checks !== 'no-second' && !(yield* equals(folio.mapping, expected_mapping)))
        yield* folio_put(folio);
      else {
        if (flags === 'TRYLOCK') {
          if (!(yield* folio_trylock(folio))) {
            yield* folio_put(folio);
            return -EBUSY;
          }
        } else if (flags === 'LOCK') yield* folio_lock(folio);
        if (flags === 'NOLOCK' || checks === 'no-third') return folio;
        if (yield* equals(folio.mapping, expected_mapping)) return folio;
        yield* folio_unlock(folio);
        yield* folio_put(folio);
      }
    }
    if (yield* equals(stable_node.kpfn, kpfn)) {
      yield* remove_node_from_stable_tree(stable_node);
      return undefined;
    }
    progress('ksm_get_folio: the page was migrated');
  }
}

/** ksm_get_folio() up to the reference. */
function* getIfMapped(folio: Folio, expected_mapping: number): Path<boolean> {
  if (!(yield* equals(folio.mapping, expected_mapping))) return false;
  while (!(yield* folio_try_get(folio))) {
    if (knob('ksm.spin') === 'off' || !(yield* testBits(folio.flags, PG.swapcache))) return false;
  }
  return true;
}

/**
 * A KSM page was migrated: the node points to the new page before the old page stops to belong to the node.
 * @context both folios locked
 * @kernel 6.12 mm/ksm.c folio_migrate_ksm: faithful
 */
export function* folio_migrate_ksm(newfolio: Folio, folio: Folio): Path {
  assertFolioLocked(folio);
  assertFolioLocked(newfolio);
  if (!(yield* folio_test_ksm(folio))) return;
  const stable_node = current.kernel.ksm_nodes[(yield* read(folio.mapping)) - PAGE_MAPPING_KSM];
  if (stable_node === undefined) return;
  yield* write(stable_node.kpfn, newfolio.pfn + 1);
  yield* write(folio.mapping, PAGE_MAPPING_KSM);
}

/**
 * Begins an rmap walk of a KSM page.
 * @context folio locked: that keeps the node's list
 * @kernel 6.12 mm/ksm.c rmap_walk_ksm: adapted (mappings in one anon_vma)
 */
export function* rmapWalkKsmBegin(mapping: number): Path<RmapWalk> {
  const targets = current.kernel.ksm_nodes[mapping - PAGE_MAPPING_KSM]!.rmap;
  const vma = targets[0]?.vma;
  if (vma === undefined) return { anon_vma: 0, targets: [] };
  const anon_vma = yield* read(vma.anon_vma);
  yield* down_read(current.kernel.anon_vmas[anon_vma]!);
  return { anon_vma, targets };
}
