// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, retract_page_tables, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * The fault looks the entry up again, under its lock: v8 by a walk over the mappings of the page, the merged version by
 * pte_offset_map_lock(). For one page that is the same. Either may find that the page table has gone; for an anonymous
 * mapping it can't have: retract_page_tables() leaves VMAs with an anon_vma alone, and collapse holds mmap_lock for write.
 */
export default scenario({
  id: 'D-24',
  family: 'device-exclusive',
  title: 'how the fault finds the entry again',
  question: 'Does it matter how the fault on a device-exclusive entry finds the entry again?',
  machine: ({ loads }) => ({ cpus: 2, frames: 4, data: true, pageWalkCache: loads === 'two' }),
  knobs: {
    loads: ['one', 'two'],
    'restore.find': ['pte-lock', 'rmap-walk'],
    'retract_page_tables.anon_vma': ['skipped', 'ignored'],
    'restore.null_table': ['handled', 'not-handled'],
    'pte_offset_map.rcu': ['on', 'off'],
  },
  bounds:
    'one page that a device has, one load or two; beside it one MADV_DONTNEED and one removal of the page table',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    return { x };
  },
  agents: ({ x }, k) => ({
    *user() {
      if (k.loads === 'two') yield* userLoad(x.start);
      const value = yield* userLoad(x.start);
      yield* claim(value === 0, 'DATA', 'the page has the contents of another');
      see('loaded');
    },
    *khugepaged() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      const removed = yield* retract_page_tables(x.vma, x.start);
      const skips = k['retract_page_tables.anon_vma'] === 'skipped';
      yield* claim(!removed || !skips, 'EXCLUSION', 'the table of an anonymous mapping was taken');
      if (removed || skips) see('khugepaged was there');
    },
  }),
  sometimes: ['loaded', 'khugepaged was there'],
  expect: {
    base: 'safe',
    'restore.find=rmap-walk': 'safe',
    'retract_page_tables.anon_vma=ignored': 'safe',
    'restore.find=rmap-walk,retract_page_tables.anon_vma=ignored': 'safe',
    'loads=two,retract_page_tables.anon_vma=ignored': 'safe',
    'retract_page_tables.anon_vma=ignored,restore.null_table=not-handled': violates('TABLE-ALIVE'),
    'retract_page_tables.anon_vma=ignored,pte_offset_map.rcu=off': violates('TABLE-ALIVE'),
  },
});
