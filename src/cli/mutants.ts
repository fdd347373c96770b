// SPDX-License-Identifier: MIT
/** Mutants of the kernel's paths: which sites are changed, and how. */
import { live, type Site, site, siteCount } from '../core/live.js';
import { withoutLocks } from '../core/mutants.js';
import { EBUSY } from '../linux/include/errno.js';

/** A change at one `yield*` of src/linux. */
export interface Mutant {
  readonly site: number;
  /**
   * lock: not taken, nor released. skip: the call is left out, and went well. true, false: the call is left out and
   * observes that. flush: of the call only the TLB flush is left out.
   */
  readonly change: 'lock' | 'skip' | 'true' | 'false' | 'flush';
}

const words = (text: string): RegExp => new RegExp(`^(${text.trim().split(/\s+/).join('|')})$`);

const LOCKS = words(`
  spin_lock spin_lock_nested lock lockBits folio_lock mutex_lock down_read down_write down_write_nested
  pte_offset_map_lock percpu_down_read percpu_down_write mmap_read_lock mmap_write_lock mmap_write_lock_nested
  local_irq_save rcu_read_lock srcu_read_lock mem_hotplug_begin get_online_mems anon_vma_lock_(read|write)
  folio_trylock spin_trylock trylock mutex_trylock mmap_read_trylock anon_vma_trylock_write`);
/** A release that is left out is a lock that is kept: the mistake of error paths. */
const RELEASES = words(`
  spin_unlock unlock folio_unlock mutex_unlock up_read up_write pte_unmap pte_unmap_unlock percpu_up_read
  percpu_up_write mmap_read_unlock mmap_write_unlock mmap_write_downgrade local_irq_restore rcu_read_unlock
  srcu_read_unlock rmapWalkEnd mem_hotplug_done put_online_mems anon_vma_unlock_(read|write)`);
const FLUSHES = words(`
  flush_tlb_\\w+ tlb_flush_mmu\\w* try_to_unmap_flush\\w* arch_tlbbatch_flush flush_tlb_batched_pending
  set_tlb_ubc_flush_pending tlb_remove_table_sync_one smp_call_function synchronize_rcu synchronize_srcu
  tlb_finish_mmu lru_cache_disable wait_for_completion wait_while_offlining migration_entry_wait awaitValue
  awaitClear deviceUnmap deviceFlush deviceErase`);
/** What changes an entry and flushes: mutated call by call, each without its flush. */
const CHANGES_AND_FLUSHES = words(`ptep_clear_flush pmdp_invalidate pmdp_collapse_flush`);
/** Gets and puts: of references, of mappings, of swap slots, of resident pages, of memory, of locked pages. */
const COUNTS = words(`
  add addReturn folio_get folio_put folio_put_refs __folio_put gup_put_folio gup_fast_unpin_user_pages
  gup_fast_undo_dev_pagemap release_pte_folio folio_putback_lru page_vma_mapped_walk_done put_dev_pagemap
  put_devmap_managed_folio_refs free_zone_device_folio page_free free_unref_page percpu_ref_(get|put|kill)\\w*
  folio_(add|remove)\\w*_rmap(_\\w+)? countLargeMapping folio_ref_unfreeze swap_duplicate swap_free
  free_swap_and_cache put_swap_folio add_to_swap_cache (__)?delete_from_swap_cache free_swap_cache folio_free_swap
  free_swap_slot call_rcu __tlb_remove_table tlb_remove_table vm_area_free unlink_anon_vmas unlink_file_vma get_file
  fput put_anon_vma m(un)?lock_vma_folio`);
/** Who is told, who subscribes, and the number that tells of a collision. */
const NOTIFIERS = words(`
  mmu_notifier_invalidate_range_(start|start_nonblock|end) mmu_notifier_(register|unregister|release)
  mmu_interval_notifier_(insert|insert_locked|insert_safe|remove|put|update|find_unlock) mmu_interval_set_seq mn_itree_inv(alidate|_end) mn_itree_release
  mn_hlist_(invalidate_range_start|invalidate_end|release)
  wake_up_all releaseSubscription queueUpdate linkInterval renumber`);
/** In the files of the notifiers each of these is a statement of their protocol. */
const SUBSCRIPTIONS = /^src\/linux\/(mm|include)\/mmu_notifier(-\w+)?\.ts$/;
const STATEMENTS = words(`request write setBits`);
/** What a page remembers of the entries that were taken away. */
const GATHERED = words(`folio_mark_dirty`);
const BARRIERS = words(`fence smp_mb\\w* raw_write_seqcount_(begin|end)`);
/** Looks that are looks again by their names, and what refuses a reference, a lock or a page that others have. */
const RECHECKS = words(`
  \\w+Unchanged vmf_pte_changed mmu_interval_(read|check)_retry read_seqcount_retry folio_ref_freeze folio_try_get folio_ref_try_add
  page_ref_add_unless addUnless folio_ref_sub_and_test subAndTest pfn_valid pfn_section_valid percpu_ref_tryget\\w*
  folio_isolate_lru folio_try_(share|dup)_anon_rmap_\\w+ folio_maybe_dma_pinned folio_needs_cow_for_dma
  is_refcount_suitable lazyfreeDiscardable rcu_sync_is_idle mm_tlb_flush_pending`);
/** Of the plain tests those that look again: after a lock, a reference or a change of an entry. The others are first looks. */
const PLAIN = words(`compareExchange equals testBits testAndClearBits folio_mapped`);
const AGAIN = words(`
  \\w+Unchanged:equals#1 read_seqcount_retry:equals#1 rcu_sync_is_idle:equals#1 is_refcount_suitable:equals#1
  can_split_folio:equals#1 ptep_get_lockless:equals#1 ksm_get_folio:equals#\\d page_idle_get_folio:testBits#2
  filemap_get_entry:equals#1 do_swap_page:(testBits|equals)#1 __try_to_reclaim_swap:equals#1
  wp_can_reuse_anon_folio:equals#1 migrate_folio:equals#1 __remove_mapping:testBits#1
  shrinkLockedFolio:(testBits#6|folio_mapped#2) migrate_folio_unmap:folio_mapped#2
  lazyfreeDiscardable:testBits#\\d folio_ref_freeze:compareExchange#1 __percpu_down_read_trylock:equals#1 __ref_is_percpu:testBits#1
  \\w+:testAndClearBits#\\d`);
/** Looks where all is well if the answer is no. */
const REFUSALS = words(
  `vmf_pte_changed mmu_interval_(read|check)_retry read_seqcount_retry folio_maybe_dma_pinned folio_needs_cow_for_dma folio_mapped
  mm_tlb_flush_pending`,
);
const BARE = words(`testBits testAndClearBits`);
/** Files that define the locks: their insides are not mutated, only where they are taken. */
const DEFINITIONS =
  /^src\/linux\/(kernel\/locking\/(spinlock|mutex|rwsem)|include\/(mmap_lock|pagemap)|arch\/irqflags)/;
/** Functions that define a lock, or that are mutated call by call: their insides are not mutated. */
const DEFINING = words(
  `anon_vma_(un)?lock_(read|write) anon_vma_trylock_write rmapWalkEnd ptep_clear_flush pmdp_invalidate pmdp_collapse_flush
  mmu_interval_set_seq`,
);
const NUMBERS = words(`folio_try_share_anon_rmap_\\w+`);

/** What a call that is left out observes. */
function valueOf({ site: number, change }: Mutant): unknown {
  if (change === 'skip' || change === 'flush') return 0;
  if (NUMBERS.test(site(number).callee)) return change === 'true' ? 0 : -EBUSY;
  return change === 'true';
}

/** The flush that a function makes which {@link CHANGES_AND_FLUSHES}. */
function flushIn(callee: string): number {
  for (let number = 0; number < siteCount(); number++)
    if (site(number).fn === callee && FLUSHES.test(site(number).callee)) return number;
  throw new Error(`expected ${callee}() to flush`);
}

/** Runs something with the mutant in place. */
export function mutated<T>(mutant: Mutant, run: () => T): T {
  live.cut = mutant.change === 'flush' ? flushIn(site(mutant.site).callee) : mutant.site;
  live.cutWithin = mutant.change === 'flush' ? mutant.site : -1;
  live.cutValue = valueOf(mutant);
  live.mutate = mutant.change === 'lock' ? withoutLocks : undefined;
  try {
    return run();
  } finally {
    live.cut = -1;
    live.cutWithin = -1;
    live.mutate = undefined;
  }
}

/** What a mutant is one of. */
export function kindOf({ site: number, change }: Mutant): string {
  const { callee } = site(number);
  if (change === 'lock' || change === 'flush') return change;
  if (change !== 'skip') return 'recheck';
  const named = Object.entries({
    release: RELEASES,
    flush: FLUSHES,
    count: COUNTS,
    barrier: BARRIERS,
    notifier: NOTIFIERS,
    dirtying: GATHERED,
  }).find(([, kind]) => kind.test(callee));
  return named?.[0] ?? 'statement of the notifiers';
}

/** The mutants of one site, none if it is of no kind that is deleted. */
export function mutantsOf(number: number): Mutant[] {
  const { file, callee, fn } = site(number);
  if (!file.startsWith('src/linux/') || DEFINITIONS.test(file) || DEFINING.test(fn)) return [];
  if (CHANGES_AND_FLUSHES.test(callee)) return [{ site: number, change: 'flush' }];
  if (LOCKS.test(callee)) return [{ site: number, change: 'lock' }];
  const deleted = [RELEASES, FLUSHES, COUNTS, BARRIERS, NOTIFIERS, GATHERED];
  if (deleted.some((kind) => kind.test(callee)) || (SUBSCRIPTIONS.test(file) && STATEMENTS.test(callee)))
    return [{ site: number, change: 'skip' }];
  const again = PLAIN.test(callee) && AGAIN.test(`${fn}:${callee}#${nth(number)}`);
  if (!RECHECKS.test(callee) && !again) return [];
  // A look that is deleted is one that went well; of a bare flag only the caller knows what that is.
  const observed: readonly Mutant['change'][] = BARE.test(callee)
    ? ['true', 'false']
    : REFUSALS.test(callee)
      ? ['false']
      : ['true'];
  return observed.map((change) => ({ site: number, change }));
}

export function describe({ site: number, change }: Mutant): string {
  const { file, line, fn, callee }: Site = site(number);
  const what = {
    lock: `without the lock of ${callee}()`,
    skip: `without ${callee}()`,
    true: `${callee}() taken as true`,
    false: `${callee}() taken as false`,
    flush: `without the flush of ${callee}()`,
  };
  return `${file}:${line} ${fn}: ${what[change]}`;
}

const names: string[] = [];
const counts = new Map<string, number>();

/** By site: file, function and which of the calls of that callee in it, a name that outlives changes of line numbers. */
export function siteNames(): readonly string[] {
  for (let number = names.length; number < siteCount(); number++) {
    const { file, fn, callee } = site(number);
    const name = `${file.replace('src/linux/', '')} ${fn} ${callee}`;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    names.push(`${name}#${count}`);
  }
  return names;
}

/** Which of the calls of that callee in its function a site is. */
function nth(number: number): number {
  return Number(/#(\d+)$/.exec(siteNames()[number]!)![1]);
}

/** A name for a mutant: that of its site, and what is changed. */
export function nameOf({ site: number, change }: Mutant): string {
  return `${siteNames()[number]!} ${change}`;
}
