// SPDX-License-Identifier: MIT
/** Mutants of the kernel's paths: which sites are changed, how, and whether a verdict notices. Runs in a worker. */
import { live, type Site, site, siteCount } from '../core/live.js';
import { withoutLocks } from '../core/mutants.js';
import { check, type Verdict } from '../explore/check.js';
import { SCENARIOS } from '../scenarios/index.js';

/** A change at one `yield*` of src/linux. */
export interface Mutant {
  readonly site: number;
  /** lock: not taken, nor released. skip: the call is left out. true, false: the call is left out and observes that. */
  readonly change: 'lock' | 'skip' | 'true' | 'false';
}

const LOCKS =
  /^(spin_lock|spin_lock_nested|lock|lockBits|folio_lock|mutex_lock|down_read|down_write|percpu_down_read|percpu_down_write|mmap_read_lock|mmap_write_lock|mmap_write_lock_nested|anon_vma_lock_read|anon_vma_lock_write|local_irq_save|rcu_read_lock|mem_hotplug_begin)$/;
const FLUSHES =
  /^(flush_tlb_\w+|tlb_flush_mmu\w*|try_to_unmap_flush\w*|arch_tlbbatch_flush|tlb_remove_table_sync_one|smp_call_function|synchronize_rcu|flush_tlb_batched_pending)$/;
const COUNTS =
  /^(folio_get|folio_put|folio_put_refs|gup_put_folio|folio_ref_add|put_dev_pagemap|get_dev_pagemap|\w+_rmap_\w+|percpu_ref_(put|kill)\w*|put_page|get_page|page_vma_mapped_walk_done)$/;
const RECHECKS =
  /^(equals|testBits|pte_unchanged|pmd_unchanged|read_seqcount_retry|folio_ref_freeze|folio_trylock|spin_trylock|folio_try_get|folio_ref_try_add|addUnless|compareExchange|pfn_valid|page_ref_add_unless|folio_test_\w+|percpu_ref_tryget\w*)$/;
const BARRIERS = /^(fence|smp_mb\w*)$/;
/** Files that define the locks: their insides are not mutated, only where they are taken. */
const DEFINITIONS = /^src\/linux\/(kernel\/locking|include\/(mmap_lock|pagemap)|arch\/irqflags)/;

/** The mutants of one site, none if it is of no kind that is deleted. */
export function mutantsOf(number: number): Mutant[] {
  const { file, callee } = site(number);
  if (!file.startsWith('src/linux/') || DEFINITIONS.test(file)) return [];
  if (LOCKS.test(callee)) return [{ site: number, change: 'lock' }];
  if (FLUSHES.test(callee) || COUNTS.test(callee) || BARRIERS.test(callee))
    return [{ site: number, change: 'skip' }];
  if (RECHECKS.test(callee))
    return ['true', 'false'].map((change) => ({ site: number, change: change as 'true' }));
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

/** A task for a worker. `variants` are indices into the scenario's variants. */
export type Task =
  | { readonly kind: 'cover'; readonly scenario: string; readonly variant: number }
  | {
      readonly kind: 'mutant';
      readonly mutant: Mutant;
      readonly runs: readonly { scenario: string; variant: number }[];
    };

export interface Covered {
  readonly sites: number[];
  readonly states: number;
  readonly asExpected: boolean;
  readonly sitesKnown: number;
}

/** How a mutant ended: the first variant whose verdict it changed, or undefined if none. */
export interface Killed {
  readonly by?: string;
  readonly verdict?: string;
}

const MAX_STATES = 2_000_000;

function run(id: string, number: number): Verdict {
  const scenario = SCENARIOS.find((each) => each.id === id)!;
  return check(scenario, scenario.variants[number]!, { maxStates: MAX_STATES, timeoutMs: 20_000 });
}

export default function work(task: Task): Covered | Killed {
  if (task.kind === 'cover') {
    const sites = new Set<number>();
    const { enter } = live;
    live.enter = (at, locals) => {
      sites.add(at);
      return enter(at, locals);
    };
    try {
      const verdict = run(task.scenario, task.variant);
      return {
        sites: [...sites],
        states: verdict.states,
        asExpected: verdict.asExpected === true,
        sitesKnown: siteCount(),
      };
    } finally {
      live.enter = enter;
    }
  }
  const { change } = task.mutant;
  live.cut = task.mutant.site;
  live.cutValue = change === 'true';
  live.mutate = change === 'lock' ? withoutLocks : undefined;
  try {
    for (const { scenario, variant } of task.runs) {
      const by = `${scenario} ${SCENARIOS.find(({ id }) => id === scenario)!.variants[variant]!.name}`;
      try {
        const verdict = run(scenario, variant);
        if (verdict.asExpected === false)
          return {
            by,
            verdict: `${verdict.verdict} ${verdict.property} ${verdict.reports.join(' ')}`.trim(),
          };
      } catch (error) {
        // A path that trips over its own mutant: the model noticed.
        return { by, verdict: `error: ${(error as Error).message}` };
      }
    }
    return {};
  } finally {
    live.cut = -1;
    live.mutate = undefined;
  }
}
