// SPDX-License-Identifier: GPL-2.0-only
import { claim, leaks, scenario, see } from '../../litmus/index.js';
import {
  folio_put,
  migrate_pages,
  page_idle_clear_pte_refs,
  page_idle_get_folio,
  pte_present,
  ptep_get,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * v8 set the entry and counted the mapping afterwards; 6.12 counts it first. In between the page is mapped and not
 * counted as that. Who would do harm with it, reclaim and migration, holds the folio lock, which the fault holds as well.
 * page_idle looks without, and misses the mapping: the page seems older than it is.
 */
export default scenario({
  id: 'D-42',
  family: 'device-exclusive',
  title: 'the entry first, or the map count',
  question: 'Does it matter whether the restored entry is set before its mapping is counted?',
  machine: { cpus: 2, frames: 4, data: true, swapSlots: 1 },
  knobs: {
    by: ['reclaim', 'migrate', 'page-idle'],
    'restore.rmap': ['rmap-set', 'set-rmap', 'not-counted'],
  },
  bounds:
    'one page that a device has, two loads; beside it one reclaim, migration or page_idle scan of the page',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    page.frame.data!.init(7);
    const ptep = p.ptep(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    return { x, page, ptep };
  },
  agents: ({ x, page, ptep }, { by, 'restore.rmap': rmap }) => ({
    *user() {
      yield* userLoad(x.start);
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'the page has other contents');
      see('loaded');
    },
    *walker() {
      if (by === 'reclaim') {
        yield* shrink_inactive_list([page]);
        return see('walked');
      }
      if (by === 'migrate') {
        yield* migrate_pages([page], 'async');
        return see('walked');
      }
      const folio = yield* page_idle_get_folio(page.pfn);
      if (folio === undefined) return;
      const mapped = pte_present(yield* ptep_get(ptep));
      const found = yield* page_idle_clear_pte_refs(folio);
      if (mapped && found < 0 === (rmap === 'set-rmap')) see('walked');
      yield* folio_put(folio);
    },
  }),
  sometimes: ['loaded', 'walked'],
  expect: {
    base: 'safe',
    'restore.rmap=set-rmap': 'safe',
    'by=migrate': 'safe',
    'by=migrate,restore.rmap=set-rmap': 'safe',
    'by=page-idle': 'safe',
    'by=page-idle,restore.rmap=set-rmap': 'safe',
    'restore.rmap=not-counted': leaks('MAP-SUM'),
    'by=migrate,restore.rmap=not-counted': leaks('MAP-SUM'),
  },
});
