// SPDX-License-Identifier: MIT
import type { Mm } from '../../linux/include/mm_types.js';
import type { Kernel } from '../../linux/kernel.js';
import { Dmirror, DmirrorMinOps } from '../../linux/lib/test_hmm.js';
import type { DmirrorDevice } from '../../linux/lib/test_hmm-devmem.js';
import { DmirrorMrnOps } from '../../linux/lib/test_hmm-snapshot.js';
import { addIntervalNotifier } from './notifiers.js';

/** Set-up: the place for an open device file of the test driver, of a device with memory if `mdevice` is given, that mirrors `mm`: for dmirror_fops_open(). */
export function addDmirror(kernel: Kernel, mm: Mm, name: string, mdevice?: DmirrorDevice): Dmirror {
  const dmirror = new Dmirror(kernel, kernel.addDevice(name, mm), mm, mdevice);
  const all = { start: 0, end: mm.space.pages };
  const options = { inserted: false, ready: true };
  dmirror.notifier = addIntervalNotifier(kernel, mm, all, new DmirrorMinOps(dmirror), options);
  dmirror.snapshot = addIntervalNotifier(kernel, mm, all, new DmirrorMrnOps(dmirror), options);
  return dmirror;
}
