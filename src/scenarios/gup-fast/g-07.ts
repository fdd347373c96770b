// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  GP,
  madvise_dontneed,
  memory_block_offline,
  page_idle_get_folio,
  PG,
  try_remove_memory,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');
const freed = violates('META-FREED');
const walked = violates('META-POISONED', { reports: ['DATA-RACE'] });
const walkedUsage = violates('GP-RULE', { reports: ['DATA-RACE'] });

/**
 * Ordinary memory. Popple: a synchronize_rcu() in mem_hotplug_begin() would serve device memory, but offline_pages()
 * calls it too early, before the pages are isolated. The struct pages are poisoned at the end of offline_pages() and
 * freed by try_remove_memory(), so there are two places to protect.
 */
export default scenario({
  id: 'G-07',
  family: 'gup-fast',
  title: 'Where a grace period helps when memory is unplugged',
  question:
    'Where must a grace period stand in the offline path, so that GUP-fast meets no dead struct page?',
  machine: { cpus: 3, frames: 2, hotplug: true, rcuCallbacks: 2 },
  knobs: {
    'offline_pages.gp': ['before-isolation', 'before-poison', 'before-remove'],
    lock: ['back-to-back', 'idle'],
    'mem_hotplug_begin.gp': ['when-idle', 'always', 'never'],
    'debug_vm.poison': ['on', 'off'],
    walker: ['gup-fast', 'pfn-walker'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds:
    'one look-up of one page, its last zap, one section of one page taken offline and removed, at once or when mem_hotplug_lock is idle again',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const [page] = m.pages(x);
    page!.flags.init(page!.flags.value | PG.lru);
    const { gp_state } = m.mem_hotplug_lock.rss;
    return { x, pfn: page!.pfn, section: m.section([page!], { online: true }), gp_state };
  },
  agents: ({ x, pfn, section, gp_state }, k) => ({
    *reader() {
      const page =
        k.walker === 'gup-fast'
          ? (yield* get_user_pages_fast_only(x.start, 1, FOLL.GET))[0]
          : yield* page_idle_get_folio(pfn);
      if (page === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(page);
    },
    *zapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *unplug() {
      yield* memory_block_offline(section);
      if (k.lock === 'idle') yield* awaitValue(gp_state, GP.IDLE);
      yield* try_remove_memory(section);
      see('removed');
    },
  }),
  sometimes: ['got the page', 'fell back', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': poisoned,
    'debug_vm.poison=off': 'safe',
    'debug_vm.poison=off,machine=bcast': freed,
    'lock=idle': 'safe',
    'lock=idle,machine=bcast': poisoned,
    'lock=idle,debug_vm.poison=off': 'safe',
    'lock=idle,debug_vm.poison=off,machine=bcast': 'safe',
    'offline_pages.gp=before-poison': 'safe',
    'offline_pages.gp=before-poison,machine=bcast': 'safe',
    'offline_pages.gp=before-poison,debug_vm.poison=off': 'safe',
    'offline_pages.gp=before-poison,debug_vm.poison=off,machine=bcast': 'safe',
    'offline_pages.gp=before-poison,mem_hotplug_begin.gp=never,machine=bcast': 'safe',
    'offline_pages.gp=before-remove': 'safe',
    'offline_pages.gp=before-remove,machine=bcast': poisoned,
    'offline_pages.gp=before-remove,debug_vm.poison=off': 'safe',
    'offline_pages.gp=before-remove,debug_vm.poison=off,machine=bcast': 'safe',
    'offline_pages.gp=before-poison,lock=idle': 'safe',
    'offline_pages.gp=before-poison,lock=idle,machine=bcast': 'safe',
    'offline_pages.gp=before-poison,lock=idle,debug_vm.poison=off': 'safe',
    'offline_pages.gp=before-poison,lock=idle,debug_vm.poison=off,machine=bcast': 'safe',
    'offline_pages.gp=before-remove,lock=idle': 'safe',
    'offline_pages.gp=before-remove,lock=idle,machine=bcast': poisoned,
    'offline_pages.gp=before-remove,lock=idle,debug_vm.poison=off': 'safe',
    'offline_pages.gp=before-remove,lock=idle,debug_vm.poison=off,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=always': 'safe',
    'mem_hotplug_begin.gp=always,machine=bcast': poisoned,
    'mem_hotplug_begin.gp=always,debug_vm.poison=off': 'safe',
    'mem_hotplug_begin.gp=always,debug_vm.poison=off,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never,debug_vm.poison=off': 'safe',
    'mem_hotplug_begin.gp=never,debug_vm.poison=off,machine=bcast': freed,
    // No grace period waits for a walker that is no RCU reader.
    'walker=pfn-walker': walked,
    'walker=pfn-walker,machine=bcast': walked,
    'offline_pages.gp=before-poison,walker=pfn-walker': walked,
    'offline_pages.gp=before-poison,walker=pfn-walker,machine=bcast': walked,
    'offline_pages.gp=before-poison,lock=idle,debug_vm.poison=off,walker=pfn-walker': walkedUsage,
    'offline_pages.gp=before-remove,debug_vm.poison=off,walker=pfn-walker': walkedUsage,
    'offline_pages.gp=before-remove,debug_vm.poison=off,walker=pfn-walker,machine=bcast': walkedUsage,
  },
});
