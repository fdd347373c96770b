// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  local_irq_restore,
  local_irq_save,
  madvise_dontneed,
  memunmap_pages,
  unmap_mapping_range_vma,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');

/**
 * As G-06, but the driver unmaps the file before it removes the memory, as drivers/pci/p2pdma.c does: then
 * percpu_ref_kill() begins its grace period after the last zap, and memunmap_pages() waits for it. What P2PDMA gets
 * wrong in 6.12 is something else: free_zone_device_folio() goes on with the struct page when p2pdma_page_free() has
 * dropped the reference that kept the pgmap.
 *
 * put=rcu-reader: the last put is made where a grace period waits for it: with interrupts off, in softirq, or anywhere
 * in a kernel whose RCU is not preemptible.
 */
export default scenario({
  id: 'G-06c',
  family: 'gup-fast',
  title: 'ZONE_DEVICE removal after the last zap',
  question:
    'If the driver unmaps the pages first, does the grace period of percpu_ref_kill() protect GUP-fast?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    zap: ['before-kill', 'any-time'],
    'mem_hotplug_begin.gp': ['when-idle', 'never'],
    'percpu_ref.switch': ['gp', 'no-gp'],
    type: ['COHERENT', 'PCI_P2PDMA'],
    'free_zone_device_folio.count': ['after-page_free', 'before-page_free'],
    'pageunmap_range.gp': ['after-remove', 'after-begin'],
    'debug_vm.poison': ['on', 'off'],
    put: ['task', 'rcu-reader'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds:
    'one look-up of one page, its last zap, one memunmap_pages() of a section of one page; mem_hotplug_lock idle',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.section(m.pages(x));
    return { x, pgmap: m.pagemap(k.type, x) };
  },
  agents: ({ x, pgmap }, k) => ({
    *reader() {
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET | FOLL.PCI_P2PDMA);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      if (k.put === 'rcu-reader') yield* local_irq_save();
      yield* folio_put(pages[0]);
      if (k.put === 'rcu-reader') yield* local_irq_restore();
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
    'mem_hotplug_begin.gp=never': 'safe',
    'mem_hotplug_begin.gp=never,machine=bcast': 'safe',
    'zap=any-time,mem_hotplug_begin.gp=never': 'safe',
    'zap=any-time,mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    // The sum misses a put, so the wait never ends; on bcast META-POISONED as well.
    'mem_hotplug_begin.gp=never,percpu_ref.switch=no-gp': deadlocks(),
    'mem_hotplug_begin.gp=never,percpu_ref.switch=no-gp,machine=bcast': deadlocks(),
    'type=PCI_P2PDMA': poisoned,
    'type=PCI_P2PDMA,machine=bcast': poisoned,
    'type=PCI_P2PDMA,debug_vm.poison=off': violates('META-FREED'),
    'type=PCI_P2PDMA,debug_vm.poison=off,machine=bcast': violates('META-FREED'),
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA': poisoned,
    // The hidden grace period waits for such a put; without it (the lock is busy) nothing does.
    'type=PCI_P2PDMA,put=rcu-reader': 'safe',
    'type=PCI_P2PDMA,put=rcu-reader,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA,put=rcu-reader': poisoned,
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA,put=rcu-reader,machine=bcast': poisoned,
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA,pageunmap_range.gp=after-begin,put=rcu-reader': 'safe',
    'type=PCI_P2PDMA,pageunmap_range.gp=after-begin': poisoned,
    'type=PCI_P2PDMA,pageunmap_range.gp=after-begin,machine=bcast': poisoned,
    'type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free': 'safe',
    'type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free': 'safe',
    'mem_hotplug_begin.gp=never,type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free,machine=bcast':
      'safe',
    'zap=any-time,mem_hotplug_begin.gp=never,type=PCI_P2PDMA,free_zone_device_folio.count=before-page_free,machine=bcast':
      poisoned,
  },
  differs: {
    'type=PCI_P2PDMA': 'SAFE',
    'type=PCI_P2PDMA,machine=bcast': 'SAFE',
    'type=PCI_P2PDMA,pageunmap_range.gp=after-begin': 'SAFE',
    'type=PCI_P2PDMA,pageunmap_range.gp=after-begin,machine=bcast': 'SAFE',
  },
});
