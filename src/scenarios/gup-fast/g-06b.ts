// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates } from '../../litmus/index.js';
import {
  dax_wait_page_idle,
  FOLL,
  get_dev_pagemap,
  get_user_pages_fast_only,
  gup_put_folio,
  memunmap_pages,
  put_dev_pagemap,
  unmap_mapping_range_vma,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');

/**
 * As G-06, but with devmap PTEs: GUP-fast takes a reference on the pgmap before it touches the struct page, and the
 * grace period of percpu_ref_kill() sees to it that the reference counts. The filesystem unmaps the file and waits
 * until its page is idle, then the device goes.
 */
export default scenario({
  id: 'G-06b',
  family: 'gup-fast',
  title: 'ZONE_DEVICE removal against GUP-fast on devmap pages',
  question: 'What makes the pgmap reference that GUP-fast takes for a devmap PTE safe?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 2, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'percpu_ref.switch': ['gp', 'no-gp'],
    lock: ['idle', 'back-to-back'],
    'mem_hotplug_begin.gp': ['when-idle', 'never'],
    'dax wait': ['idle', 'none'],
    reader: ['gup-fast', 'memory-failure'],
    'pgmap_array_delete.gp': ['on', 'off'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds: 'one look-up of one fsdax page, its last zap, one memunmap_pages() of a section of one page',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const [page] = m.pages(x);
    m.section([page!]);
    if (k.lock === 'back-to-back') m.hotplugJustDone();
    return { x, page: page!, pgmap: m.pagemap('FS_DAX', x) };
  },
  agents: ({ x, page, pgmap }, k) => ({
    *reader() {
      if (k.reader === 'memory-failure') {
        // memory_failure(): a PFN out of the blue
        const found = yield* get_dev_pagemap(page.pfn);
        if (found === undefined) return see('fell back');
        see('got the page');
        yield* put_dev_pagemap(found);
        return;
      }
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* gup_put_folio(pages[0], 1, FOLL.GET); // put_page()
    },
    *remover() {
      yield* unmap_mapping_range_vma(x.vma, x.start, x.end);
      if (k['dax wait'] === 'idle') yield* dax_wait_page_idle(page);
      yield* memunmap_pages(pgmap);
      see('removed');
    },
  }),
  sometimes: ['got the page', 'fell back', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'lock=back-to-back,mem_hotplug_begin.gp=never': 'safe',
    'lock=back-to-back,mem_hotplug_begin.gp=never,machine=bcast': 'safe',
    'lock=back-to-back': 'safe',
    'lock=back-to-back,machine=bcast': 'safe',
    'percpu_ref.switch=no-gp': 'safe',
    'percpu_ref.switch=no-gp,machine=bcast': deadlocks(), // the sum has the reader's get and misses its put
    'percpu_ref.switch=no-gp,mem_hotplug_begin.gp=never': 'safe',
    'percpu_ref.switch=no-gp,mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    'percpu_ref.switch=no-gp,lock=back-to-back,machine=bcast': poisoned,
    'percpu_ref.switch=no-gp,lock=back-to-back,mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    'dax wait=none': poisoned,
    'dax wait=none,machine=bcast': poisoned,
    // What the grace period in pgmap_array_delete() is for.
    'reader=memory-failure': 'safe',
    'reader=memory-failure,machine=bcast': 'safe',
    'reader=memory-failure,pgmap_array_delete.gp=off': violates('PGMAP-LIVE'),
    'reader=memory-failure,pgmap_array_delete.gp=off,machine=bcast': violates('PGMAP-LIVE'),
    'pgmap_array_delete.gp=off': 'safe',
    'pgmap_array_delete.gp=off,machine=bcast': 'safe',
  },
  differs: {
    'percpu_ref.switch=no-gp': 'UNSAFE',
    'percpu_ref.switch=no-gp,mem_hotplug_begin.gp=never': 'UNSAFE',
    'percpu_ref.switch=no-gp,machine=bcast': 'UNSAFE',
  },
});
