// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { MEMORY_DEVICE } from '../linux/include/memremap.js';
import type { Kernel } from '../linux/kernel.js';
import { Use } from '../machine/machine.js';
import { frameOf, PTE, showEntry, swapType, SwapType } from '../machine/pte.js';

/** The frame that has the contents of a page: of device memory that RAM stands for, the RAM. */
export function contentsFrame({ mem_map }: Kernel, pfn: number): number {
  const page = mem_map[pfn];
  if (page?.zone_device_data === undefined || page.frame.use.value !== Use.DATA) return pfn;
  const { value: backing } = page.zone_device_data;
  return backing === 0 ? pfn : backing - 1;
}

/** What {@link contentsFrame} and {@link migrating} look at. */
export const contentsCells = ({ mem_map, pgmaps }: Kernel): Cell[] =>
  pgmaps.length === 0
    ? []
    : mem_map.flatMap(({ zone_device_data, frame, lock, mapping, index }) => [
        ...(zone_device_data === undefined ? [] : [zone_device_data, frame.use]),
        lock,
        mapping,
        index,
      ]);

/**
 * Whether a migration between RAM and device memory allows a mirror's entry, while the process has a migration entry. The
 * driver is the one that migrates: until it has copied it may leave the old page mapped, and once migrate_vma_pages() is
 * done it may map the new one, which is what the old one was, and locked.
 */
export function migrating(kernel: Kernel, entry: number, mirror: number): boolean {
  const { mem_map } = kernel;
  const type = swapType(entry);
  const writable = type === SwapType.MIGRATION_WRITE;
  if (!writable && type !== SwapType.MIGRATION_READ && type !== SwapType.MIGRATION_READ_EXCLUSIVE)
    return false;
  if ((mirror & PTE.RW) !== 0 && !writable) return false;
  const src = mem_map[frameOf(entry)];
  if (src === undefined || kernel.pgmaps.length === 0) return false;
  const named = frameOf(mirror);
  if (contentsFrame(kernel, src.pfn) === named) return src.lock.value !== 0;
  return mem_map.some(
    (dst) =>
      dst.zone_device_data !== undefined &&
      dst.lock.value !== 0 &&
      contentsFrame(kernel, dst.pfn) === named &&
      dst.mapping.value === src.mapping.value &&
      dst.index.value === src.index.value,
  );
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
