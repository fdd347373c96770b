// SPDX-License-Identifier: MIT
/**
 * Optimistic checks that fail for nothing, as they do where another CPU has changed what they look at and put it back: the
 * kernel tries again, or takes the slow way, and the answers must be those that were recorded. So a replay gets to where
 * no recording does, one operation at a time.
 */
import { live, site, siteCount } from '../src/core/live.js';
import type { Path } from '../src/core/path.js';

/** By check: what it observes when it fails, and the functions in which that costs no more than another attempt. */
const CHECKS: Readonly<Record<string, readonly [observed: boolean, within: readonly string[]]>> = {
  pteUnchanged: [
    false,
    ['gup_fast_pte_range', 'restoreAtPte', 'do_swap_page', 'finish_fault', 'wp_page_copy', 'vmf_pte_changed'],
  ],
  pmdUnchanged: [false, ['pte_offset_map_lock', 'gup_fast_pte_range']],
  folioUnchanged: [false, ['try_get_folio']],
  folio_try_get: [false, ['remove_device_exclusive_entry', 'filemap_get_entry']],
  equals: [false, ['filemap_get_entry', 'shmem_get_folio', 'shmem_swapin_folio', 'shmem_add_to_page_cache']],
  folio_trylock: [false, ['__try_to_reclaim_swap']],
  read_seqcount_retry: [true, ['gup_fast']],
  mmu_interval_read_retry: [true, ['dmirror_range_fault', 'dmirror_atomic_map', 'dmirror_range_snapshot']],
  mmu_interval_check_retry: [true, ['hmm_range_fault']],
};

/** The sites of these checks, and what they observe. */
function checksThatFail(): Map<number, boolean> {
  const found = new Map<number, boolean>();
  for (let number = 0; number < siteCount(); number++) {
    const { callee, fn, file } = site(number);
    const check = Object.hasOwn(CHECKS, callee) ? CHECKS[callee] : undefined;
    if (check !== undefined && file.startsWith('src/linux/') && check[1].includes(fn))
      found.set(number, check[0]);
  }
  return found;
}

/**
 * Runs something in which each of these checks fails once in every operation; it is given what to call when one begins.
 * Returns what it returns.
 */
export function withRetries<T>(run: (operationBegins: () => void) => T): T {
  const failing = checksThatFail();
  const failed = new Set<number>();
  const { delegate } = live;
  live.delegate = (at, path) => {
    const observed = failing.get(at);
    if (observed === undefined || failed.has(at)) return delegate(at, path);
    failed.add(at);
    return observes(observed) as typeof path;
  };
  try {
    return run(() => failed.clear());
  } finally {
    live.delegate = delegate;
  }
}

function* observes(value: boolean): Path<boolean> {
  return value;
}
