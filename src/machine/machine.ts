// SPDX-License-Identifier: MIT
import type { Cell, Guard, MemoryModel, System, ValueType } from '../core/system.js';
import { type AddressSpace, type Frame, frameCell, Use, useType } from './frame.js';
import { defineDeviceOps, Device } from './device.js';
import { defineDmaOps } from './dma.js';
import { defineMmuOps, fillEagerly } from './mmu.js';
import { joinWords, type PaeLayout, pfnOf, pmdType, PTE, pteType } from './pte.js';
import { defineTlbOps } from './tlb.js';

export {
  Device,
  deviceAtomicAdd,
  deviceErase,
  deviceFlush,
  deviceLoad,
  deviceMap,
  deviceStore,
  deviceUnmap,
} from './device.js';
export { type AddressSpace, type Frame, frameCell, Use } from './frame.js';

/** How a TLB shoot-down reaches other CPUs. */
export type TlbFlush =
  /** x86 native: an interrupt to each CPU of mm_cpumask; it waits for those that have interrupts off. */
  | 'ipi'
  /** arm64 TLBI, s390, paravirt flush, INVLPGB: returns when the entries are gone, whatever the CPUs are doing. */
  | 'bcast';

/** When the hardware walker fills a TLB entry. */
export type TlbFill =
  /** On access. */
  | 'demand'
  /** As soon as the entry is empty and the PTE is present: the adversary without its choices. */
  | 'eager'
  /** At any moment, by an agent of its own. */
  | 'speculative';

export interface MachineOptions {
  readonly cpus: number;
  readonly tlb: TlbFlush;
  readonly fill: TlbFill;
  readonly memory: MemoryModel;
  /** Page frames. */
  readonly frames: number;
  /** Entries of a page table: PTRS_PER_PTE. */
  readonly ptrsPerPte: number;
  /** Page-table entries are two words that are stored and read separately (x86 PAE); undefined: one word. */
  readonly pae: PaeLayout | undefined;
  /** PMDs may map pages; default: they may. */
  readonly hugePages?: boolean;
  /** Walkers cache PMDs: a freed table can be walked until a flush that says that tables were freed. */
  readonly pageWalkCache: boolean;
  /** Frames have contents, that loads and stores follow: one word, or so many. */
  readonly data: boolean | number;
}

const highType: ValueType = { name: 'high word', show: (value) => `high ${value}` };
const irqType: ValueType = { name: 'irq', show: (value) => (value ? 'irqs off' : 'irqs on') };

/** The hardware. */
export class Machine {
  readonly frames: Frame[] = [];
  readonly spaces: AddressSpace[] = [];
  /** By CPU: 1 = interrupts off. */
  readonly irqsOff: Cell[] = [];
  /** [cpu][space][page]: TLB entries, in the layout of a PTE; 0 = empty. Only CPUs that run the space have them. */
  readonly tlb: Cell[][][] = [];
  /** [cpu][space][pmd]: page-walk cache. */
  readonly pwc: Cell[][][] = [];
  readonly devices: Device[] = [];
  /** Ghosts that sum up the atomic adds to a page of a space, by CPUs and by devices that mirror the space. */
  readonly sums: { readonly space: number; readonly page: number; readonly adds: Cell }[] = [];
  /** By CPU: the CPUs whose answer to this CPU's interrupt is still out, one bit each. */
  readonly ipiPending: Cell[] = [];
  readonly op: ReturnType<typeof defineTlbOps> &
    ReturnType<typeof defineMmuOps> &
    ReturnType<typeof defineDmaOps> &
    ReturnType<typeof defineDeviceOps>;

  constructor(
    readonly system: System,
    readonly options: MachineOptions,
  ) {
    for (let cpu = 0; cpu < options.cpus; cpu++) {
      this.irqsOff[cpu] = system.cell(`cpu${cpu}.irqs_off`, 0, { type: irqType });
      this.ipiPending[cpu] = system.cell(`cpu${cpu}.ipi_pending`, 0);
      this.tlb[cpu] = [];
      this.pwc[cpu] = [];
    }
    for (let number = 0; number < options.frames; number++) this.addFrame();
    if (options.memory === 'tso') this.addStoreBuffers(2);
    this.op = {
      ...defineTlbOps(this),
      ...defineMmuOps(this),
      ...defineDmaOps(this),
      ...defineDeviceOps(this),
    };
  }

  /** One more frame: RAM, or memory of a device, which is free device memory at first and takes no part in symmetry. */
  addFrame(device?: Frame['device']): Frame {
    const { system, options } = this;
    const number = this.frames.length;
    const use = frameCell(system, number, 'use', { type: useType });
    const guard: Guard = {
      cell: use,
      alive: 1 << Use.TABLE,
      what: `f${number}`,
      property: () => 'TABLE-ALIVE',
    };
    const entries = (slot: string, type: ValueType = pteType): Cell[] =>
      Array.from({ length: options.ptrsPerPte }, (_, i) =>
        frameCell(system, number, `${slot}${i}`, { name: `f${number}.${slot}[${i}]`, type, guard }),
      );
    const words = Array.from({ length: Number(options.data) }, (_, i) =>
      frameCell(system, number, i === 0 ? 'data' : `data${i}`),
    );
    const frame: Frame = {
      number,
      use,
      pte: entries('pte'),
      pteHigh: options.pae === undefined ? [] : entries('pte_high', highType),
      data: words[0],
      words,
      device,
    };
    if (device !== undefined) {
      use.init(Use.DEVICE);
      system.fixedFrames.add(number);
    }
    this.frames.push(frame);
    return frame;
  }

  /** An address space of that many virtual pages, run by `cpus`. */
  addSpace(name: string, pages: number, cpus: readonly number[]): AddressSpace {
    const { system, options } = this;
    const pmds = Math.ceil(pages / options.ptrsPerPte);
    const index = this.spaces.length;
    const space: AddressSpace = {
      name,
      pages,
      cpus: [...cpus],
      pmd: Array.from({ length: pmds }, (_, i) => system.cell(`${name}.pmd[${i}]`, 0, { type: pmdType })),
    };
    this.spaces.push(space);
    for (const cpu of cpus) {
      this.tlb[cpu]![index] = Array.from({ length: pages }, (_, page) =>
        system.cell(`cpu${cpu}.tlb[${name}:${page}]`, 0, { type: pteType }),
      );
      if (options.pageWalkCache)
        this.pwc[cpu]![index] = space.pmd.map((_, i) =>
          system.cell(`cpu${cpu}.pwc[${name}:${i}]`, 0, { type: pmdType }),
        );
    }
    if (options.fill === 'eager') fillEagerly(this, index);
    return space;
  }

  /** A device whose page table mirrors space `space`; one that `shares` walks the CPUs' page table. */
  addDevice(name: string, space: number, shares = false): Device {
    const device = new Device(this, name, this.devices.length, space, shares);
    this.devices.push(device);
    return device;
  }

  /** An atomic add to a page of a space was carried out: the ghosts that count it do. */
  countAdd(space: number, page: number, delta: number): void {
    for (const sum of this.sums)
      if (sum.space === space && sum.page === page) this.system.set(sum.adds.at, sum.adds.value + delta);
  }

  /** The ghosts that `countAdd` writes. */
  addCounters(space: number, page: number): Cell[] {
    return this.sums.filter((sum) => sum.space === space && sum.page === page).map(({ adds }) => adds);
  }

  /** The leaf that the walker would find for a page now, 0 for none. Does not look whether the tables live. */
  leaf(space: AddressSpace, page: number): number {
    const { ptrsPerPte } = this.options;
    const pmd = space.pmd[Math.floor(page / ptrsPerPte)]!.value;
    if ((pmd & PTE.PRESENT) === 0) return 0;
    if (pmd & PTE.PSE)
      return ((pfnOf(pmd) + (page % ptrsPerPte)) << PTE.PFN_SHIFT) | (pmd & ((1 << PTE.PFN_SHIFT) - 1));
    const entry = this.entry(this.frames[pfnOf(pmd)]!, page % ptrsPerPte);
    return entry & PTE.PRESENT ? entry : 0;
  }

  /** The entry of a page table now; with two words, what they add up to. */
  entry(table: Frame, index: number): number {
    const { pae } = this.options;
    const low = table.pte[index]!.value;
    return pae === undefined ? low : joinWords(low, table.pteHigh[index]!.value, pae);
  }

  /** The cells that `leaf` may read. */
  leafCells(space: AddressSpace, page: number): Cell[] {
    const { ptrsPerPte } = this.options;
    return [
      space.pmd[Math.floor(page / ptrsPerPte)]!,
      ...this.frames.flatMap((frame) => [
        frame.pte[page % ptrsPerPte]!,
        ...frame.pteHigh.slice(page % ptrsPerPte, (page % ptrsPerPte) + 1),
      ]),
    ];
  }

  private addStoreBuffers(depth: number): void {
    const { system } = this;
    system.storeBufferDepth = depth;
    for (let cpu = 0; cpu < this.options.cpus; cpu++) {
      const first = system.cell(`cpu${cpu}.sb[0].cell`);
      system.cell(`cpu${cpu}.sb[0].value`);
      for (let i = 1; i < depth; i++) {
        system.cell(`cpu${cpu}.sb[${i}].cell`);
        system.cell(`cpu${cpu}.sb[${i}].value`);
      }
      system.storeBuffers[cpu] = first.at;
    }
  }
}
