// SPDX-License-Identifier: GPL-2.0-only
import { deviceAtomicAdd, type Path, type Process, type Region, type Testbed } from '../../litmus/index.js';
import {
  Dmirror,
  EAGAIN,
  DmirrorMinOps,
  exclusiveRange,
  nouveau_atomic_range_fault,
  NouveauMnOps,
  NouveauSvmm,
  NouveauSvmMniOps,
  type MmuIntervalNotifier,
  type Timeout,
} from '../../linux/index.js';
import type { Device } from '../../machine/machine.js';
import { SingleDriver, type SingleOptions } from './single.js';

/** How a driver keeps a device's page table in step with a process. */
export type DriverKind = 'single' | 'nouveau' | 'test_hmm';

/** Serves faults of a device. */
export interface MirrorDriver {
  /** Serves a fault of an atomic at `addr`. Returns 0 or a negative error number. */
  fault(addr: number): Path<number>;
}

/** nouveau: a temporary interval notifier for each fault, and a classic one for good. */
class NouveauDriver implements MirrorDriver {
  private readonly svmm: NouveauSvmm;
  private readonly notifier: MmuIntervalNotifier;

  constructor(
    m: Testbed,
    gpu: Device,
    process: Process,
    region: Region,
    private readonly timeout: Timeout = 'never',
  ) {
    this.svmm = new NouveauSvmm(m.kernel, gpu, process.mm);
    process.mmuNotifier(new NouveauMnOps(this.svmm));
    this.notifier = process.intervalNotifier(region, new NouveauSvmMniOps(this.svmm), {
      inserted: false,
      ready: true,
    });
  }

  *fault(addr: number): Path<number> {
    return yield* nouveau_atomic_range_fault(this.svmm, addr, this.notifier, this.timeout);
  }
}

/** test_hmm: one notifier over the whole mm. */
class TestHmmDriver implements MirrorDriver {
  private readonly dmirror: Dmirror;

  constructor(
    m: Testbed,
    gpu: Device,
    process: Process,
    private readonly timeout: Timeout = 'never',
  ) {
    this.dmirror = new Dmirror(m.kernel, gpu, process.mm);
    const all = { start: 0, end: process.mm.space.pages };
    this.dmirror.notifier = process.intervalNotifier(all, new DmirrorMinOps(this.dmirror));
  }

  *fault(addr: number): Path<number> {
    return yield* exclusiveRange(this.dmirror, addr, 1, this.timeout);
  }

  /** One call for a range. */
  *exclusive(addr: number, npages: number): Path<number> {
    return yield* exclusiveRange(this.dmirror, addr, npages, this.timeout);
  }
}

/**
 * Set-up: a driver that mirrors `region` of `process` on `gpu`, with its notifiers registered. `single` takes options;
 * the knobs of nouveau and test_hmm are the kernel's (linux/knobs.ts).
 */
export function mirrorDriver(
  kind: DriverKind,
  m: Testbed,
  gpu: Device,
  process: Process,
  region: Region,
  options: SingleOptions = {},
): MirrorDriver {
  if (kind === 'single') return new SingleDriver(m, gpu, process, region, options);
  if (kind === 'nouveau') return new NouveauDriver(m, gpu, process, region, options.timeout);
  return new TestHmmDriver(m, gpu, process, options.timeout);
}

/** As mirrorDriver('test_hmm'), for calls that make a range exclusive. */
export function testHmmDriver(m: Testbed, gpu: Device, process: Process): TestHmmDriver {
  return new TestHmmDriver(m, gpu, process);
}

/**
 * The device adds 1 at `addr` with an atomic operation; its driver serves the faults. Returns 0, a negative error number
 * of the driver's, or -EAGAIN if it would take more than so many faults: else a CPU that takes the page back each time
 * keeps the two going for ever.
 */
export function* atomicAdd(
  driver: MirrorDriver,
  gpu: Device,
  addr: number,
  { faults = Infinity }: { faults?: number } = {},
): Path<number> {
  let left = faults;
  for (;;) {
    const old = yield* deviceAtomicAdd(gpu, addr);
    if (old !== undefined) return 0;
    if (left === 0) return -EAGAIN;
    left--;
    const err = yield* driver.fault(addr);
    if (err !== 0) return err;
  }
}

/** As {@link atomicAdd}, but its driver serves one fault at most: CPU and device don't take the page from each other for ever. */
export function* atomicAddOnce(driver: MirrorDriver, gpu: Device, addr: number): Path<number> {
  if ((yield* deviceAtomicAdd(gpu, addr)) !== undefined) return 0;
  const err = yield* driver.fault(addr);
  if (err !== 0) return err;
  return (yield* deviceAtomicAdd(gpu, addr)) === undefined ? -EAGAIN : 0;
}
