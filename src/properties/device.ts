// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { type Device, Use } from '../machine/machine.js';
import { frameOf, PTE, pfnOf, showEntry, swapType, SwapType } from '../machine/pte.js';
import { VM, type Mm } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { contentsCells, contentsFrame, hasMemory, onTheWay } from './device-memory.js';
import { deviceSwapEntryLive } from './lifetime.js';

export const isExclusive = (entry: number): boolean => {
  const type = swapType(entry);
  return type === SwapType.DEVICE_EXCLUSIVE_READ || type === SwapType.DEVICE_EXCLUSIVE_WRITE;
};

const isPrivate = (entry: number): boolean => {
  const type = swapType(entry);
  return type === SwapType.DEVICE_READ || type === SwapType.DEVICE_WRITE;
};

/** The entry of the page tables of `mm` for a page, present or not; 0 where there is no table. */
export function cpuEntry(kernel: Kernel, mm: Mm, page: number): number {
  const { machine } = kernel;
  const { ptrsPerPte } = machine.options;
  const pmd = mm.pmd[Math.floor(page / ptrsPerPte)]!.value;
  if ((pmd & (PTE.PRESENT | PTE.PSE)) !== PTE.PRESENT) return machine.leaf(mm.space, page);
  return machine.entry(machine.frames[pfnOf(pmd)]!, page % ptrsPerPte);
}

/** What a device has of a page: entries of its page table and TLB, and the frame of an atomic that is under way. */
const CLAIMS = ['pte', 'tlb', 'inFlight'] as const;

/** The invariants that hold wherever there is a device; returns their names. */
export function watchDevices(kernel: Kernel): string[] {
  if (kernel.devices.length === 0) return [];
  live(kernel);
  deviceSwapEntryLive(kernel);
  exclusiveAccess(kernel);
  ownsPages(kernel);
  coherent(kernel);
  return ['EXCL', 'OWNER', 'SPTE-COHERENT', 'NO-TOUCH-FREED'];
}

const cellsOf = ({ pte, tlb, inFlight }: Device): Cell[] => [...pte, ...tlb, ...inFlight];
export const tableCells = ({ mms, mem_map }: Kernel): Cell[] => [
  ...mms.flatMap((mm) => mm.pmd),
  ...mem_map.flatMap(({ frame }) => [...frame.pte, ...frame.pteHigh]),
];

/** FRAME-REUSE, seen from the devices: what a page table, a TLB or an atomic that is under way names is in use. */
function live(kernel: Kernel): void {
  const { system, machine, devices } = kernel;
  const entries = devices.flatMap(({ pte, tlb }) => [...pte, ...tlb]);
  const underWay = devices.flatMap(({ inFlight }) => inFlight);
  system.invariants.push({
    property: 'FRAME-REUSE',
    when: 'always',
    cells: [...entries, ...underWay, ...machine.frames.map(({ use }) => use)],
    check() {
      const inUse = (frame: number): boolean => {
        const use = machine.frames[frame]?.use;
        return use === undefined || system.mem[use.at] === Use.DATA;
      };
      const wrong =
        entries.find(({ at }) => system.mem[at] !== 0 && !inUse(frameOf(system.mem[at]!))) ??
        underWay.find(({ at }) => system.mem[at] !== 0 && !inUse(system.mem[at]! - 1));
      if (wrong === undefined) return undefined;
      const frame = underWay.includes(wrong) ? wrong.value - 1 : frameOf(wrong.value);
      const { use } = machine.frames[frame]!;
      return `${wrong.name} = ${wrong.type.show(wrong.value)}, and f${frame} is ${use.type.show(use.value)}`;
    },
  });
}

/** What of the device allows atomic operations on a frame now, by frame; undefined: nothing. */
function atomics(device: Device, { system: { mem } }: Kernel): (Cell | undefined)[] | undefined {
  let found: (Cell | undefined)[] | undefined;
  for (const what of CLAIMS)
    for (const cell of device[what]) {
      const value = mem[cell.at]!;
      if (what === 'inFlight' ? value !== 0 : (value & PTE.ATOMIC) !== 0)
        (found ??= [])[what === 'inFlight' ? value - 1 : frameOf(value)] = cell;
    }
  return found;
}

function showClaim(device: Device, cell: Cell): string {
  return device.inFlight.includes(cell)
    ? `an atomic of ${device.name} is under way on f${cell.value - 1}`
    : `${cell.name} = ${showEntry(cell.value)}`;
}

/**
 * EXCL: while a device may do an atomic operation on a frame, or does one, no CPU has it mapped, by a page table or by
 * a TLB entry, in any mm; nor has another device.
 */
function exclusiveAccess(kernel: Kernel): void {
  const { system, machine, mms, devices } = kernel;
  const tlbs = machine.tlb.flat(2).filter((cell): cell is Cell => cell !== undefined);
  const entriesOf = ({ pte, tlb }: Device): Cell[] => [...pte, ...tlb];
  const rivals = devices.map((device) => [
    ...tlbs,
    ...devices.filter((other) => other !== device).flatMap(entriesOf),
  ]);
  /** The claim on the frame that an entry names. */
  const claimed = (held: readonly (Cell | undefined)[], entry: number): Cell | undefined =>
    entry === 0 ? undefined : held[frameOf(entry)];
  /** Who else has a frame that the device does atomics on, as a text that says so. */
  const clash = (device: Device, held: readonly (Cell | undefined)[]): string | undefined => {
    for (const cell of rivals[device.number]!) {
      const claim = claimed(held, system.mem[cell.at]!);
      if (claim !== undefined)
        return `${showClaim(device, claim)}, and ${cell.name} = ${showEntry(cell.value)}`;
    }
    for (const mm of mms)
      for (let page = 0; page < mm.space.pages; page++) {
        const entry = machine.leaf(mm.space, page);
        const claim = claimed(held, entry);
        if (claim !== undefined)
          return `${showClaim(device, claim)}, and ${mm.name}: the entry for page ${page} = ${showEntry(entry)}`;
      }
    for (const other of devices) {
      if (other === device) continue;
      const both = atomics(other, kernel)?.find(
        (cell, frame) => cell !== undefined && held[frame] !== undefined,
      );
      if (both !== undefined) {
        const frame = other.inFlight.includes(both) ? both.value - 1 : frameOf(both.value);
        return `${showClaim(device, held[frame]!)}, and ${showClaim(other, both)}`;
      }
    }
    return undefined;
  };
  system.invariants.push({
    property: 'EXCL',
    when: 'always',
    cells: [...devices.flatMap(cellsOf), ...tlbs, ...tableCells(kernel)],
    check() {
      for (const device of devices) {
        const held = atomics(device, kernel);
        const wrong = held === undefined ? undefined : clash(device, held);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    },
  });
}

/** OWNER: where a device may do atomic operations at an address, it does them on the page that the process has there. */
function ownsPages(kernel: Kernel): void {
  const { system, mms, devices } = kernel;
  system.invariants.push({
    property: 'OWNER',
    when: 'always',
    cells: [...devices.flatMap(cellsOf), ...tableCells(kernel)],
    check() {
      for (const { name, space, pte, tlb, inFlight } of devices)
        for (let page = 0; page < pte.length; page++) {
          const underWay = inFlight[page]!.value;
          const entries = [pte[page]!.value, tlb[page]!.value].filter((entry) => entry & PTE.ATOMIC);
          if (underWay === 0 && entries.length === 0) continue;
          const frames = [...(underWay === 0 ? [] : [underWay - 1]), ...entries.map(frameOf)];
          const entry = cpuEntry(kernel, mms[space]!, page);
          const owned = (entry & PTE.PRESENT) !== 0 || isExclusive(entry) ? frameOf(entry) : -1;
          const wrong = frames.find((frame) => frame !== owned);
          if (wrong !== undefined)
            return `${name} does atomics for page ${page} on f${wrong}, and the entry of ${mms[space]!.name} is ${showEntry(entry)}`;
        }
      return undefined;
    },
  });
}

/**
 * SPTE-COHERENT: an entry of a device, in its page table or TLB, names the page that the process has at that address,
 * with no more permission. Kernel paths begin an invalidation before they change an entry, so the one that has begun
 * and not yet reached the device needs no exception: the entry is still as it was. An exclusive entry has all permission
 * for whichever device it is for (EXCL says that it is one), if it is writable and the VMA is; the VMA counts unless
 * somebody is changing it, and the entry where its type tells. A driver that migrates pages to its own memory or back need
 * not be told, and knows where they are: nothing is said of what is on the way, to devices that have memory. A device that walks the CPUs' page tables may
 * be behind as their TLBs may, until what it names is freed.
 */
function coherent(kernel: Kernel): void {
  const { system, mms, mem_map, devices } = kernel;
  const single = kernel.knobs['exclusive.entry'] === 'single';
  const mirrors = devices.filter(({ shares }) => !shares);
  const withMemory = new Set(mirrors.filter((device) => hasMemory(kernel, device)));
  const mirrored = mms.filter((mm) => mirrors.some(({ space }) => space === mm.number));
  const excuses =
    withMemory.size === 0
      ? []
      : [
          ...mem_map.flatMap(({ ptl, lock }) => [ptl, lock]),
          ...mirrored.flatMap((mm) => mm.notifier_subscriptions?.open ?? []),
        ];
  const mayWrite = (mm: Mm, page: number): boolean =>
    mm.mmap_lock.count.value < 0 ||
    mm.vmas.some(
      ({ attached, vm_start, vm_end, vm_flags }) =>
        attached.value !== 0 &&
        vm_start.value <= page &&
        page < vm_end.value &&
        (vm_flags.value & VM.WRITE) !== 0,
    );
  system.invariants.push({
    property: 'SPTE-COHERENT',
    when: 'always',
    cells: [
      ...mirrors.flatMap(({ pte, tlb }) => [...pte, ...tlb]),
      ...tableCells(kernel),
      ...contentsCells(kernel),
      ...excuses,
      ...mirrored.flatMap(({ mmap_lock, vmas }) => [
        mmap_lock.count,
        ...vmas.flatMap(({ attached, vm_start, vm_end, vm_flags }) => [attached, vm_start, vm_end, vm_flags]),
      ]),
    ],
    excuses,
    check() {
      for (const device of mirrors) {
        const { space, pte, tlb } = device;
        for (let page = 0; page < pte.length; page++)
          for (const cell of [pte[page]!, tlb[page]!]) {
            const mirror = cell.value;
            if (mirror === 0) continue;
            const mm = mms[space]!;
            const entry = cpuEntry(kernel, mm, page);
            if (withMemory.has(device) && onTheWay(kernel, mm, page, entry)) continue;
            const present = (entry & PTE.PRESENT) !== 0;
            const own = isExclusive(entry) || isPrivate(entry);
            const named = contentsFrame(kernel, frameOf(entry));
            const same = (present || own) && named === frameOf(mirror);
            const writable = present
              ? (entry & PTE.RW) !== 0
              : isPrivate(entry)
                ? swapType(entry) === SwapType.DEVICE_WRITE
                : (single || swapType(entry) === SwapType.DEVICE_EXCLUSIVE_WRITE) && mayWrite(mm, page);
            if (!same || ((mirror & PTE.RW) !== 0 && !writable))
              return `${cell.name} = ${showEntry(mirror)}, and the entry of ${mm.name} is ${showEntry(entry)}${same && !present ? ' (the VMA may not be written to)' : ''}`;
          }
      }
      return undefined;
    },
  });
}

/**
 * EXCL-PRIVATE: an exclusive entry stands in a VMA that is private. Not where the question is what sharing would do.
 */
export function exclusivePrivate(kernel: Kernel): void {
  const { system, mms } = kernel;
  system.invariants.push({
    property: 'EXCL-PRIVATE',
    when: 'always',
    cells: [
      ...tableCells(kernel),
      ...mms.flatMap(({ vmas }) =>
        vmas.flatMap(({ vm_start, vm_end, vm_flags }) => [vm_start, vm_end, vm_flags]),
      ),
    ],
    check() {
      for (const mm of mms)
        for (const { vm_start, vm_end, vm_flags } of mm.vmas) {
          if ((vm_flags.value & VM.SHARED) === 0) continue;
          for (let page = vm_start.value; page < vm_end.value; page++)
            if (isExclusive(cpuEntry(kernel, mm, page)))
              return `${mm.name} has an exclusive entry for page ${page}, and its VMA is shared`;
        }
      return undefined;
    },
  });
}

/**
 * ATOMIC-SUM: at the end, the page that a process has at `addr` holds what it held when the watch began, plus what CPUs
 * and devices have added there; what `sharers` add counts as well. Nothing is said of a page that was taken away.
 */
export function watchSum(kernel: Kernel, mm: Mm, addr: number, sharers: readonly Mm[] = []): Cell {
  const { system, machine, mem_map, swap } = kernel;
  const contents = (): number | undefined => {
    const entry = cpuEntry(kernel, mm, addr);
    if (swapType(entry) === SwapType.SWAP) {
      const { cache, data } = swap!.slots[pfnOf(entry)]!;
      return cache.value === 0 ? data?.value : mem_map[cache.value - 1]!.frame.data?.value;
    }
    return mem_map[contentsFrame(kernel, frameOf(entry))]?.frame.data?.value;
  };
  if (!machine.options.data) throw new Error('expected pages with contents: machine.data');
  const before = contents() ?? 0;
  const adds = system.cell(`sum[${mm.name}:${addr}]`);
  for (const { number } of [mm, ...sharers]) machine.sums.push({ space: number, page: addr, adds });
  system.invariants.push({
    property: 'ATOMIC-SUM',
    when: 'end',
    cells: [],
    check() {
      const now = contents();
      return now === undefined || now === before + adds.value
        ? undefined
        : `page ${addr} of ${mm.name} held ${before}, ${adds.value} was added, and it holds ${now}`;
    },
  });
  return adds;
}
