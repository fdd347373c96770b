// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { ownerOf } from '../linux/drivers/gpu/drm/nouveau/nouveau_svm.js';
import { MEMORY_DEVICE } from '../linux/include/memremap.js';
import type { Mm } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { type Device, Use } from '../machine/machine.js';
import { frameOf, PTE, showEntry, swapType, SwapType } from '../machine/pte.js';

/** The frame that has the contents of a page: of device memory that RAM stands for, the RAM. */
export function contentsFrame({ mem_map }: Kernel, pfn: number): number {
  const page = mem_map[pfn];
  if (page?.zone_device_data === undefined || page.frame.use.value !== Use.DATA) return pfn;
  const { value: backing } = page.zone_device_data;
  return backing === 0 ? pfn : backing - 1;
}

/** What {@link contentsFrame} looks at. */
export const contentsCells = ({ mem_map }: Kernel): Cell[] =>
  mem_map.flatMap(({ zone_device_data, frame }) =>
    zone_device_data === undefined ? [] : [zone_device_data, frame.use],
  );

/** Whether a device has memory of its own, so that its driver migrates pages: events of that it need not obey. */
export function hasMemory({ pgmaps, dmirror_devices }: Kernel, device: Device): boolean {
  const owners = pgmaps.map(({ owner }) => owner).filter((owner) => owner !== 0);
  return owners.some(
    (owner) =>
      owner === ownerOf(device) ||
      dmirror_devices.some((each) => each.owner === owner && each.mirrors.some((m) => m.device === device)),
  );
}

/** Where a knob takes a notifier away the question is what comes of that, and NOTIFY-ORDER is not judged. */
export const isSilenced = ({ knobs }: Kernel): boolean =>
  knobs['fork.notifier'] === 'off' || knobs['make.notifier'] === 'none';

/**
 * Whether the page is on the way to or from device memory, as the entry of a process says: the driver that migrates it knows
 * where it is, and what its device has mapped meanwhile is its own business, until the locks are dropped. An entry that has
 * been cleared, so that a migration entry can take its place, lies in a range that mirrors were told of: NOTIFY-ORDER.
 */
export function onTheWay(kernel: Kernel, mm: Mm, page: number, entry: number): boolean {
  const { mem_map, machine } = kernel;
  const type = swapType(entry);
  if (type === SwapType.DEVICE_READ || type === SwapType.DEVICE_WRITE)
    return mem_map[frameOf(entry)]!.lock.value !== 0;
  if (entry !== 0)
    return (
      type === SwapType.MIGRATION_READ ||
      type === SwapType.MIGRATION_READ_EXCLUSIVE ||
      type === SwapType.MIGRATION_WRITE
    );
  if (isSilenced(kernel) && mm.notifier_subscriptions?.open[page]!.value === 0) return false;
  const table = frameOf(mm.pmd[Math.floor(page / machine.options.ptrsPerPte)]!.value);
  return table >= 0 && mem_map[table]!.ptl.value !== 0;
}

/** The RAM that stands for device memory in use: each has a reference of the device's. */
export function countBacking({ mem_map }: Kernel, references: number[]): void {
  for (const { zone_device_data, frame } of mem_map)
    if (zone_device_data !== undefined && frame.use.value === Use.DATA && zone_device_data.value !== 0)
      references[zone_device_data.value - 1]!++;
}

/**
 * DEVICE-PRIVATE: what no CPU reaches is not mapped by a present entry, and what a device-private entry names is memory
 * of that kind, in use. The latter is judged while the table is not locked.
 */
export function watchDeviceMemory(kernel: Kernel): string[] {
  const { machine, system, mem_map, pgmaps } = kernel;
  if (!pgmaps.some(({ type }) => type === MEMORY_DEVICE.PRIVATE)) return [];
  const ram = machine.frames.filter(({ device }) => device === undefined);
  const wrong = (entry: number, locked: boolean): boolean => {
    const frame = machine.frames[frameOf(entry)];
    if ((entry & (PTE.PRESENT | PTE.PROTNONE)) !== 0) return frame?.device === 'private';
    const type = swapType(entry);
    if (type !== SwapType.DEVICE_READ && type !== SwapType.DEVICE_WRITE) return false;
    return frame?.device !== 'private' || (!locked && system.mem[frame.use.at] !== Use.DATA);
  };
  system.invariants.push({
    property: 'DEVICE-PRIVATE',
    when: 'always',
    cells: [
      ...machine.frames.map(({ use }) => use),
      ...ram.flatMap(({ pte, pteHigh, number }) => [...pte, ...pteHigh, mem_map[number]!.ptl]),
    ],
    check() {
      for (const table of ram) {
        if (system.mem[table.use.at] !== Use.TABLE) continue;
        const locked = mem_map[table.number]!.ptl.value !== 0;
        for (let index = 0; index < table.pte.length; index++) {
          const entry = machine.entry(table, index);
          if (entry === 0 || !wrong(entry, locked)) continue;
          const { use, device } = machine.frames[frameOf(entry)]!;
          return `${table.pte[index]!.name} = ${showEntry(entry)}, and f${frameOf(entry)} is ${device === 'private' ? `device-private memory, ${use.type.show(use.value)}` : 'none of device-private memory'}`;
        }
      }
      return undefined;
    },
  });
  return ['DEVICE-PRIVATE'];
}
