// SPDX-License-Identifier: MIT
/**
 * One statement is left out of a scenario that holds, and the invariant that is for it finds out: a row for each invariant
 * of the specification that device-exclusive memory and its notifiers touch.
 *
 * Without a row: META-ALIVE and PGMAP-LIVE (struct pages go away: GUP-fast), NO-TORN (entries of two words: GUP-fast),
 * POOL-ONCE (the pool of P2PDMA), GP-RULE (what RCU frees; of a subscription that is SUB-LIFE). PTE-TABLE is judged as
 * ANON-EXCL and MAP-SUM here, ATS-COHERENT as what a device's TLB breaks: SPTE-COHERENT and FRAME-REUSE, DIRTY as
 * STABLE-PAGE and, for swap, DATA.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { Straight } from '../../src/explore/straight.js';
import { type Runner, Workload } from '../../src/litmus/workload.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import { type Instead, leaveNothingOut, leaveOut } from './leave-out.js';

afterEach(leaveNothingOut);

const EXCLUSIVE = 'mm/memory-exclusive.ts';
const RMAP = 'mm/rmap-exclusive.ts';
const NOTIFIER = 'mm/mmu_notifier.ts';
const INTERVAL = 'mm/mmu_notifier-interval.ts';
const NOUVEAU = 'drivers/gpu/drm/nouveau/nouveau_svm.ts';
const VMM = 'drivers/gpu/drm/nouveau/nvkm/subdev/mmu/vmm.ts';
const TEST_HMM = 'lib/test_hmm.ts';
const SINGLE = 'scenarios/device-exclusive/single.ts';
const MAKE = `${RMAP} page_make_device_exclusive_one`;
const FORK = 'mm/memory-fork.ts';
const START = 'mmu_notifier_invalidate_range_start#1';
const END = 'mmu_notifier_invalidate_range_end#1';
const RESTORE = `${EXCLUSIVE} remove_device_exclusive_entry`;

type Fault = readonly [found: string, what: string, call: string, variant: string, instead?: Instead];

const FAULTS: readonly Fault[] = [
  [
    'TLB-LIVE',
    "zap's flush",
    'mm/mmu_gather.ts tlb_flush_mmu_tlbonly flush_tlb_mm_range#1',
    'D-31 after=zap',
  ],
  ['TLB-PERM', "make's flush", 'arch/tlb.ts ptep_clear_flush flush_tlb_page#1', 'D-31 after=exit'],
  ['EXCL', "make's flush", 'arch/tlb.ts ptep_clear_flush flush_tlb_page#1', 'D-00 kernel=5.14'],
  ['FRAME-REUSE', "the driver's unmapping", `${SINGLE} invalidate deviceErase#1`, 'D-45 base'],
  [
    'FRAME-REUSE',
    "the device's TLB flush",
    `${VMM} nvkm_vmm_pfn_unmap deviceFlush#1`,
    'D-45 driver=nouveau,nouveau.release=unmaps',
  ],
  ['REF-SUM', "the fault's put", `${RESTORE} folio_put#1`, 'D-18 base'],
  ['REF-SUM', "the driver's put", 'mm/swap.ts unlockAndPut folio_put#1', 'D-13 base'],
  ['REF-SUM', "zap's put", 'mm/memory-swap.ts zapNonpresent folio_put#1', 'D-31 after=exit'],
  ['REF-SUM', "fork's get", `${FORK} copy_present_pte folio_get#1`, 'D-09 mapping=shared'],
  ['MAP-SUM', "make's rmap removal", `${MAKE} folio_remove_rmap_pte#1`, 'D-13 driver=single'],
  [
    'MAP-SUM',
    "the restore's rmap",
    `${EXCLUSIVE} restore_exclusive_pte folio_add_anon_rmap_pte#1`,
    'D-18 base',
  ],
  [
    'MLOCK',
    "the restore's rmap",
    `${EXCLUSIVE} restore_exclusive_pte folio_add_anon_rmap_pte#1`,
    'D-32 base',
  ],
  ['RSS-SUM', "zap's decrement", 'mm/memory.ts zap_pte_range add#1', 'D-31 after=exit'],
  ['ANON-EXCL', "fork's write protection", `${FORK} copy_present_pte ptep_set_wrprotect#1`, 'D-09 base'],
  ['COW-ISO', "fork's notification", `${FORK} copy_page_range ${START}`, 'D-00 asked=COW-ISO'],
  [
    'PIN-VALID',
    'the second look for pins',
    'mm/userfaultfd-move.ts move_present_pte isPinned#2',
    'D-40b beside=pin',
    false,
  ],
  ['EXCL', "the restore's notification", `${RESTORE} ${START}`, 'D-18 base'],
  ['EXCL', "the driver's unmapping", `${TEST_HMM} dmirror_do_update deviceErase#1`, 'D-18 base'],
  ['EXCL', 'waiting for what is under way', 'machine/device.ts deviceErase request#2', 'D-18 base'],
  [
    'ATOMIC-SUM',
    'waiting for what is under way',
    'machine/device.ts deviceErase request#2',
    'D-00 asked=ATOMIC-SUM,kernel=2025-v1',
  ],
  [
    'OWNER',
    "the driver's second look",
    `${NOUVEAU} nouveau_atomic_range_fault mmu_interval_read_retry#1`,
    'D-15 by=munmap',
    false,
  ],
  [
    'SPTE-COHERENT',
    "the callback's number",
    `${NOUVEAU} invalidate mmu_interval_set_seq#1`,
    'D-15 by=mprotect',
  ],
  ['SPTE-COHERENT', "the device's TLB flush", `${VMM} nvkm_vmm_pfn_unmap deviceFlush#1`, 'D-15 by=mprotect'],
  [
    'SPTE-COHERENT',
    "read_begin's wait",
    `${NOTIFIER} mmu_interval_read_begin waitForSeq#1`,
    'N-01 by=dontneed',
  ],
  ['NOTIFY-ORDER', "zap's start", `mm/memory.ts zap_page_range_single ${START}`, 'N-07 base'],
  ['NOTIFY-ORDER', "make's start", `${RMAP} startMakeRange ${START}`, 'D-13 driver=single'],
  ['NOTIFY-ORDER', "exit's start", `mm/memory.ts unmap_vmas ${START}`, 'D-45 base'],
  ['NOTIFY-BALANCE', "the restore's end", `${RESTORE} ${END}`, 'D-18 base'],
  ['NOTIFY-BALANCE', "zap's end", `mm/memory.ts zap_page_range_single ${END}`, 'N-07 base'],
  [
    'NOTIFY-BALANCE',
    "the restore's start, and not its end",
    `${RESTORE} ${START}`,
    'D-13 filter=none,retry=none,driver=test_hmm,page=exclusive',
  ],
  [
    'TREE-FROZEN',
    'deferring a removal',
    `${INTERVAL} mmu_interval_notifier_remove mn_itree_is_invalidating#1`,
    'N-07 base',
    false,
  ],
  [
    'TREE-FROZEN',
    'deferring an insertion',
    `${INTERVAL} linkInterval mn_itree_is_invalidating#1`,
    'N-06 base',
    false,
  ],
  [
    'LIST-CORRUPT',
    'the look at what is queued already',
    'mm/mmu_notifier-proposals.ts __mmu_interval_notifier_put isUpdated#1',
    'N-15 calls=update-put',
    false,
  ],
  [
    'NOTIFY-RELEASE',
    "exit's walk of the tree",
    'mm/mmu_notifier.ts __mmu_notifier_release mn_itree_release#1',
    'N-23 base',
  ],
  [
    'SUB-LIFE',
    "remove's wait",
    `mm/mmu_notifier.ts waitForSeq mmu_interval_seq_released#1`,
    'N-07 base',
    true,
  ],
  [
    'TABLE-ALIVE',
    "the RCU section of the restore's look-up",
    'include/pgtable.ts __pte_offset_map rcu_read_lock#1',
    'D-24 retract_page_tables.anon_vma=ignored',
    'lock',
  ],
  ['NO-TOUCH-FREED', "the fault's get", `${RESTORE} folio_try_get#1`, 'D-00 asked=NO-TOUCH-FREED', true],
  ['LOCK', "the fault's unlock", `${RESTORE} folio_unlock#1`, 'D-18 base'],
  ['LOCK', "fork's unlock", `${EXCLUSIVE} try_restore_exclusive_pte folio_unlock#1`, 'D-09 base'],
  ['LOCK-REF', "the fault's unlock", `${RESTORE} folio_unlock#1`, 'D-00 asked=NO-TOUCH-FREED'],
  [
    'STABLE-PAGE',
    "the driver's unmapping",
    `${SINGLE} invalidate deviceErase#1`,
    'D-38 make.anon_only=off,kernel=6.15',
  ],
  ['DATA', "GUP's dirtying", 'mm/gup-slow.ts follow_page_pte folio_mark_dirty#1', 'D-48 base'],
  ['SOFTDIRTY', "the driver's unmapping", `${TEST_HMM} dmirror_do_update deviceErase#1`, 'D-30 base'],
  ['PROGRESS', "the callback's filter", `${NOUVEAU} invalidate isFiltered#1`, 'D-13 base', false],
  ['PROGRESS', 'the restore', 'mm/memory-swap.ts do_swap_page remove_device_exclusive_entry#1', 'D-31 base'],
  ['ERRNO', "make's rmap removal", `${MAKE} folio_remove_rmap_pte#1`, 'D-48 before=nothing'],
];

const REPORTED: readonly Fault[] = [
  ['CTX', 'the PTL given back', `${EXCLUSIVE} restoreAtPte pte_unmap_unlock#1`, 'D-51 base'],
  [
    'LOCK-ORDER',
    'the mutex given back',
    `${NOUVEAU} invalidate mutex_unlock#1`,
    'D-13 retry=none,page=shared',
  ],
  ['LOCK-HELD', 'the folio lock', `${RESTORE} folio_lock#1`, 'D-18 base', 'lock'],
  [
    'DATA-RACE',
    'the mutex',
    `${NOUVEAU} nouveau_atomic_range_fault mutex_lock#1`,
    'D-15 by=mprotect',
    'lock',
  ],
];

const find = (text: string) => {
  const [id, ...words] = text.split(' ');
  const variant = words.join(' ');
  const scenario = SCENARIOS.find((each) => each.id === id)!;
  const found = scenario.variants.find(({ name }) => name === variant);
  if (found === undefined) throw new Error(`expected ${id} to have a variant ${variant}`);
  return { scenario, variant: found };
};

describe('an injected fault is found by the invariant that is for it', () => {
  test.for(FAULTS)('%s: without %s (%s)', ([property, , call, name, instead]) => {
    const { scenario, variant } = find(name);
    expect(variant.expect).toMatchObject({ verdict: 'safe', reports: [] });
    leaveOut(call, instead);
    const verdict = check(scenario, variant);
    expect(verdict.property, verdict.detail).toBe(property);
  });

  /** What is no call is a knob: see exclusiveEntryFor() in mm/rmap-exclusive.ts. */
  test.each([
    ['SOFTDIRTY', 'by=pagemap', 'make.soft_dirty=lost'],
    ['UFFDWP', 'by=uffd-wp-once', 'make.uffd_wp=lost'],
  ])('%s: %s without the transfer of the bit', (property, base, knob) => {
    const { scenario, variant } = find(`D-30 ${base},${knob}`);
    expect(find(`D-30 ${base}`).variant.expect!.verdict).toBe('safe');
    expect(check(scenario, variant).property).toBe(property);
  });

  test.for(REPORTED)('%s is reported without %s (%s)', ([report, , call, name, instead]) => {
    const { scenario, variant } = find(name);
    expect(variant.expect!.reports).toEqual([]);
    leaveOut(call, instead);
    expect(check(scenario, variant).reports).toContain(report);
  });
});

describe('the random workload finds', () => {
  function runThrough(count: number): void {
    const workload = new Workload({ seed: 1 });
    const straight = new Straight(workload.kernel.system, {
      choose: (outcomes) => workload.choose(outcomes),
      monitor: () => workload.monitor(),
    });
    const run: Runner = (agent, path) => straight.run(agent, path);
    for (let i = 0; i < count; i++) {
      workload.step(run);
      straight.settle();
      straight.judge();
    }
  }

  test.each<[property: string, what: string, call: string]>([
    ['REF-SUM', "the fault's put", `${RESTORE} folio_put#1`],
    ['REF-SUM', "zap's put", 'mm/memory-swap.ts zapNonpresent folio_put#1'],
    ['LOCK', "the fault's unlock", `${RESTORE} folio_unlock#1`],
    ['(EXCL|NOTIFY-BALANCE)', "the restore's start, and not its end", `${RESTORE} ${START}`],
    ['NOTIFY-BALANCE', "zap's end", `mm/memory.ts zap_page_range_single ${END}`],
    ['NOTIFY-ORDER', "make's start", `${RMAP} startMakeRange ${START}`],
    ['MAP-SUM', "the restore's rmap", `${EXCLUSIVE} restore_exclusive_pte folio_add_anon_rmap_pte#1`],
    ['RSS-SUM', "zap's decrement", 'mm/memory.ts zap_pte_range add#1'],
    ['ANON-EXCL', "fork's write protection", `${FORK} copy_present_pte ptep_set_wrprotect#1`],
    ['TLB-PERM', "make's flush", 'arch/tlb.ts ptep_clear_flush flush_tlb_page#1'],
    ['EXCL', "the driver's unmapping", `${TEST_HMM} dmirror_do_update deviceErase#1`],
    ['DATA', 'the copy of a page', 'mm/memory-wp.ts wp_page_copy copy_user_page#1'],
  ])('%s: without %s (%s)', (property, _, call) => {
    leaveOut(call);
    expect(() => runThrough(2_000)).toThrow(new RegExp(`^${property}: `));
  });
});
