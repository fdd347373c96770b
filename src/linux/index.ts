// SPDX-License-Identifier: GPL-2.0-only
/** The kernel's functions, under the kernel's names: `import { munmap } from 'shootdown/linux'`. */
export * from './arch/fault.js';
export * from './arch/irqflags.js';
export * from './arch/tlb.js';
export * from './include/mm.js';
export * from './include/mm_types.js';
export * from './include/mmap_lock.js';
export * from './include/page_ref.js';
export * from './include/pagemap.js';
export * from './include/pgtable.js';
export * from './include/rmap.js';
export * from './include/seqlock.js';
export * from './kernel/locking/rwsem.js';
export * from './kernel/locking/spinlock.js';
export * from './kernel/rcu/tree.js';
export * from './kernel/smp.js';
export { current, knob } from './kernel.js';
export * from './mm/gup.js';
export * from './mm/memory.js';
export * from './mm/memory-fault.js';
export * from './mm/mmap.js';
export * from './mm/mmu_gather.js';
export * from './mm/page_alloc.js';
export * from './mm/rmap.js';
export * from './mm/swap.js';
