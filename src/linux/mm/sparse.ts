// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { testBits, equals, load, store, write } from '../../core/primitives.js';
import { bits, frameRef, type Cell, type ValueType } from '../../core/system.js';
import { Use } from '../../machine/frame.js';
import { Meta, type Page } from '../include/mm_types.js';
import { current, knob, type Kernel } from '../kernel.js';
import { call_rcu, rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';

/** Flags in the low bits of mem_section->section_mem_map. */
export const SECTION = { HAS_MEM_MAP: 1, IS_ONLINE: 2, IS_EARLY: 4 } as const;
const sectionFlags: ValueType = {
  name: 'section',
  show: (value) =>
    Object.entries(SECTION)
      .filter(([, mask]) => value & mask)
      .map(([name]) => name)
      .join('|') || 'none',
};

/** How a set-up describes a section. */
export interface SectionOptions {
  /** Present at boot: its memmap is never taken apart by subsections. */
  readonly early?: boolean;
  /** Pages of the buddy allocator: the section is online. */
  readonly online?: boolean;
  /** Going offline migrates its pages, until all are free; else it waits for that. */
  readonly movable?: boolean;
}

/**
 * A section of the memory map, made of subsections of one page each.
 * @kernel 6.12 include/linux/mmzone.h struct mem_section: adapted (usage is at hand; a section is one memory block)
 */
export class MemSection {
  readonly section_mem_map: Cell;
  /** 1: points to the usage map. */
  readonly usage: Cell;
  /** One bit for each page; freed together with the usage map. */
  readonly subsection_map: Cell;
  /** Migrate type of its page blocks: 1 = MIGRATE_ISOLATE. */
  readonly isolated: Cell;
  readonly usageFreed: Cell;
  readonly rcu: number;
  readonly movable: boolean;

  constructor(
    kernel: Kernel,
    readonly number: number,
    readonly pages: readonly Page[],
    { early = false, online = false, movable = false }: SectionOptions,
  ) {
    const { system } = kernel;
    const name = `section${number}`;
    this.section_mem_map = system.cell(
      `${name}.section_mem_map`,
      SECTION.HAS_MEM_MAP | (early ? SECTION.IS_EARLY : 0) | (online ? SECTION.IS_ONLINE : 0),
      { type: sectionFlags },
    );
    this.usage = system.cell(`${name}.usage`, 1);
    this.usageFreed = system.cell(`${name}.usage_freed`);
    this.subsection_map = system.cell(`${name}.subsection_map`, (1 << pages.length) - 1, {
      type: { name: 'subsections', show: (mask) => `{${bits(mask).join(' ')}}` },
      guard: { cell: this.usageFreed, alive: 1, what: 'the usage map', property: () => 'GP-RULE' },
    });
    this.isolated = system.cell(`${name}.isolated`);
    this.movable = movable;
    this.rcu = kernel.rcu.head(this, `${name}.usage`);
    for (const page of pages) system.fixedFrames.add(page.pfn);
  }
}

export function defineSparseOps(kernel: Kernel) {
  const { system } = kernel;
  return {
    /** The struct page of frame a - 1 is unmapped, its memory given back, and the frame is no memory any more. */
    vmemmapFree: system.op({
      name: 'vmemmap_free',
      exec: (a) => {
        const page = kernel.mem_map[a - 1]!;
        for (const cell of fields(page)) system.set(cell.at, 0);
        system.set(page.meta!.at, Meta.FREED);
        system.set(page.frame.use.at, Use.GONE);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const page = kernel.mem_map[a - 1]!;
        access.writes.push(page.meta!.at, page.frame.use.at, ...fields(page).map((cell) => cell.at));
      },
      describe: (a) => `struct page of f${a - 1} is freed`,
    }),
    /** The struct page of frame a - 1 is overwritten with a pattern. */
    pageInitPoison: system.op({
      name: 'page_init_poison',
      exec: (a) => {
        const page = kernel.mem_map[a - 1]!;
        system.touch(page.flags.at);
        for (const cell of fields(page)) system.set(cell.at, 0);
        system.set(page.meta!.at, Meta.POISONED);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const page = kernel.mem_map[a - 1]!;
        access.writes.push(page.meta!.at, ...fields(page).map((cell) => cell.at));
      },
      describe: (a) => `struct page of f${a - 1} is poisoned`,
    }),
  };
}

const fields = (page: Page): Cell[] => [
  page.flags,
  page._refcount,
  page._mapcount,
  page.compound_head,
  page.mapping,
  page.index,
];

/** The section of a PFN; undefined for memory that never goes away. */
export const __pfn_to_section = (pfn: number): MemSection | undefined =>
  current.kernel.hotplug?.sectionOf(current.kernel.mem_map[pfn]!);

/** @kernel 6.12 include/linux/mmzone.h pfn_section_valid: faithful */
export function* pfn_section_valid(ms: MemSection, pfn: number): Path<boolean> {
  const page = current.kernel.mem_map[pfn]!;
  if (yield* equals(ms.usage, 0)) return false;
  return yield* testBits(ms.subsection_map, 1 << ms.pages.indexOf(page));
}

/**
 * Whether there is a struct page for a PFN. It says so of the moment of the look, and keeps nothing alive but the usage
 * map while it looks.
 * @kernel 6.12 include/linux/mmzone.h pfn_valid: faithful
 */
export function* pfn_valid(pfn: number): Path<boolean> {
  const ms = __pfn_to_section(pfn);
  if (ms === undefined) return true;
  const rcu = knob('sparse.usage_free') === 'rcu';
  if (rcu) yield* rcu_read_lock(); // rcu_read_lock_sched()
  const section_mem_map = yield* load(ms.section_mem_map);
  let ret = false;
  if (section_mem_map & SECTION.HAS_MEM_MAP)
    ret = (section_mem_map & SECTION.IS_EARLY) !== 0 || (yield* pfn_section_valid(ms, pfn));
  if (rcu) yield* rcu_read_unlock();
  return ret;
}

/** kfree_rcu() of the usage map. */
export function* freeUsage(ms: MemSection): Path {
  yield* write(ms.usageFreed, 1);
}

/** @kernel 6.12 mm/sparse-vmemmap.c / mm/sparse.c depopulate_section_memmap: adapted (vmemmap_free page by page) */
function* depopulate_section_memmap(pages: readonly Page[]): Path {
  for (const page of pages) yield* request(current.kernel.op.vmemmapFree, page.pfn + 1);
}

/**
 * Takes pages out of a section's memory map. The flag by which pfn_valid() knows the section goes first, when the
 * section is empty; then, with no grace period between, the memory of the struct pages.
 * @context mem_hotplug_lock held for write
 * @kernel 6.12 mm/sparse.c section_deactivate: faithful
 */
export function* section_deactivate(ms: MemSection, pages: readonly Page[]): Path {
  const early = ((yield* load(ms.section_mem_map)) & SECTION.IS_EARLY) !== 0;
  // clear_subsection_map()
  let map = yield* load(ms.subsection_map);
  for (const page of pages) map &= ~(1 << ms.pages.indexOf(page));
  yield* store(ms.subsection_map, map);
  const empty = map === 0;
  if (empty) {
    const section_mem_map = yield* load(ms.section_mem_map);
    yield* store(ms.section_mem_map, section_mem_map & ~SECTION.HAS_MEM_MAP);
    if (!early) {
      if (knob('sparse.usage_free') === 'rcu') yield* call_rcu('freeUsage', ms.rcu);
      else yield* freeUsage(ms);
      yield* write(ms.usage, 0);
    }
  }
  if (!early) yield* depopulate_section_memmap(pages);
  else if (empty) yield* depopulate_section_memmap(ms.pages); // free_map_bootmem()
  if (empty) yield* store(ms.section_mem_map, 0);
}

/** @context mem_hotplug_lock held for write @kernel 6.12 mm/sparse.c sparse_remove_section: faithful */
export function* sparse_remove_section(ms: MemSection, pages: readonly Page[]): Path {
  if (!((yield* load(ms.section_mem_map)) & SECTION.HAS_MEM_MAP)) return;
  yield* section_deactivate(ms, pages);
}
