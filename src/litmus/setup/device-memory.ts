// SPDX-License-Identifier: MIT
import type { DevPagemap } from '../../linux/include/memremap.js';
import { PG, type Page } from '../../linux/include/mm_types.js';
import type { Kernel } from '../../linux/kernel.js';
import { Use } from '../../machine/frame.js';
import type { Device } from '../../machine/machine.js';
import { makeEntry, makeSwapEntry, pfnOf, PTE, SwapType } from '../../machine/pte.js';
import type { Process } from './process.js';

/** See Testbed.inDeviceMemory(). */
export function putInDeviceMemory(
  kernel: Kernel,
  owner: Process,
  addr: number,
  pgmap: DevPagemap,
  gpu: Device | undefined,
  backed: boolean,
): Page {
  const entry = kernel.machine.leaf(owner.mm.space, addr);
  const ram = kernel.mem_map[pfnOf(entry)]!;
  const page = pgmap.pages.find(({ frame }) => frame.use.value === Use.DEVICE);
  if (page === undefined || ram._mapcount.value !== 1)
    throw new Error(`expected free memory in ${pgmap.name}, and a page that is mapped once`);
  for (const field of ['_refcount', '_mapcount', 'mapping', 'index'] as const) {
    page[field].init(ram[field].value);
    ram[field].init(0);
  }
  page.flags.init(page.flags.value | (ram.flags.value & ~PG.lru));
  ram.flags.init(0);
  page.frame.use.init(Use.DATA);
  if (backed) {
    ram._refcount.init(1);
    page.zone_device_data!.init(ram.pfn + 1);
  } else {
    ram.frame.use.init(Use.FREE);
    page.frame.words.forEach((word, i) => {
      word.init(ram.frame.words[i]!.value);
      ram.frame.words[i]!.init(0);
    });
  }
  const writable = (entry & PTE.RW) !== 0;
  owner.setPte(
    addr,
    page.frame.device === 'private'
      ? makeSwapEntry(writable ? SwapType.DEVICE_WRITE : SwapType.DEVICE_READ, page.pfn)
      : makeEntry(page.pfn, entry & ((1 << PTE.PFN_SHIFT) - 1)),
  );
  const named = backed ? ram.pfn : page.pfn;
  gpu?.pte[addr]!.init(makeEntry(named, PTE.PRESENT | (writable ? PTE.RW : 0)));
  return page;
}
