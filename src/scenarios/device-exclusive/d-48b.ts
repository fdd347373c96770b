// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see } from '../../litmus/index.js';
import {
  clear_refs_write,
  folio_get,
  folio_put,
  migrate_pages,
  pte_page,
  ptep_get,
  shrink_inactive_list,
  try_to_merge_with_ksm_page,
  userLoad,
  VM,
} from '../../linux/index.js';

/**
 * As D-48, with others who take the dirty bit out of an entry, or change the entry beside reclaim: migration, KSM's write
 * protection, clear_refs. The page is in the swap cache with other contents; the entry alone says that it was written to.
 */
export default scenario({
  id: 'D-48b',
  family: 'device-exclusive',
  title: 'who passes the dirty bit of an entry on',
  question:
    'Is what a CPU has stored still there when somebody has changed the entry before the page was swapped out?',
  machine: { cpus: 2, frames: 5, data: true, swapSlots: 1, ksmNodes: 1, softDirty: true },
  knobs: { by: ['migrate', 'ksm', 'clear-refs'] },
  bounds:
    'one page in the swap cache that was stored to since; one migration or one attempt to merge it, then one reclaim and a load; or one clear_refs beside the reclaim',
  setup(m) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true, vm_flags: VM.MERGEABLE });
    const page = p.page(x.start);
    page.frame.data!.init(5);
    m.swapCache(page);
    const q = m.process('Q', { cpus: [] });
    const y = q.mmap({ pages: 1, touched: true });
    const kpage = q.page(y.start);
    m.ksmPage(q, y, kpage);
    return { p, x, page, kpage, ptep: p.ptep(x.start) };
  },
  agents: ({ p, x, page, kpage, ptep }, { by }) => ({
    *reclaim() {
      if (by === 'migrate') yield* migrate_pages([page], 'sync');
      if (by === 'ksm') {
        yield* folio_get(page); // get_mergeable_page()
        yield* try_to_merge_with_ksm_page(p.mm, x.start, page, kpage);
        yield* folio_put(page);
      }
      const now = by === 'migrate' ? pte_page(yield* ptep_get(ptep)) : page;
      yield* shrink_inactive_list([now]);
      const value = yield* userLoad(x.start);
      yield* claim(value === 5, 'DATA', 'what the CPU has stored is gone');
      return see('still there');
    },
    *other() {
      if (by === 'clear-refs') yield* clear_refs_write(p.mm);
    },
  }),
  sometimes: ['still there'],
  expect: { base: 'safe', 'by=ksm': 'safe', 'by=clear-refs': 'safe' },
});
