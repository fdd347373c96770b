// SPDX-License-Identifier: MIT
import { PG } from '../../linux/include/mm_types.js';
import type { Kernel } from '../../linux/kernel.js';
import type { Device } from '../../machine/machine.js';
import { makeEntry, makeSwapEntry, pfnOf, PTE, SwapType } from '../../machine/pte.js';
import type { Process } from './process.js';

/** See Testbed.exclusive(). */
export function makeExclusive(
  kernel: Kernel,
  owner: Process,
  addr: number,
  gpu: Device | undefined,
  sharers: readonly Process[],
): void {
  const { knobs, machine, mem_map } = kernel;
  const page = mem_map[pfnOf(machine.leaf(owner.mm.space, addr))]!;
  for (const process of [owner, ...sharers]) {
    const value = machine.leaf(process.mm.space, addr);
    const writable = (value & PTE.RW) !== 0 && knobs['exclusive.entry'] === 'write-read';
    const type = writable ? SwapType.DEVICE_EXCLUSIVE_WRITE : SwapType.DEVICE_EXCLUSIVE_READ;
    process.setPte(addr, makeSwapEntry(type, page.pfn, value & (PTE.SOFT_DIRTY | PTE.UFFD_WP)));
    if (knobs['exclusive.mapcount'] === 'dropped') page._mapcount.init(page._mapcount.value - 1);
  }
  page.flags.init(page.flags.value | PG.dirty); // by the GUP of make
  if (gpu !== undefined)
    gpu.pte[addr]!.init(makeEntry(page.pfn, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC));
}
