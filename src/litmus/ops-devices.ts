// SPDX-License-Identifier: MIT
import type { Mm } from '../linux/include/mm_types.js';
import { EBADF } from '../linux/include/errno.js';
import type { Kernel } from '../linux/kernel.js';
import type { Dmirror } from '../linux/lib/test_hmm.js';
import { DmirrorDevice } from '../linux/lib/test_hmm-devmem.js';
import {
  dmirror_fops_open,
  dmirror_fops_release,
  dmirror_fops_unlocked_ioctl,
} from '../linux/lib/test_hmm-fops.js';
import { HMM_DMIRROR, HMM_DMIRROR_MEMORY_DEVICE, type HmmDmirrorCmd } from '../linux/lib/test_hmm_uapi.js';
import type { DeviceName } from './ops-language.js';
import type { DeviceFile, Lives, Needs } from './ops-lives.js';
import { addDmirror } from './setup/dmirror.js';
import type { Runner } from './workload.js';

/** The first two devices have private memory, the others coherent memory. */
const PRIVATE_DEVICES = 2;

const COMMANDS: Readonly<Record<DeviceName, number>> = {
  dread: HMM_DMIRROR.READ,
  dwrite: HMM_DMIRROR.WRITE,
  todev: HMM_DMIRROR.MIGRATE_TO_DEV,
  tosys: HMM_DMIRROR.MIGRATE_TO_SYS,
  snap: HMM_DMIRROR.SNAPSHOT,
  excl: HMM_DMIRROR.EXCLUSIVE,
  chkexcl: HMM_DMIRROR.CHECK_EXCLUSIVE,
  release: HMM_DMIRROR.RELEASE,
};

/** What a command has answered: a positive error number, and its counts. */
export interface Commanded {
  readonly err: number;
  readonly cpages: number;
  readonly faults: number;
}

/** The devices of the test driver, with the mirrors that a script opens. */
export class Devices {
  private readonly mirrors = new Map<string, Dmirror>();

  constructor(
    kernel: Kernel,
    needs: Needs,
    mms: readonly Mm[],
    chunkPages: number,
    private readonly lives: Lives,
    private readonly run: Runner,
  ) {
    const devices: DmirrorDevice[] = [];
    for (const file of needs.mirrors) {
      const { device, place } = file;
      const mdevice = (devices[device] ??= new DmirrorDevice(kernel, `hmm_dmirror${device}`, device, {
        zone_device_type:
          device < PRIVATE_DEVICES ? HMM_DMIRROR_MEMORY_DEVICE.PRIVATE : HMM_DMIRROR_MEMORY_DEVICE.COHERENT,
        chunkPages,
      }));
      const name = keyOf(file);
      this.mirrors.set(name, addDmirror(kernel, mms[place]!, name, mdevice));
    }
  }

  private mirror(file: DeviceFile): Dmirror {
    return this.mirrors.get(keyOf(file))!;
  }

  /** Opens the device's file; one that the process has is closed before. */
  open(process: number, agent: number, device: number): number {
    this.close(process, agent, device);
    const dmirror = this.mirror(this.lives.open(process, device));
    return -this.run(agent, () => dmirror_fops_open(dmirror));
  }

  close(process: number, agent: number, device: number): number {
    if (this.lives.file(process, device) === undefined) return EBADF;
    const last = this.lives.close(process, device);
    if (last !== undefined) this.release(last, agent);
    return 0;
  }

  /** Nobody has the file any more. */
  release(file: DeviceFile, agent: number): void {
    const dmirror = this.mirror(file);
    this.run(agent, () => dmirror_fops_release(dmirror));
  }

  /** A command to a device about [addr, addr + npages); `ptr` is the buffer. */
  command(
    name: DeviceName,
    [process, device]: readonly [number, number],
    agent: number,
    { addr, npages, ptr }: Pick<HmmDmirrorCmd, 'addr' | 'npages' | 'ptr'>,
  ): Commanded {
    const file = this.lives.file(process, device);
    const cmd = { addr, npages, ptr, cpages: 0, faults: 0 };
    if (file === undefined) return { err: EBADF, cpages: 0, faults: 0 };
    const dmirror = this.mirror(file);
    const ret = this.run(agent, () => dmirror_fops_unlocked_ioctl(dmirror, COMMANDS[name], cmd));
    return { err: -ret, cpages: cmd.cpages, faults: cmd.faults };
  }
}

/** Its name: several are there only where a process opens a device again while a child has the file. */
const keyOf = ({ device, place, slot }: Pick<DeviceFile, 'device' | 'place' | 'slot'>): string =>
  `hmm_dmirror${device}.P${place}${slot === 0 ? '' : `.${slot}`}`;
