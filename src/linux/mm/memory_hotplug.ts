// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { load, store, testBits, write } from '../../core/primitives.js';
import { Use } from '../../machine/frame.js';
import { type Page, PG } from '../include/mm_types.js';
import { folio_try_get, folioUnchanged, page_folio } from '../include/page_ref.js';
import { current, knob, type Kernel } from '../kernel.js';
import {
  percpu_down_read,
  percpu_down_write,
  percpu_up_read,
  percpu_up_write,
  PercpuRwSemaphore,
} from '../kernel/locking/percpu-rwsem.js';
import { rcu_sync_func } from '../kernel/rcu/sync.js';
import { synchronize_rcu } from '../kernel/rcu/tree.js';
import { percpu_ref_switch_to_atomic_rcu } from '../lib/percpu-refcount.js';
import { migrate_pages } from './migrate.js';
import {
  freeUsage,
  MemSection,
  pfn_section_valid,
  __pfn_to_section,
  SECTION,
  type SectionOptions,
  sparse_remove_section,
} from './sparse.js';
import { folio_put } from './swap.js';

/** Actions that the memory notifier chain is told. @kernel 6.12 include/linux/memory.h MEM_*: faithful */
export const MEM = { GOING_OFFLINE: 1, OFFLINE: 2, FINISH_OFFLINE: 3 } as const;

/** What memory hotplug keeps; only there in kernels whose struct pages can go away. */
export class Hotplug {
  readonly mem_hotplug_lock: PercpuRwSemaphore;
  readonly sections: MemSection[] = [];
  /** Callbacks of register_memory_notifier(), added at set-up. */
  readonly memory_chain: ((action: number, section: MemSection) => Path)[] = [];

  constructor(private readonly kernel: Kernel) {
    const { rcu } = kernel;
    rcu.registerObject('rcu_sync_func', rcu_sync_func);
    rcu.registerObject('percpu_ref_switch_to_atomic_rcu', percpu_ref_switch_to_atomic_rcu);
    rcu.registerObject('freeUsage', freeUsage);
    this.mem_hotplug_lock = new PercpuRwSemaphore(kernel, 'mem_hotplug_lock');
  }

  /** Set-up: these pages are a section, which can be removed. */
  addSection(pages: readonly Page[], options: SectionOptions): MemSection {
    const section = new MemSection(this.kernel, this.sections.length, pages, options);
    this.sections.push(section);
    return section;
  }

  sectionOf(page: Page): MemSection | undefined {
    return this.sections.find(({ pages }) => pages.includes(page));
  }

  /** Whether the allocator must leave a free page alone. */
  isolated(page: Page): boolean {
    return this.sectionOf(page)?.isolated.value === 1;
  }
}

/** The hotplug state of the running kernel. */
export const hotplug = (): Hotplug => {
  const state = current.kernel.hotplug;
  if (state === undefined) throw new Error('expected a machine with hotplug: true');
  return state;
};

export function definePageIsolationOps(kernel: Kernel) {
  const { system } = kernel;
  const section = (number: number): MemSection => kernel.hotplug!.sections[number]!;
  const uses = (number: number): number[] => section(number).pages.map((page) => page.frame.use.at);
  return {
    /** Waits until all pages of section a are free. */
    testPagesIsolated: system.op({
      name: 'test_pages_isolated',
      sleeps: true,
      enabled: (a) => section(a).pages.every((page) => page.frame.use.value === Use.FREE),
      waits: (a) => ({
        until: `all pages of section${a} to be free`,
        counted: section(a).pages.map((page) => page._refcount.at),
        by: 'folio_put()',
      }),
      exec: () => 0,
      touches: (a, _b, _c, _agent, access) => access.reads.push(...uses(a)),
      describe: (a) => `all pages of section${a} are free`,
    }),
    /** Observes whether all pages of section a are free. */
    pagesIsolated: system.op({
      name: 'test_pages_isolated',
      exec: (a) => (section(a).pages.every((page) => page.frame.use.value === Use.FREE) ? 1 : 0),
      touches: (a, _b, _c, _agent, access) => access.reads.push(...uses(a)),
      describe: (a, _b, _c, observed) =>
        observed === 0 ? `section${a} has pages in use` : `all pages of section${a} are free`,
    }),
    /** Takes the free pages of section a from the allocator. */
    offlineIsolatedPages: system.op({
      name: '__offline_isolated_pages',
      exec: (a) => {
        for (const page of section(a).pages) {
          system.touch(page._refcount.at);
          if (page._refcount.value !== 0)
            system.fail(
              'BUG-ON',
              `f${page.pfn} is to go offline, and its _refcount is ${page._refcount.value}`,
            );
          system.set(page.frame.use.at, Use.OFFLINE);
        }
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        access.writes.push(...uses(a));
        access.reads.push(...section(a).pages.map((page) => page._refcount.at));
      },
      describe: (a) => `section${a}: pages leave the allocator`,
    }),
  };
}

/** @context may sleep @kernel 6.12 mm/memory_hotplug.c get_online_mems: faithful */
export function* get_online_mems(): Path {
  yield* percpu_down_read(hotplug().mem_hotplug_lock);
}
/** @kernel 6.12 mm/memory_hotplug.c put_online_mems: faithful */
export function* put_online_mems(): Path {
  yield* percpu_up_read(hotplug().mem_hotplug_lock);
}

/**
 * Begins a change of the memory map. If nobody changed it of late this waits for a grace period, as a side effect of
 * the lock; nothing says so, and a second change right after the first does not wait.
 * @context may sleep
 * @kernel 6.12 mm/memory_hotplug.c mem_hotplug_begin: adapted (CPU hotplug left out)
 */
export function* mem_hotplug_begin(): Path {
  yield* percpu_down_write(hotplug().mem_hotplug_lock);
  if (knob('mem_hotplug_begin.gp') === 'always') yield* synchronize_rcu();
}
/** @kernel 6.12 mm/memory_hotplug.c mem_hotplug_done: adapted (CPU hotplug left out) */
export function* mem_hotplug_done(): Path {
  yield* percpu_up_write(hotplug().mem_hotplug_lock);
}

/**
 * The struct page of a PFN if it is online memory, else undefined. Nothing keeps it online after the look.
 * @kernel 6.12 mm/memory_hotplug.c pfn_to_online_page: adapted (no section is part memory, part device)
 */
export function* pfn_to_online_page(pfn: number): Path<Page | undefined> {
  const page = current.kernel.mem_map[pfn]!;
  const ms = __pfn_to_section(pfn);
  if (ms === undefined) return page;
  if (!((yield* load(ms.section_mem_map)) & SECTION.IS_ONLINE)) return undefined;
  return (yield* pfn_section_valid(ms, pfn)) ? page : undefined;
}

/** @kernel 6.12 drivers/base/memory.c memory_notify: adapted (callbacks can't fail) */
export function* memory_notify(action: number, section: MemSection): Path {
  for (const callback of hotplug().memory_chain) yield* callback(action, section);
}

/**
 * The struct pages are uninitialised from here on.
 * @context mem_hotplug_lock held for write
 * @kernel 6.12 mm/memory_hotplug.c remove_pfn_range_from_zone: adapted (no zone spans)
 */
export function* remove_pfn_range_from_zone(pages: readonly Page[]): Path {
  if (knob('debug_vm.poison') === 'off') return;
  for (const page of pages) yield* request(current.kernel.op.pageInitPoison, page.pfn + 1);
}

/** Waits for those who look at the LRU caches: the offline path's own grace period. @context may sleep @kernel 6.12 mm/swap.c lru_cache_disable: adapted (no LRU caches to drain) */
export function* lru_cache_disable(): Path {
  yield* synchronize_rcu();
}

/**
 * Takes a section out of use: no new allocations, waits until its pages are free, takes them from the allocator.
 * @context mem_hotplug_lock held for write
 * @kernel 6.12 mm/memory_hotplug.c offline_pages: adapted (pages of a section that is not movable are waited for; no per-CPU lists, no signals, no failures)
 */
export function* offline_pages(section: MemSection): Path<number> {
  yield* lru_cache_disable();
  yield* write(section.isolated, 1); // start_isolate_page_range()
  yield* memory_notify(MEM.GOING_OFFLINE, section);
  if (section.movable) yield* migrateUntilIsolated(section);
  else yield* request(current.kernel.op.testPagesIsolated, section.number);
  yield* __offline_isolated_pages(section);
  if (knob('offline_pages.gp') === 'before-poison') yield* synchronize_rcu();
  yield* memory_notify(MEM.OFFLINE, section);
  yield* remove_pfn_range_from_zone(section.pages);
  return 0;
}

/**
 * Migrates what can be migrated, again and again, until all pages of the section are free. Only a signal would end it.
 * @context may sleep
 * @kernel 6.12 mm/memory_hotplug.c offline_pages: adapted (the loop; no signals)
 */
function* migrateUntilIsolated(section: MemSection): Path {
  for (;;) {
    let first = yield* scan_movable_pages(section, 0);
    while (first >= 0) {
      yield* do_migrate_range(section, first);
      first = yield* scan_movable_pages(section, first);
    }
    if ((yield* request(current.kernel.op.pagesIsolated, section.number)) !== 0) return;
  }
}

/** The first page from `first` on that can be migrated, by its place in the section; -1 for none. @kernel 6.12 mm/memory_hotplug.c scan_movable_pages: adapted (pages on the LRU) */
function* scan_movable_pages(section: MemSection, first: number): Path<number> {
  for (let i = first; i < section.pages.length; i++)
    if (yield* testBits(section.pages[i]!.flags, PG.lru)) return i;
  return -1;
}

/** @context may sleep @kernel 6.12 mm/memory_hotplug.c do_migrate_range: adapted (small folios; migrate_pages() isolates them) */
function* do_migrate_range(section: MemSection, first: number): Path {
  const source: Page[] = [];
  for (const page of section.pages.slice(first)) {
    const folio = yield* page_folio(page);
    if (!(yield* folio_try_get(folio))) continue;
    if (yield* folioUnchanged(page, folio)) source.push(folio);
    yield* folio_put(folio);
  }
  if (source.length > 0) yield* migrate_pages(source, 'sync');
}

/** @kernel 6.12 mm/page_alloc.c __offline_isolated_pages: adapted (offline_mem_sections folded in) */
export function* __offline_isolated_pages(section: MemSection): Path {
  const section_mem_map = yield* load(section.section_mem_map);
  yield* store(section.section_mem_map, section_mem_map & ~SECTION.IS_ONLINE);
  yield* request(current.kernel.op.offlineIsolatedPages, section.number);
}

/** @context mem_hotplug_lock held for write @kernel 6.12 mm/memory_hotplug.c __remove_pages: faithful */
export function* __remove_pages(pages: readonly Page[]): Path {
  for (const section of hotplug().sections) {
    const gone = pages.filter((page) => section.pages.includes(page));
    if (gone.length > 0) yield* sparse_remove_section(section, gone);
  }
}

/** @context mem_hotplug_lock held for write @kernel 6.12 arch/x86/mm/init_64.c arch_remove_memory: adapted (no direct map) */
export function* arch_remove_memory(pages: readonly Page[]): Path {
  yield* __remove_pages(pages);
}

const EBUSY = 16;

/**
 * Removes a section that is offline.
 * @context may sleep; device_hotplug_lock held
 * @kernel 6.12 mm/memory_hotplug.c try_remove_memory: adapted (no altmap, no resource tree; a block's state is its section's)
 */
export function* try_remove_memory(section: MemSection): Path<number> {
  if ((yield* load(section.section_mem_map)) & SECTION.IS_ONLINE) return -EBUSY;
  yield* mem_hotplug_begin();
  if (knob('offline_pages.gp') === 'before-remove') yield* synchronize_rcu();
  yield* arch_remove_memory(section.pages);
  yield* mem_hotplug_done();
  return 0;
}
