// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import { EFAULT, EINVAL, ENOENT } from '../linux/include/errno.js';
import type { Dmirror } from '../linux/lib/test_hmm.js';
import { exclusiveRange } from '../linux/lib/test_hmm-exclusive.js';
import {
  dmirror_fops_open,
  dmirror_fops_release,
  dmirror_fops_unlocked_ioctl,
} from '../linux/lib/test_hmm-fops.js';
import { HMM_DMIRROR, HMM_DMIRROR_PROT, type HmmDmirrorCmd } from '../linux/lib/test_hmm_uapi.js';
import { PROT_READ, PROT_WRITE } from '../linux/mm/mprotect.js';
import { deviceAtomicAdd, Use } from '../machine/machine.js';
import { swapType, SwapType } from '../machine/pte.js';
import { cpuEntry } from '../properties/index.js';
import { type Process, type Runner, type Target, WorkloadChecks } from './workload-checks.js';

/** Pages of a range that a device is asked for. */
const MAX_PAGES = 4;

/** What a workload asks devices for, and what it expects of that. */
export abstract class WorkloadDevices extends WorkloadChecks {
  protected written = 0;

  protected deviceRead(target: Target): string {
    const { addr } = target;
    const cmd = command(addr, 1);
    if (this.ioctl(target, HMM_DMIRROR.READ, cmd) !== 0)
      return this.refused(target, PROT_READ, 'device read refused');
    this.same(target, cmd.ptr[0]!, this.allowed(target, PROT_READ, 'has a device load from').contents);
    return 'device read';
  }

  protected deviceWrite(target: Target): string {
    const { process, addr } = target;
    const value = ++this.written;
    // What the device has in its own memory is not copied for it.
    const shared = swapType(cpuEntry(this.kernel, process.mm, addr)) === SwapType.DEVICE_READ;
    const err = this.ioctl(target, HMM_DMIRROR.WRITE, command(addr, 1, value));
    if (err === -EFAULT && shared) return 'device write to shared memory refused';
    if (err !== 0) return this.refused(target, PROT_WRITE, 'device write refused');
    this.allowed(target, PROT_WRITE, 'has a device store to').contents = value;
    return 'device write';
  }

  protected deviceAtomic(target: Target): string {
    const { addr } = target;
    const value = this.mirrored(target, (dmirror) => atomicAdd(dmirror, addr));
    if (value === undefined) return this.refused(target, PROT_WRITE, 'device atomic refused');
    this.same(target, value, this.allowed(target, PROT_WRITE, 'has a device add to').contents++);
    return 'device atomic';
  }

  protected exclusive(target: Target): string {
    const { process, addr } = target;
    const npages = 1 + this.choose(Math.min(4, process.pages.length - addr));
    const cmd = command(addr, npages);
    const err = this.ioctl(target, HMM_DMIRROR.EXCLUSIVE, cmd);
    const writable = process.pages
      .slice(addr, addr + npages)
      .every((page) => page !== undefined && (page.prot & PROT_WRITE) !== 0);
    this.expect(
      (err === 0) === writable || this.isShort(),
      `making ${npages} pages of ${process.mm.name} from ${addr} exclusive returns ${err}`,
    );
    return err === 0 ? 'exclusive' : 'exclusive refused';
  }

  /** A command of the process's device file. */
  protected ioctl(target: Target, number: number, cmd: HmmDmirrorCmd): number {
    return this.mirrored(target, (dmirror) => dmirror_fops_unlocked_ioctl(dmirror, number, cmd));
  }

  /** Runs a call of the process's device file, which is opened if it is not. */
  protected mirrored<T>({ process, agent, run }: Target, call: (dmirror: Dmirror) => Path<T>): T {
    const { dmirror } = process;
    if (!process.mirrored) {
      const err = run(agent, () => dmirror_fops_open(dmirror));
      this.expect(err === 0, `the device file of ${process.mm.name} can't be opened: ${err}`);
      process.mirrored = true;
    }
    return run(agent, () => call(dmirror));
  }

  protected close(process: Process, agent: number, run: Runner): string {
    if (process.mirrored) run(agent, () => dmirror_fops_release(process.dmirror));
    process.mirrored = false;
    return 'close';
  }

  /** A range for a command to a device. */
  private range({ process, addr }: Target): HmmDmirrorCmd {
    return command(addr, 1 + this.choose(Math.min(MAX_PAGES, process.pages.length - addr)));
  }

  /** Whether all pages of a range may be read. */
  private readable({ process }: Target, { addr, npages }: HmmDmirrorCmd): boolean {
    return process.pages
      .slice(addr, addr + npages)
      .every((page) => page !== undefined && (page.prot & PROT_READ) !== 0);
  }

  /** Pages that are pinned, or for which there is no memory, stay where they are. */
  protected toDevice(target: Target): string {
    const cmd = this.range(target);
    const err = this.ioctl(target, HMM_DMIRROR.MIGRATE_TO_DEV, cmd);
    const may = this.readable(target, cmd);
    const { process, addr } = target;
    this.expect(
      may ? err === 0 || err === -ENOENT : err === -EINVAL,
      `bringing ${cmd.npages} pages of ${process.mm.name} from ${addr} to the device returns ${err}`,
    );
    if (!may) return 'to device refused';
    if (err !== 0) return 'to device in part';
    cmd.ptr.forEach((value, i) =>
      this.same({ ...target, addr: addr + i }, value, process.pages[addr + i]!.contents),
    );
    return 'to device';
  }

  protected toSystem(target: Target): string {
    const cmd = this.range(target);
    const err = this.ioctl(target, HMM_DMIRROR.MIGRATE_TO_SYS, cmd);
    this.expect(
      err === (this.readable(target, cmd) ? 0 : -EINVAL),
      `bringing ${cmd.npages} pages of ${target.process.mm.name} from ${target.addr} back returns ${err}`,
    );
    return err === 0 ? 'to system' : 'to system refused';
  }

  protected snapshot(target: Target): string {
    const { process, addr } = target;
    const cmd = this.range(target);
    const err = this.ioctl(target, HMM_DMIRROR.SNAPSHOT, cmd);
    this.expect(err === 0, `a snapshot of ${process.mm.name} returns ${err}`);
    cmd.ptr.forEach((seen, i) => {
      const prot = process.pages[addr + i]?.prot ?? 0;
      const none = seen === HMM_DMIRROR_PROT.ERROR;
      const writable = !none && (seen & HMM_DMIRROR_PROT.WRITE) !== 0;
      this.expect(
        none === ((prot & PROT_READ) === 0) && (!writable || (prot & PROT_WRITE) !== 0),
        `a snapshot of ${process.mm.name} says ${seen} of page ${addr + i}`,
      );
    });
    return 'snapshot';
  }

  /** Takes the memory from the device, if there is RAM for all that is in it. */
  protected releaseMemory(target: Target): string {
    const inUse = this.kernel.mem_map.filter(({ frame }) => frame.device && frame.use.value === Use.DATA);
    if (this.freeFrames() < inUse.length) return this.snapshot(target);
    const err = this.ioctl(target, HMM_DMIRROR.RELEASE, command(target.addr, 1));
    this.expect(err === 0, `taking its memory from the device of ${target.process.mm.name} returns ${err}`);
    return 'release';
  }
}

/** What the device file is asked; a value is stored to each page. */
const command = (addr: number, npages: number, value = 0): HmmDmirrorCmd => ({
  addr,
  npages,
  ptr: Array<number>(npages).fill(value),
  cpages: 0,
  faults: 0,
});

/** The device adds 1; its driver serves a fault. Returns what was there before, or undefined if the fault is refused. */
function* atomicAdd(dmirror: Dmirror, addr: number): Path<number | undefined> {
  for (;;) {
    const old = yield* deviceAtomicAdd(dmirror.device, addr);
    if (old !== undefined) return old;
    if ((yield* exclusiveRange(dmirror, addr, 1)) !== 0) return undefined;
  }
}
