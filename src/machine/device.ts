// SPDX-License-Identifier: MIT
import type { Access } from '../core/ops.js';
import { request, type Path } from '../core/path.js';
import { type Cell, frameRef } from '../core/system.js';
import { type Frame, Use } from './frame.js';
import type { Machine } from './machine.js';
import { pageAndWord, pageOf, showPage, touchesContents, wordOf } from './mmu.js';
import { frameOf, PTE, pteType, showEntry } from './pte.js';
import { packRange, rangeEnd, rangeStart } from './range.js';

/**
 * A device with an MMU of its own: a page table that its driver fills, a TLB, and accesses that are under way. One that
 * shares has no page table: it walks that of the CPUs (an IOMMU with shared virtual addresses). It mirrors one address space, so that a page has the same number on both sides. Entries have the layout of a PTE, with
 * ATOMIC for those that allow atomic operations.
 */
export class Device {
  /** By page: the page table. */
  readonly pte: readonly Cell[];
  /** By page: the TLB. It is filled when an access walks the page table, or as the CPUs' TLBs are. */
  readonly tlb: readonly Cell[];
  /** By page: the frame + 1 that an atomic operation has loaded from and is going to store to, 0 for none. */
  readonly inFlight: readonly Cell[];

  constructor(
    readonly machine: Machine,
    readonly name: string,
    /** Index in `machine.devices`. */
    readonly number: number,
    /** The address space that it mirrors: an index of `machine.spaces`. */
    readonly space: number,
    readonly shares = false,
  ) {
    const { system, spaces, options } = machine;
    const row = (what: string, type = pteType): Cell[] =>
      Array.from({ length: spaces[space]!.pages }, (_, page) =>
        system.cell(`${name}.${what}[${page}]`, 0, { type }),
      );
    this.pte = row('pte');
    this.tlb = row('tlb');
    this.inFlight = row('in_flight', frameRef);
    if (options.fill === 'demand' || shares) return;
    this.tlb.forEach((entry, page) => {
      const pte = this.pte[page]!;
      system.monitors.push({
        cells: [entry, pte],
        update: () => {
          if (entry.value === 0) system.set(entry.at, pte.value);
        },
      });
    });
  }
}

/** What devices do. Pages are numbered as in the space that the device mirrors; ranges are {@link packRange}. */
export function defineDeviceOps(machine: Machine) {
  const { system } = machine;
  const device = (number: number): Device => machine.devices[number]!;

  /** Translates a page for an access that needs these permissions: through the TLB, else by a walk, which fills it. */
  const translate = (
    { name, tlb, pte, shares, space }: Device,
    page: number,
    needed: number,
  ): Frame | undefined => {
    let entry = tlb[page]!.value;
    if ((entry & needed) !== needed) {
      entry = shares ? machine.leaf(machine.spaces[space]!, page) : pte[page]!.value;
      if ((entry & needed) !== needed) return undefined;
      system.set(tlb[page]!.at, entry);
    }
    return reach(name, machine.frames[frameOf(entry)]!);
  };
  const reach = (name: string, frame: Frame): Frame => {
    if (frame.use.value !== Use.DATA)
      system.fail(
        'FRAME-REUSE',
        `${name} reaches f${frame.number}, which is ${frame.use.type.show(frame.use.value)}`,
      );
    return frame;
  };
  const touchesAccess = (a: number, b: number, writes: boolean, access: Access): void => {
    const { tlb, pte, shares, space } = device(a);
    const walked = shares ? machine.leafCells(machine.spaces[space]!, pageOf(b)) : [pte[pageOf(b)]!];
    access.reads.push(...walked.map(({ at }) => at));
    access.writes.push(tlb[pageOf(b)]!.at);
    touchesContents(machine, wordOf(b), writes, access);
  };
  const each = (cells: readonly Cell[], range: number): readonly Cell[] =>
    cells.slice(rangeStart(range), rangeEnd(range));
  const pages = (range: number): string => {
    const [start, end] = [rangeStart(range), rangeEnd(range)];
    return end - start === 1 ? `page ${start}` : `pages ${start}..${end - 1}`;
  };

  return {
    /** Device a loads from page and word b. Observes 0 if it has no translation, else 1 + the value. */
    devLoad: system.op({
      name: 'device_load',
      drains: false,
      exec: (a, b) => {
        const frame = translate(device(a), pageOf(b), PTE.PRESENT);
        return frame === undefined ? 0 : 1 + (frame.words[wordOf(b)]?.value ?? 0);
      },
      touches: (a, b, _c, _agent, access) => touchesAccess(a, b, false, access),
      describe: (a, b, _c, observed) =>
        observed === 0
          ? `${device(a).name}: fault at ${showPage(b)}`
          : `${device(a).name}: load ${showPage(b)} = ${observed - 1}`,
    }),
    /** Device a stores c to page and word b. Observes whether it had a translation that allows stores. */
    devStore: system.op({
      name: 'device_store',
      drains: false,
      exec: (a, b, c) => {
        const frame = translate(device(a), pageOf(b), PTE.PRESENT | PTE.RW);
        if (frame === undefined) return 0;
        const data = frame.words[wordOf(b)];
        if (data !== undefined) system.set(data.at, c);
        return 1;
      },
      touches: (a, b, _c, _agent, access) => touchesAccess(a, b, true, access),
      describe: (a, b, c, observed) =>
        observed === 0
          ? `${device(a).name}: fault at ${showPage(b)}`
          : `${device(a).name}: store ${showPage(b)} = ${c}`,
    }),
    /**
     * The first half of an atomic operation of device a on page b. Observes 0 if it has no translation that allows
     * atomics, else 1 + the value; then the operation is under way until devAtomicStore. One at a time for each page.
     */
    devAtomicLoad: system.op({
      name: 'device_atomic_load',
      drains: false,
      enabled: (a, b) => device(a).inFlight[b]!.value === 0,
      waits: (a, b) => ({
        until: `the atomic operation on page ${b} of ${device(a).name}`,
        counted: [device(a).inFlight[b]!.at],
        by: 'its store',
      }),
      exec: (a, b) => {
        const frame = translate(device(a), b, PTE.PRESENT | PTE.RW | PTE.ATOMIC);
        if (frame === undefined) return 0;
        system.set(device(a).inFlight[b]!.at, frame.number + 1);
        return 1 + (frame.data?.value ?? 0);
      },
      touches: (a, b, _c, _agent, access) => {
        touchesAccess(a, b, false, access);
        access.writes.push(device(a).inFlight[b]!.at);
      },
      describe: (a, b, _c, observed) =>
        observed === 0
          ? `${device(a).name}: fault at page ${b} (atomic)`
          : `${device(a).name}: atomic: load page ${b} = ${observed - 1}`,
    }),
    /** The second half of an add of 1: stores c where the first half loaded from, whatever the page table says by now. */
    devAtomicStore: system.op({
      name: 'device_atomic_store',
      drains: false,
      exec: (a, b, c) => {
        const { name, inFlight, space } = device(a);
        const frame = machine.frames[inFlight[b]!.value - 1];
        if (frame === undefined) throw new Error(`expected an atomic of ${name} to be under way`);
        const { data } = reach(name, frame);
        if (data !== undefined) system.set(data.at, c);
        system.set(inFlight[b]!.at, 0);
        machine.countAdd(space, b, 1);
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { inFlight, space } = device(a);
        touchesContents(machine, 0, true, access);
        access.writes.push(inFlight[b]!.at, ...machine.addCounters(space, b).map(({ at }) => at));
      },
      describe: (a, b, c) => `${device(a).name}: atomic: store page ${b} = ${c}`,
    }),
    /** Sets entry c for page b in the page table of device a. */
    devMap: system.op({
      name: 'device_map',
      exec: (a, b, c) => {
        system.set(device(a).pte[b]!.at, c);
        return 0;
      },
      args: ['plain', 'plain', pteType],
      touches: (a, b, _c, _agent, access) => void access.writes.push(device(a).pte[b]!.at),
      describe: (a, b, c) => `${device(a).pte[b]!.name} = ${showEntry(c)}`,
    }),
    /** Clears the entries of pages b in the page table of device a. Its TLB and what is under way are left alone. */
    devUnmap: system.op({
      name: 'device_unmap',
      exec: (a, b) => {
        for (const { at } of each(device(a).pte, b)) system.set(at, 0);
        return 0;
      },
      touches: (a, b, _c, _agent, access) =>
        void access.writes.push(...each(device(a).pte, b).map(({ at }) => at)),
      describe: (a, b) => `${device(a).name}: ${pages(b)} unmapped`,
    }),
    /** As devUnmap and devFlush in one step, of a device that keeps its TLB in step with its page table. */
    devErase: system.op({
      name: 'device_erase',
      exec: (a, b) => {
        const { pte, tlb } = device(a);
        for (const { at } of [...each(pte, b), ...each(tlb, b)]) system.set(at, 0);
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { pte, tlb } = device(a);
        access.writes.push(...[...each(pte, b), ...each(tlb, b)].map(({ at }) => at));
      },
      describe: (a, b) => `${device(a).name}: ${pages(b)} unmapped, its TLB flushed`,
    }),
    /** Drops the TLB entries of pages b of device a. */
    devFlush: system.op({
      name: 'device_flush',
      exec: (a, b) => {
        for (const { at } of each(device(a).tlb, b)) system.set(at, 0);
        return 0;
      },
      touches: (a, b, _c, _agent, access) =>
        void access.writes.push(...each(device(a).tlb, b).map(({ at }) => at)),
      describe: (a, b) => `${device(a).name}: TLB, ${pages(b)} flushed`,
    }),
    /** Waits until nothing is under way on pages b of device a. */
    devIdle: system.op({
      name: 'device_idle',
      enabled: (a, b) => each(device(a).inFlight, b).every(({ value }) => value === 0),
      waits: (a, b) => ({
        until: `what ${device(a).name} has under way on ${pages(b)}`,
        counted: each(device(a).inFlight, b).map(({ at }) => at),
        by: 'its store',
      }),
      exec: () => 0,
      touches: (a, b, _c, _agent, access) =>
        void access.reads.push(...each(device(a).inFlight, b).map(({ at }) => at)),
    }),
  };
}

/** The device loads from a page; undefined if it faults. */
export function* deviceLoad(device: Device, addr: number, word = 0): Path<number | undefined> {
  const hit = yield* request(device.machine.op.devLoad, device.number, pageAndWord(addr, word));
  return hit === 0 ? undefined : hit - 1;
}

/** The device stores to a page, and returns the value; undefined if it faults. */
export function* deviceStore(
  device: Device,
  addr: number,
  value: number,
  word = 0,
): Path<number | undefined> {
  const hit = yield* request(device.machine.op.devStore, device.number, pageAndWord(addr, word), value);
  return hit === 0 ? undefined : value;
}

/** The device adds 1 to a page with an atomic operation, two steps: returns what it loaded; undefined if it faults. */
export function* deviceAtomicAdd(device: Device, addr: number): Path<number | undefined> {
  const hit = yield* request(device.machine.op.devAtomicLoad, device.number, addr);
  if (hit === 0) return undefined;
  yield* request(device.machine.op.devAtomicStore, device.number, addr, hit);
  return hit - 1;
}

/** Sets an entry of the device's page table. */
export function* deviceMap(device: Device, addr: number, entry: number): Path {
  yield* request(device.machine.op.devMap, device.number, addr, entry);
}

/** Clears the entries of [start, end) in the device's page table. Goes with {@link deviceFlush}. */
export function* deviceUnmap(device: Device, start: number, end: number): Path {
  yield* request(device.machine.op.devUnmap, device.number, packRange(start, end));
}

/** Drops the device's TLB entries of [start, end), then waits for what is under way there. */
export function* deviceFlush(device: Device, start: number, end: number): Path {
  yield* request(device.machine.op.devFlush, device.number, packRange(start, end));
  yield* request(device.machine.op.devIdle, device.number, packRange(start, end));
}

/** Clears the entries of [start, end) in the device's page table and TLB, then waits for what is under way there. */
export function* deviceErase(device: Device, start: number, end: number): Path {
  yield* request(device.machine.op.devErase, device.number, packRange(start, end));
  yield* request(device.machine.op.devIdle, device.number, packRange(start, end));
}
