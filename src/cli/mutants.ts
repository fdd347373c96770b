// SPDX-License-Identifier: MIT
/** Mutants of the kernel's paths: which sites are changed, and how. */
import { type Site, site } from '../core/live.js';
import { EBUSY } from '../linux/include/errno.js';

/** A change at one `yield*` of src/linux. */
export interface Mutant {
  readonly site: number;
  /** lock: not taken, nor released. skip: the call is left out. true, false: the call is left out and observes that. */
  readonly change: 'lock' | 'skip' | 'true' | 'false';
}

const words = (text: string): RegExp => new RegExp(`^(${text.trim().split(/\s+/).join('|')})$`);

const LOCKS = words(`
  spin_lock spin_lock_nested lock lockBits folio_lock mutex_lock down_read down_write down_write_nested
  pte_offset_map_lock percpu_down_read percpu_down_write mmap_read_lock mmap_write_lock mmap_write_lock_nested
  local_irq_save rcu_read_lock srcu_read_lock mem_hotplug_begin get_online_mems
  folio_trylock spin_trylock trylock`);
const FLUSHES = words(`
  flush_tlb_\\w+ tlb_flush_mmu\\w* try_to_unmap_flush\\w* arch_tlbbatch_flush flush_tlb_batched_pending
  set_tlb_ubc_flush_pending tlb_remove_table_sync_one smp_call_function synchronize_rcu synchronize_srcu
  lru_cache_disable wait_for_completion awaitValue awaitClear`);
/** Gets and puts: of references, of mappings, of swap slots. */
const COUNTS = words(`
  folio_get folio_put folio_put_refs gup_put_folio folio_ref_add folio_putback_lru put_page get_page
  page_vma_mapped_walk_done put_dev_pagemap percpu_ref_(get|put|kill)\\w* folio_(add|remove)\\w*_rmap_\\w+
  count_large_mapping swap_duplicate swap_free put_swap_folio folio_ref_unfreeze`);
const BARRIERS = words(`fence smp_mb\\w* raw_write_seqcount_(begin|end)`);
/**
 * Second looks at what may have changed since it was read, and gets that may fail. Deleted, they observe that all is well.
 * Tests of flags, of what a page is, are no second looks and are not mutated.
 */
const RECHECKS = words(`
  equals \\w+_unchanged folio_ref_freeze folio_try_get folio_ref_try_add page_ref_add_unless addUnless compareExchange
  pfn_valid pfn_section_valid percpu_ref_tryget\\w* folio_try_(share|dup)_anon_rmap_\\w+ is_refcount_suitable
  can_split_folio lazyfree_discardable folio_ref_is`);
/** The same, where all is well if the answer is no. */
const REFUSALS = words(`vmf_pte_changed read_seqcount_retry folio_maybe_dma_pinned folio_mapped`);
/** Files that define the locks: their insides are not mutated, only where they are taken. */
const DEFINITIONS =
  /^src\/linux\/(kernel\/locking\/(spinlock|mutex|rwsem)|include\/(mmap_lock|pagemap)|arch\/irqflags)/;
/** Looks that only save a locked operation, or copy a flag: the kernel's `if (!test) set` idiom. */
const NO_CHECKS = words(`mm_set_has_pinned_flag folio_mark_dirty copy_identity`);

const NUMBERS = words(`folio_try_share_anon_rmap_\\w+`);

/** What a call that is left out observes. */
export function valueOf({ site: number, change }: Mutant): unknown {
  if (NUMBERS.test(site(number).callee)) return change === 'true' ? 0 : -EBUSY;
  return change === 'true';
}

/** The mutants of one site, none if it is of no kind that is deleted. */
export function mutantsOf(number: number): Mutant[] {
  const { file, callee, fn } = site(number);
  if (!file.startsWith('src/linux/') || DEFINITIONS.test(file) || NO_CHECKS.test(fn)) return [];
  if (LOCKS.test(callee)) return [{ site: number, change: 'lock' }];
  if (FLUSHES.test(callee) || COUNTS.test(callee) || BARRIERS.test(callee))
    return [{ site: number, change: 'skip' }];
  if (RECHECKS.test(callee)) return [{ site: number, change: 'true' }];
  if (REFUSALS.test(callee)) return [{ site: number, change: 'false' }];
  return [];
}

export function describe({ site: number, change }: Mutant): string {
  const { file, line, fn, callee }: Site = site(number);
  const what = {
    lock: `without the lock of ${callee}()`,
    skip: `without ${callee}()`,
    true: `${callee}() taken as true`,
    false: `${callee}() taken as false`,
  };
  return `${file}:${line} ${fn}: ${what[change]}`;
}

/** A name for a mutant that outlives changes of line numbers: the n-th such call of its function. */
export function nameOf(mutant: Mutant): string {
  const { file, fn, callee } = site(mutant.site);
  let nth = 1;
  for (let number = 0; number < mutant.site; number++) {
    const other = site(number);
    if (other.file === file && other.fn === fn && other.callee === callee) nth++;
  }
  return `${file.replace('src/linux/', '')} ${fn} ${callee}#${nth} ${mutant.change}`;
}
