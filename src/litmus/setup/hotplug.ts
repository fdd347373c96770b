// SPDX-License-Identifier: MIT
import { p2pdma_page_free } from '../../linux/drivers/pci/p2pdma.js';
import { DevPagemap, MEMORY_DEVICE } from '../../linux/include/memremap.js';
import { PG, type Page } from '../../linux/include/mm_types.js';
import type { Kernel } from '../../linux/kernel.js';
import { GP } from '../../linux/kernel/rcu/sync.js';
import type { Hotplug } from '../../linux/mm/memory_hotplug.js';
import { deviceListFree } from '../../linux/mm/memremap.js';
import type { MemSection, SectionOptions } from '../../linux/mm/sparse.js';
import { PTE } from '../../machine/pte.js';
import { Process, type Region } from './process.js';

/** What the kernel keeps of memory hotplug; the scenario must have it. */
export function hotplugOf({ hotplug }: Kernel): Hotplug {
  if (hotplug === undefined) throw new Error('expected a machine with hotplug: true');
  return hotplug;
}

/** See Testbed.section(). */
export function addSection(
  kernel: Kernel,
  pages: readonly Page[],
  { others, ...options }: SectionOptions & { others: number },
): MemSection {
  const all = [...pages];
  for (let i = 0; i < others; i++) all.push(kernel.setupPage());
  for (const page of all.slice(pages.length)) kernel.hold(page.pfn);
  return hotplugOf(kernel).addSection(all, options);
}

/** See Testbed.pagemap(): `pages` are the region's. */
export function addPagemap(
  kernel: Kernel,
  type: keyof typeof MEMORY_DEVICE,
  region: Region,
  pages: readonly Page[],
): DevPagemap {
  const dax = type === 'FS_DAX';
  const page_free = type === 'PCI_P2PDMA' ? p2pdma_page_free : deviceListFree;
  const pgmap = new DevPagemap(kernel, 'pgmap', MEMORY_DEVICE[type], pages, dax ? {} : { page_free }, {
    mapped: dax ? 0 : pages.length,
  });
  hotplugOf(kernel);
  kernel.pgmaps.push(pgmap);
  pages.forEach((page, i) => {
    page.flags.init(page.flags.value & ~(PG.anon | PG.anon_exclusive | PG.swapbacked));
    if (!dax) return;
    page._mapcount.init(0); // the mapping counts nothing, the page's own count is 1 when it is idle
    kernel.hold(page.pfn);
    const leaf = kernel.machine.leaf(region.mm.space, region.start + i);
    new Process(kernel, region.mm).setPte(region.start + i, leaf | PTE.DEVMAP);
  });
  if (dax) region.mm.anon_rss.init(region.mm.anon_rss.value - pages.length);
  return pgmap;
}

/** See Testbed.hotplugJustDone(). */
export function leaveInExit(kernel: Kernel): void {
  const { rcu } = kernel;
  const { rss } = hotplugOf(kernel).mem_hotplug_lock;
  rss.gp_state.init(GP.EXIT);
  const [slot] = rcu.callbacks;
  slot!.func.init(rcu.callback('rcu_sync_func'));
  slot!.arg.init(rss.cb_head + 1);
}
