// SPDX-License-Identifier: MIT
import { PG, type Page, type Vma } from '../../linux/include/mm_types.js';
import type { Kernel } from '../../linux/kernel.js';
import type { KsmStableNode } from '../../linux/mm/ksm.js';
import { SWAP_HAS_CACHE, type SwapSlot } from '../../linux/mm/swapfile.js';
import { makeSwapEntry, PTE, SwapType } from '../../machine/pte.js';
import type { Process, Region } from './process.js';

function freeSlot({ swap }: Kernel): SwapSlot {
  const slot = swap?.slots.find(({ map }) => map.value === 0);
  if (slot === undefined) throw new Error('expected a free slot: machine.swapSlots');
  return slot;
}

/** See Testbed.swapCache(). */
export function addToSwapCache(kernel: Kernel, page: Page): void {
  const slot = freeSlot(kernel);
  slot.map.init(SWAP_HAS_CACHE);
  slot.cache.init(page.pfn + 1);
  page.swap!.init(slot.number + 1);
  page.flags.init(page.flags.value | PG.swapcache);
  page._refcount.init(page._refcount.value + 1);
}

export interface SwapOutOptions {
  readonly sharer?: Process | undefined;
  readonly cached?: boolean;
}

/** See Testbed.swapOut(). */
export function swapOut(
  kernel: Kernel,
  owner: Process,
  vma: Vma,
  addr: number,
  value: number,
  { sharer, cached = false }: SwapOutOptions,
): Page | undefined {
  const slot = freeSlot(kernel);
  slot.map.init((sharer === undefined ? 1 : 2) + (cached ? SWAP_HAS_CACHE : 0));
  slot.data?.init(value);
  const entry = makeSwapEntry(SwapType.SWAP, slot.number, sharer === undefined ? PTE.EXCLUSIVE : 0);
  owner.setPte(addr, entry);
  sharer?.setPte(addr, entry);
  if (!cached) return undefined;
  const page = kernel.setupPage();
  kernel.system.fixedFrames.add(page.pfn);
  page.flags.init(PG.anon | PG.swapbacked | PG.lru | PG.swapcache | PG.uptodate);
  page.mapping.init(vma.anon_vma.value);
  page.index.init(addr);
  page.swap!.init(slot.number + 1);
  page.frame.data?.init(value);
  slot.cache.init(page.pfn + 1);
  return page;
}

/** See Testbed.ksmPage(). */
export function makeKsmPage(kernel: Kernel, process: Process, region: Region, page: Page): KsmStableNode {
  const { ksm_nodes } = kernel;
  const node = ksm_nodes.find((each) => each !== undefined && each.linked.value === 0);
  if (node === undefined) throw new Error('expected a free stable node: machine.ksmNodes');
  page.flags.init((page.flags.value & ~PG.anon_exclusive) | PG.ksm | PG.uptodate);
  page.mapping.init(node.mapping);
  node.kpfn.init(page.pfn + 1);
  node.linked.init(1);
  node.rmap.push({ vma: region.vma, address: page.index.value });
  const entry = process.ptep(page.index.value).cell;
  entry.init(entry.value & ~PTE.RW);
  return node;
}
