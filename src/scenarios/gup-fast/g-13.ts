// SPDX-License-Identifier: GPL-2.0-only
import { claim, equals, leaks, scenario, see, violates, type Testbed } from '../../litmus/index.js';
import {
  alloc_page,
  folio_put,
  folio_unlock,
  ksm_get_folio,
  ksm_scan_thread,
  type KsmGetFolio,
  type KsmStableNode,
  madvise_dontneed,
  memory_block_offline,
  migrate_pages,
  munmap,
  try_remove_memory,
} from '../../linux/index.js';

/** A process with one KSM page, and what the scenarios need of it. */
function merged(m: Testbed) {
  const p = m.process('P');
  const x = p.mmap({ pages: 1, touched: true, prot: 'r' });
  const page = p.page(x.start);
  return { p, x, page, node: m.ksmPage(p, x, page) };
}

/** What ksmd does with a node: gets its page, which must be the node's while it has it. */
function* scan(node: KsmStableNode, flags: KsmGetFolio) {
  const folio = yield* ksm_get_folio(node, flags);
  if (folio === undefined) return see('stale');
  if (typeof folio === 'number') return see('busy');
  see('got the page');
  yield* claim(
    yield* equals(folio.mapping, node.mapping),
    'KSM-PAGE',
    'ksm_get_folio() returned a page that is not the page of the node',
  );
  if (flags !== 'NOLOCK') yield* folio_unlock(folio);
  yield* folio_put(folio);
}

/** The node refers to a page without holding it: the page is freed, and its frame goes to somebody else. */
export const g13 = scenario({
  id: 'G-13',
  family: 'gup-fast',
  title: 'ksm_get_folio against free and reuse',
  question: 'Why does ksm_get_folio() compare page->mapping again after it took the reference?',
  machine: { cpus: 2, frames: 3, ksmNodes: 1 },
  knobs: { 'ksm.mapping_checks': ['three', 'no-second', 'no-third'], flags: ['NOLOCK', 'LOCK', 'TRYLOCK'] },
  bounds: 'one ksm_get_folio(), one munmap of the only mapping, one allocation',
  setup: merged,
  agents: ({ p, x, node }, { flags }) => ({
    ksmd: () => scan(node, flags),
    *unmapper() {
      yield* munmap(p.mm, x.vma);
      const other = yield* alloc_page();
      if (other === undefined) return;
      see('allocated');
      yield* folio_put(other);
    },
  }),
  sometimes: ['got the page', 'stale', 'allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'flags=LOCK': 'safe',
    'flags=TRYLOCK': 'safe',
    'ksm.mapping_checks=no-second': violates('KSM-PAGE'),
    'ksm.mapping_checks=no-second,machine=bcast': violates('KSM-PAGE'),
    // The check after the lock finds it too, but locks a foreign page first.
    'ksm.mapping_checks=no-second,flags=LOCK': 'safe',
    'ksm.mapping_checks=no-third,flags=LOCK': 'safe',
  },
});

/** The page is migrated: the scanner's reference comes after migration has counted, and before the node moves on. */
export const g13b = scenario({
  id: 'G-13b',
  family: 'gup-fast',
  title: 'ksm_get_folio against migration',
  question:
    'Why does ksm_get_folio() compare page->mapping once more after it has the lock, and wait for a frozen count?',
  machine: { cpus: 2, frames: 4, ksmNodes: 1, swapSlots: 1 },
  knobs: {
    'ksm.mapping_checks': ['three', 'no-second', 'no-third'],
    'ksm.spin': ['on', 'off'],
    flags: ['LOCK', 'TRYLOCK'],
    page: ['anon', 'swapcache'],
  },
  bounds: 'one ksm_get_folio(), one migration of the page',
  setup(m, k) {
    const s = merged(m);
    if (k.page === 'swapcache') m.swapCache(s.page);
    return s;
  },
  agents: ({ page, node }, { flags }) => ({
    ksmd: () => scan(node, flags),
    *migration() {
      const failed = yield* migrate_pages([page], 'sync');
      see(failed === 0 ? 'migrated' : 'gave up');
    },
  }),
  sometimes: ['got the page', 'migrated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'flags=TRYLOCK': 'safe',
    'page=swapcache': 'safe',
    'page=swapcache,machine=bcast': 'safe',
    'flags=TRYLOCK,page=swapcache': 'safe',
    'ksm.mapping_checks=no-third': violates('KSM-PAGE'),
    'ksm.mapping_checks=no-third,machine=bcast': violates('KSM-PAGE'),
    'ksm.mapping_checks=no-third,flags=TRYLOCK': violates('KSM-PAGE'),
    'ksm.mapping_checks=no-third,page=swapcache': violates('KSM-PAGE'),
    'ksm.spin=off,page=swapcache': leaks('KSM-NODE'),
    'ksm.spin=off,page=swapcache,machine=bcast': leaks('KSM-NODE'),
    'ksm.spin=off': 'safe',
  },
});

/** The page is freed and its memory unplugged: the node is all that is left. */
export const g13c = scenario({
  id: 'G-13c',
  family: 'gup-fast',
  title: 'ksm_get_folio against memory hot-unplug',
  question: 'What keeps ksmd from the struct page of a stable node whose memory was unplugged?',
  machine: { cpus: 2, frames: 2, ksmNodes: 1, hotplug: true, rcuCallbacks: 2 },
  knobs: {
    'ksm.memory_notifier': ['on', 'off'],
    'ksm.offline_prune': ['on', 'off'],
    'debug_vm.poison': ['on', 'off'],
  },
  bounds: 'one turn of ksmd, the last zap of the page, one section of one page taken offline and removed',
  setup(m) {
    const s = merged(m);
    return { ...s, section: m.section([s.page], { online: true }) };
  },
  agents: ({ x, section }) => ({
    *ksmd() {
      yield* ksm_scan_thread();
    },
    *unplug() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* memory_block_offline(section);
      yield* try_remove_memory(section);
      see('removed');
    },
  }),
  sometimes: ['removed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'debug_vm.poison=off': 'safe',
    'debug_vm.poison=off,machine=bcast': 'safe',
    'ksm.memory_notifier=off': violates('META-POISONED'),
    'ksm.memory_notifier=off,machine=bcast': violates('META-POISONED'),
    'ksm.memory_notifier=off,debug_vm.poison=off': violates('META-FREED'),
    'ksm.memory_notifier=off,debug_vm.poison=off,machine=bcast': violates('META-FREED'),
    'ksm.offline_prune=off': violates('META-POISONED'),
    'ksm.offline_prune=off,machine=bcast': violates('META-POISONED'),
    'ksm.offline_prune=off,debug_vm.poison=off': violates('META-FREED'),
  },
});
