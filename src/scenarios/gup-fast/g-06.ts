// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  memunmap_pages,
  unmap_mapping_range_vma,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');

/**
 * The question that closes seed 004: pages of device memory whose PTEs are no devmap ones, so that GUP-fast takes no
 * pgmap reference before it touches the struct page. Which grace period stands between its look at the PTE and
 * vmemmap_free()?
 */
export default scenario({
  id: 'G-06',
  family: 'gup-fast',
  title: 'ZONE_DEVICE removal against GUP-fast on plain pages',
  question:
    'Does pageunmap_range() need a synchronize_rcu() after mem_hotplug_begin(), as Popple proposes in seed 004?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'pageunmap_range.gp': ['after-remove', 'after-begin'],
    lock: ['idle', 'back-to-back'],
    'mem_hotplug_begin.gp': ['when-idle', 'always', 'never'],
    zap: ['any-time', 'before-kill'],
    type: ['COHERENT', 'PCI_P2PDMA'],
    'free_zone_device_folio.count': ['after-page_free', 'before-page_free'],
    'percpu_ref.switch': ['gp', 'no-gp'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds:
    'one look-up of one page, its last zap, one memunmap_pages() of a section of one page; mem_hotplug_lock idle, or just released by another writer',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.section(m.pages(x));
    if (k.lock === 'back-to-back') m.hotplugJustDone();
    return { x, pgmap: m.pagemap(k.type, x) };
  },
  agents: ({ x, pgmap }, k) => ({
    *reader() {
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET | FOLL.PCI_P2PDMA);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *zapper() {
      if (k.zap === 'any-time') yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *remover() {
      if (k.zap === 'before-kill') yield* unmap_mapping_range_vma(x.vma, x.start, x.end);
      yield* memunmap_pages(pgmap);
      see('removed');
    },
  }),
  sometimes: ['got the page', 'fell back', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'lock=back-to-back': 'safe',
    'lock=back-to-back,machine=bcast': poisoned,
    'mem_hotplug_begin.gp=never': 'safe',
    'mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    'lock=back-to-back,mem_hotplug_begin.gp=always': 'safe',
    'lock=back-to-back,mem_hotplug_begin.gp=always,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin': 'safe',
    'pageunmap_range.gp=after-begin,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,lock=back-to-back': 'safe',
    'pageunmap_range.gp=after-begin,lock=back-to-back,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,mem_hotplug_begin.gp=never,machine=bcast': 'safe',
    'lock=back-to-back,zap=before-kill': 'safe',
    'lock=back-to-back,zap=before-kill,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never,zap=before-kill,machine=bcast': 'safe',
    // percpu_ref_kill() waits a grace period of its own: enough if the last zap came before it.
    'lock=back-to-back,zap=before-kill,percpu_ref.switch=no-gp': deadlocks(), // a put is lost
    'lock=back-to-back,zap=before-kill,percpu_ref.switch=no-gp,machine=bcast': poisoned,
    // free_zone_device_folio() goes on with the struct page after p2pdma_page_free() has dropped the pgmap.
    'type=PCI_P2PDMA': poisoned,
    'type=PCI_P2PDMA,machine=bcast': poisoned,
    'pageunmap_range.gp=after-begin,type=PCI_P2PDMA,machine=bcast': poisoned,
    'zap=before-kill,type=PCI_P2PDMA': poisoned,
    'zap=before-kill,type=PCI_P2PDMA,machine=bcast': poisoned,
    'type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free': 'safe',
    'type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free,machine=bcast': 'safe',
    'zap=before-kill,type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free': 'safe',
    'lock=back-to-back,zap=before-kill,type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free,machine=bcast':
      'safe',
  },
});
