// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cover, judge, replay } from '../../src/cli/mutate-worker.js';
import { type Mutant, mutantsOf, nameOf } from '../../src/cli/mutants.js';
import { siteCount, site as siteOf } from '../../src/core/live.js';
import { SCENARIOS } from '../../src/scenarios/index.js';

const mutants = new Map<string, Mutant>();
for (let site = 0; site < siteCount(); site++)
  for (const mutant of mutantsOf(site)) mutants.set(nameOf(mutant), mutant);

function ask(name: string, scenario: string, variant: string) {
  const mutant = mutants.get(name);
  if (mutant === undefined) throw new Error(`expected a mutant ${name}`);
  const index = SCENARIOS.find(({ id }) => id === scenario)!.variants.findIndex(
    (each) => each.name === variant,
  );
  return judge(mutant, { scenario, variant: index, maxStates: 100_000 }, false);
}

describe('mutants of the kernel paths', () => {
  it('are of the sites that a run reaches with a request: of primitives, and of all that calls them', () => {
    const variant = SCENARIOS.find(({ id }) => id === 'G-20e')!.variants.findIndex(
      ({ name }) => name === 'page=cached',
    );
    const { sites, asDeclared } = cover({ scenario: 'G-20e', variant, maxStates: 100_000 });
    expect(asDeclared).toBe(true);
    const calls = sites.map((number) => `${siteOf(number).fn} ${siteOf(number).callee}`);
    expect(calls).toEqual(
      expect.arrayContaining(['do_swap_page folio_unlock', 'folio_unlock unlock', 'do_swap_page add']),
    );
  });

  it.each([
    ['a lock', 'arch/fault.ts do_user_addr_fault mmap_read_lock#1 lock', 'G-14c', 'base'],
    ['a flush', 'mm/mmu_gather.ts tlb_flush_mmu_tlbonly flush_tlb_mm_range#1 skip', 'G-14c', 'page=present'],
    ['a recheck', 'mm/gup.ts try_get_folio folioUnchanged#1 true', 'G-01b', 'walker=pfn'],
    ['a get', 'mm/memory-fork.ts copy_present_pte folio_get#1 skip', 'G-15b', 'base'],
    ['a put', 'mm/mmu_gather.ts tlb_batch_pages_flush folio_put#1 skip', 'G-01', 'base'],
    ['a barrier', 'mm/memory-fork.ts copy_page_range raw_write_seqcount_begin#1 skip', 'G-15', 'base'],
    ['a release', 'mm/memory-swap.ts do_swap_page folio_unlock#2 skip', 'G-20e', 'page=cached'],
    ['an asserted lock', 'mm/swap_state.ts add_to_swap_cache spin_lock#1 lock', 'G-20c', 'base'],
    ['an RCU section', 'include/pgtable.ts __pte_offset_map rcu_read_lock#1 lock', 'G-10', 'walker=rcu-only'],
    [
      'a flush at one of its calls',
      'mm/rmap-exclusive.ts page_make_device_exclusive_one ptep_clear_flush#1 flush',
      'D-12',
      'base',
    ],
    [
      'a notifier',
      'mm/memory-exclusive.ts remove_device_exclusive_entry mmu_notifier_invalidate_range_start#1 skip',
      'D-12',
      'base',
    ],
    // Broken twins of scenarios that have no knob for it: test/scenarios refers to these.
    [
      'the lock that G-14c is for',
      'mm/mprotect.ts mprotect mmap_write_lock#1 lock',
      'G-14c',
      'change=mprotect',
    ],
    [
      'the lock that G-15c is for',
      'mm/page_vma_mapped.ts map_pte pte_offset_map_lock#1 lock',
      'G-15c',
      'page=cached',
    ],
    [
      'the lock that G-17b is for',
      'mm/gup-slow.ts follow_page_pte pte_offset_map_lock#1 lock',
      'G-17b',
      'other=gup,mapped=pte',
    ],
    [
      'what G-20f is for',
      'mm/filemap.ts filemap_get_entry folio_put#1 skip',
      'G-20f',
      'other=dontneed,page=cached',
    ],
    ['what D-48b is for', 'mm/rmap-migrate.ts try_to_migrate_one folio_mark_dirty#1 skip', 'D-48b', 'base'],
    ['what G-20g is for', 'mm/swapfile.ts __try_to_reclaim_swap folio_unlock#1 skip', 'G-20g', 'other=load'],
  ])('without %s a verdict changes', (_, name, scenario, variant) => {
    expect(ask(name, scenario, variant)).toMatchObject({ differs: true });
  });

  it('leaves the verdict alone where something else does the same', () => {
    expect(ask('mm/khugepaged.ts collapseLocked spin_lock#1 lock', 'G-01h', 'base')).toMatchObject({
      differs: false,
    });
  });

  it('asks the answers that were recorded of a real kernel', () => {
    const answers = (name: string) => replay(mutants.get(name)!);
    const noticed = answers('mm/memory-fork.ts copy_present_pte folio_get#1 skip');
    expect(noticed.by).toMatch(/^core-\d, part \d+$/);
    // One thread does not need the lock, but what it guards says so; and what no operation of the scripts runs is not asked.
    const lock = answers('mm/memory.ts zap_pte_range pte_offset_map_lock#1 lock');
    expect(lock.verdict).toMatch(/GUARDED-BY/);
    expect(lock.reaching).toBeGreaterThan(50);
    expect(answers('mm/gup.ts try_get_folio folioUnchanged#1 true')).toMatchObject({
      by: undefined,
      reaching: 0,
    });
  });

  it('gives reasons only for mutants that there are', () => {
    const reasons = JSON.parse(
      readFileSync(new URL('../../docs/survivors.json', import.meta.url), 'utf8'),
    ) as Record<string, string>;
    expect(Object.keys(reasons).filter((name) => !mutants.has(name))).toEqual([]);
  });
});
