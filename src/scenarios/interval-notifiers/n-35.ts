// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceLoad,
  type MachineSpec,
  safe,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  kvm_delete_memslot,
  kvm_destroy_vm,
  kvm_mmu_page_fault,
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  munmap,
  RET_PF,
} from '../../linux/index.js';
import { guest, vcpu } from './guest.js';

/** The fault reads mmu_invalidate_seq without mmu_lock, in plain C. */
const plain = { reports: ['DATA-RACE'] } as const;
const stale = violates('SPTE-COHERENT', plain);

const machine: MachineSpec = { cpus: 2, frames: 3, ptrsPerPte: 2, fill: 'demand' };

/**
 * KVM keeps its guest in step by a classic notifier. A counter says that a range is under way, a number that one has
 * ended; a fault takes the number before it looks the page up, and asks for both under mmu_lock. Interval notifiers do it
 * with a number alone, that is odd meanwhile, since their readers wait before they begin.
 */
export const n35 = scenario({
  id: 'N-35',
  family: 'interval-notifiers',
  title: "KVM's counter and number",
  question: 'Why does KVM count the ranges that are under way, and those that have ended as well?',
  machine,
  knobs: {
    'kvm.retry': ['locked', 'unlocked', 'none'],
    'kvm.mmu_seq': ['before-lookup', 'after-lookup'],
    'kvm.in_progress': ['tested', 'ignored'],
    'kvm.seq': ['end', 'begin', 'never'],
    by: ['dontneed', 'munmap'],
  },
  bounds: 'a store of the guest, with as many faults as it takes; one MADV_DONTNEED or munmap of the page',
  setup: (m) => guest(m),
  agents: ({ p, x, kvm }, { by }) => ({
    *vcpu() {
      yield* vcpu(kvm, x.start);
    },
    *unmapper() {
      if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['the guest stored', 'retried'],
  expect: {
    base: safe(plain),
    'machine=bcast': safe(plain),
    'by=munmap': safe(plain),
    'kvm.retry=none': stale,
    'kvm.retry=unlocked': stale,
    'kvm.mmu_seq=after-lookup': stale,
    'kvm.in_progress=ignored': stale,
    'kvm.seq=never': violates('SPTE-COHERENT'),
    'kvm.seq=begin': stale,
    'kvm.retry=none,by=munmap': stale,
    'kvm.in_progress=ignored,by=munmap': stale,
    'kvm.seq=never,by=munmap': violates('SPTE-COHERENT'),
  },
});

/** Two ranges are under way. The fault asks for one hull over both: it does not know where one of them ends. */
export const n35b = scenario({
  id: 'N-35b',
  family: 'interval-notifiers',
  title: "the hull of KVM's ranges",
  question: 'Which pages must a fault of the guest not enter while several ranges are under way?',
  machine: { ...machine, cpus: 3, frames: 2 },
  knobs: { 'kvm.range': ['hull', 'last'] },
  bounds:
    'one fault of the guest; MADV_DONTNEED of its page; another thread that invalidates the page beside it',
  setup: (m) => guest(m),
  agents: ({ p, x, kvm }) => ({
    *vcpu() {
      if ((yield* kvm_mmu_page_fault(kvm, x.start)) === RET_PF.RETRY) see('retried');
      else see('entered');
    },
    *left() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *right() {
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.end, x.end + 1);
      yield* mmu_notifier_invalidate_range_start(range);
      yield* mmu_notifier_invalidate_range_end(range);
    },
  }),
  sometimes: ['entered', 'retried'],
  expect: {
    base: safe(plain),
    'machine=bcast': safe(plain),
    'kvm.range=last': stale,
  },
});

/**
 * The slot goes while a range is under way: its end looks for slots as its beginning did, and did it not find the one
 * that is gone, the counter would stay, and no fault would be served any more. Or it goes while a fault is served, which
 * must not enter a page after all have been taken away.
 */
export const n35c = scenario({
  id: 'N-35c',
  family: 'interval-notifiers',
  title: 'a memory slot is deleted',
  question: 'What does KVM count mn_active_invalidate_count for?',
  machine,
  knobs: { beside: ['range', 'fault'], 'kvm_swap_active_memslots.wait': ['on', 'off'] },
  bounds:
    'the slot is deleted, beside two MADV_DONTNEED or a store of the guest; then the virtual machine ends',
  setup: (m) => ({ ...guest(m, true), stopped: m.flag('the vCPU has stopped') }),
  agents: ({ x, kvm, stopped }, { beside }) => ({
    *vm() {
      yield* kvm_delete_memslot(kvm);
      const reached = yield* deviceLoad(kvm.device, x.start);
      yield* claim(reached === undefined, 'MEMSLOT', 'the guest reaches memory of a slot that was deleted');
      if (beside === 'fault') yield* awaitValue(stopped, 1);
      yield* kvm_destroy_vm(kvm);
      see('ended');
    },
    ...(beside === 'fault'
      ? {
          *vcpu() {
            yield* vcpu(kvm, x.start);
            yield* write(stopped, 1);
          },
        }
      : {
          *unmapper() {
            yield* madvise_dontneed(x.vma, x.start, x.end);
            yield* madvise_dontneed(x.vma, x.start, x.end);
          },
        }),
  }),
  sometimes: ['ended'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'kvm_swap_active_memslots.wait=off': violates('WARN-ON'),
    'beside=fault': 'safe',
  },
});
