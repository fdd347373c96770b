// SPDX-License-Identifier: MIT
/**
 * The bench model: device-exclusive access against CPU faults, munmap and fork on one page. Self-contained, so that the
 * same protocol can be written down for another checker (`promela.ts`) step by step. Compound steps (a hardware walk,
 * the interval-notifier sequence) are operations of the model, as they are one d_step there.
 */
import type { Access, OpDefinition } from '../src/core/ops.js';
import { request, type Path } from '../src/core/path.js';
import {
  add,
  addUnless,
  equals,
  exchange,
  lock,
  read,
  trylock,
  unlock,
  write,
} from '../src/core/primitives.js';
import { type Cell, type CellOptions, System } from '../src/core/system.js';

/** What the page-table entry and the CPU TLB entries hold. */
const NONE = 0;
const RW = 1;
const RO = 2;
const EXCLUSIVE = 3;

/** One thing that a thread does: a CPU store, a call of munmap() or fork(), or a device access. */
export type Operation =
  | { readonly kind: 'access'; readonly cpu: number }
  | { readonly kind: 'munmap' }
  | { readonly kind: 'fork' }
  | { readonly kind: 'device'; readonly device: number };

export interface Configuration {
  readonly cpus: number;
  readonly devices: number;
  /** How often a CPU store, and a device access, is tried before it gives up. */
  readonly accessTries: number;
  readonly deviceTries: number;
  readonly threads: readonly (readonly Operation[])[];
}

const store = (cpu: number): Operation => ({ kind: 'access', cpu });
const device = (number: number): Operation => ({ kind: 'device', device: number });
const munmap: Operation = { kind: 'munmap' };
const fork: Operation = { kind: 'fork' };

/** The configurations, by the names of `docs`: t4s 16k states, t4f 1.8M, t5 2.7M. */
export const CONFIGURATIONS: Readonly<Record<string, Configuration>> = {
  t4s: {
    cpus: 2,
    devices: 1,
    accessTries: 1,
    deviceTries: 1,
    threads: [[store(0)], [munmap], [store(1)], [device(0)]],
  },
  t4f: {
    cpus: 2,
    devices: 1,
    accessTries: 2,
    deviceTries: 2,
    threads: [[store(0), store(0)], [fork, store(1)], [munmap], [device(0)]],
  },
  t5: {
    cpus: 2,
    devices: 2,
    accessTries: 2,
    deviceTries: 1,
    threads: [[store(0)], [store(1)], [munmap], [device(0)], [device(1)]],
  },
};

/** The cells of the model, and its compound steps as paths of one request. */
class World {
  readonly system = new System('sc');
  readonly pte = this.system.cell('pte', RW);
  readonly pageLock = this.system.cell('page lock', 0, { lockClass: 'page' });
  readonly ref = this.system.cell('ref', 1);
  readonly tableLock = this.system.cell('table lock', 0, { lockClass: 'table' });
  /** Interval notifier: how many invalidations run, and the sequence that is odd while one does. */
  readonly invalidating = this.system.cell('invalidating');
  readonly sequence = this.system.cell('sequence', 2);
  readonly tlb: readonly Cell[];
  readonly devicePte: readonly Cell[];
  readonly deviceTlb: readonly Cell[];
  readonly driverLock: readonly Cell[];
  readonly deviceSequence: readonly Cell[];

  private readonly walkOp: number;
  private readonly deviceWalkOp: number;
  private readonly startOp: number;
  private readonly endOp: number;
  private readonly beginOp: number;

  constructor(readonly configuration: Configuration) {
    const { system, pte, sequence, invalidating } = this;
    const each = (count: number, name: string, initial = 0, options: CellOptions = {}): Cell[] =>
      Array.from({ length: count }, (_, i) => system.cell(`${name}${i}`, initial, options));
    this.tlb = each(configuration.cpus, 'tlb');
    this.devicePte = each(configuration.devices, 'device pte');
    this.deviceTlb = each(configuration.devices, 'device tlb');
    this.driverLock = each(configuration.devices, 'driver lock', 0, { lockClass: 'driver' });
    this.deviceSequence = each(configuration.devices, 'device sequence', 1);

    const define = (
      name: string,
      touches: (access: Access, a: number, b: number) => void,
      exec: (a: number, b: number) => number,
      enabled?: (a: number) => boolean,
    ): number => {
      const definition: OpDefinition = {
        name,
        touches: (a, b, _c, _agent, access) => touches(access, a, b),
        exec,
      };
      return system.op(enabled === undefined ? definition : { ...definition, enabled });
    };
    this.walkOp = define(
      'walk',
      ({ reads, writes }, to) => (reads.push(pte.at), writes.push(to)),
      (to) => {
        const entry = system.mem[pte.at]!;
        if (entry === RW || entry === RO) system.set(to, entry);
        return entry;
      },
    );
    this.deviceWalkOp = define(
      'device walk',
      ({ reads, writes }, from, to) => (reads.push(from), writes.push(to)),
      (from, to) => {
        if (system.mem[from] === 0) return 0;
        system.set(to, 1);
        return 1;
      },
    );
    this.startOp = define(
      'invalidate start',
      ({ reads, writes }) => (reads.push(sequence.at), writes.push(sequence.at, invalidating.at)),
      () => {
        system.set(invalidating.at, system.mem[invalidating.at]! + 1);
        system.set(sequence.at, system.mem[sequence.at]! | 1);
        return system.mem[sequence.at]!;
      },
    );
    this.endOp = define(
      'invalidate end',
      ({ reads, writes }) => (reads.push(sequence.at), writes.push(sequence.at, invalidating.at)),
      () => {
        const left = system.mem[invalidating.at]! - 1;
        system.set(invalidating.at, left);
        if (left === 0) system.set(sequence.at, system.mem[sequence.at]! + 1);
        return 0;
      },
    );
    this.beginOp = define(
      'read begin',
      ({ reads }, seen) => reads.push(seen, sequence.at),
      (seen) => system.mem[seen]!,
      (seen) => system.mem[seen] !== system.mem[sequence.at],
    );
  }

  /** The hardware walker: fills the CPU's TLB if the entry is present; returns the entry. */
  *walk(cpu: number): Path<number> {
    return yield* request(this.walkOp, this.tlb[cpu]!.at);
  }
  /** The device's walker: fills its TLB if its entry is there; returns whether it was. */
  *deviceWalk(number: number): Path<boolean> {
    return (yield* request(this.deviceWalkOp, this.devicePte[number]!.at, this.deviceTlb[number]!.at)) !== 0;
  }
  /** mn_itree_inv_start_range(): the sequence is odd from now on; returns it. */
  *invalidateBegin(): Path<number> {
    return yield* request(this.startOp);
  }
  /** mn_itree_inv_end(): the last one makes it even. */
  *invalidateEnd(): Path {
    yield* request(this.endOp);
  }
  /** mmu_interval_read_begin(): waits while an invalidation that the device has seen is running. */
  *readBegin(number: number): Path<number> {
    return yield* request(this.beginOp, this.deviceSequence[number]!.at);
  }
}

/** Starts an invalidation and has each driver take its mappings down. */
function* invalidateStart(world: World): Path {
  const sequence = yield* world.invalidateBegin();
  for (let number = 0; number < world.configuration.devices; number++) {
    yield* lock(world.driverLock[number]!);
    yield* write(world.deviceSequence[number]!, sequence);
    yield* write(world.devicePte[number]!, 0);
    yield* write(world.deviceTlb[number]!, 0);
    yield* unlock(world.driverLock[number]!);
  }
}

function* flushTlbs(world: World): Path {
  for (let cpu = 0; cpu < world.configuration.cpus; cpu++) yield* write(world.tlb[cpu]!, 0);
}

/** A store by a CPU, with its faults: copy-on-write, and taking a page back from a device. */
function* accessPage(world: World, cpu: number): Path {
  for (let attempt = 0; attempt < world.configuration.accessTries; attempt++) {
    if (yield* equals(world.tlb[cpu]!, RW)) return;
    const entry = yield* world.walk(cpu);
    if (entry === NONE) return; // SIGSEGV
    if (entry === RO) yield* makeWritable(world, cpu);
    else if (entry === EXCLUSIVE) yield* takeBack(world);
  }
}

function* makeWritable(world: World, cpu: number): Path {
  yield* lock(world.tableLock);
  if (yield* equals(world.pte, RO)) yield* write(world.pte, RW);
  yield* unlock(world.tableLock);
  yield* write(world.tlb[cpu]!, 0);
}

/** remove_device_exclusive_entry() */
function* takeBack(world: World): Path {
  if (!(yield* addUnless(world.ref, 1, 0))) return;
  yield* lock(world.pageLock);
  yield* invalidateStart(world);
  yield* lock(world.tableLock);
  if (yield* equals(world.pte, EXCLUSIVE)) yield* write(world.pte, RW);
  yield* unlock(world.tableLock);
  yield* world.invalidateEnd();
  yield* unlock(world.pageLock);
  yield* add(world.ref, -1);
}

function* unmap(world: World): Path {
  yield* invalidateStart(world);
  yield* lock(world.tableLock);
  const mapped = (yield* exchange(world.pte, NONE)) !== NONE;
  yield* unlock(world.tableLock);
  yield* flushTlbs(world);
  if (mapped) yield* add(world.ref, -1);
  yield* world.invalidateEnd();
}

function* copyPage(world: World): Path {
  yield* invalidateStart(world);
  yield* lock(world.tableLock);
  let entry = yield* read(world.pte);
  if (entry === EXCLUSIVE && (yield* trylock(world.pageLock))) {
    yield* write(world.pte, RW);
    yield* unlock(world.pageLock);
    entry = RW;
  }
  if (entry === RW) {
    yield* write(world.pte, RO);
    yield* add(world.ref, 1);
  }
  yield* unlock(world.tableLock);
  yield* flushTlbs(world);
  yield* world.invalidateEnd();
}

/** A device access: make_device_exclusive(), then map the page in the device unless an invalidation came between. */
function* accessFromDevice(world: World, number: number): Path {
  const { pte, ref, pageLock, tableLock } = world;
  for (let attempt = 0; attempt < world.configuration.deviceTries; attempt++) {
    let sequence = yield* world.readBegin(number);
    yield* lock(tableLock);
    if (yield* equals(pte, NONE)) {
      sequence = 0; // dead: forgetting it merges states, here as in the Promela text
      yield* unlock(tableLock);
      return;
    }
    yield* add(ref, 1);
    yield* unlock(tableLock);
    yield* lock(pageLock);
    yield* lock(tableLock);
    let entry = yield* read(pte);
    if (entry === RW) {
      yield* write(pte, EXCLUSIVE);
      yield* flushTlbs(world);
      entry = EXCLUSIVE;
    }
    const exclusive = entry === EXCLUSIVE;
    if (!exclusive) sequence = 0;
    yield* unlock(tableLock);
    let mapped = false;
    if (exclusive) {
      yield* lock(world.driverLock[number]!);
      mapped = yield* equals(world.deviceSequence[number]!, sequence);
      if (mapped) yield* write(world.devicePte[number]!, 1);
      yield* unlock(world.driverLock[number]!);
    }
    yield* unlock(pageLock);
    yield* add(ref, -1);
    if (mapped && (yield* world.deviceWalk(number))) return;
  }
}

function* perform(world: World, operations: readonly Operation[]): Path {
  for (const operation of operations) {
    if (operation.kind === 'access') yield* accessPage(world, operation.cpu);
    else if (operation.kind === 'munmap') yield* unmap(world);
    else if (operation.kind === 'fork') yield* copyPage(world);
    else yield* accessFromDevice(world, operation.device);
  }
}

/** The configuration as a system that can be searched. */
export function build(configuration: Configuration): System {
  const world = new World(configuration);
  const { system, pte, ref, tlb, devicePte, deviceTlb } = world;
  configuration.threads.forEach((operations, thread) =>
    system.agent({
      name: `T${thread}`,
      cpu: -1,
      daemon: false,
      fair: true,
      start: () => perform(world, operations),
    }),
  );
  const deviceCells = [...devicePte, ...deviceTlb].map((cell) => cell.at);
  const tlbCells = tlb.map((cell) => cell.at);
  system.invariants.push(
    {
      property: 'EXCLUSIVE',
      cells: [pte, ...tlb, ...devicePte, ...deviceTlb],
      when: 'always',
      check() {
        const { mem } = system;
        let mapped = false;
        for (const cell of deviceCells) if (mem[cell] !== 0) mapped = true;
        if (!mapped) return undefined;
        if (mem[pte.at] !== EXCLUSIVE) return 'a device maps a page that the CPU may use';
        for (const cell of tlbCells) if (mem[cell] === RW) return 'a CPU may write to what a device maps';
        return undefined;
      },
    },
    {
      property: 'LIFETIME',
      cells: [ref, ...tlb],
      when: 'always',
      check() {
        const { mem } = system;
        if (mem[ref.at] !== 0) return undefined;
        for (const cell of tlbCells) if (mem[cell] !== 0) return 'a TLB maps a page that was freed';
        return undefined;
      },
    },
  );
  return system;
}
