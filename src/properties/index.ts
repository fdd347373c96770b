// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import { anonExclusive } from './anon.js';
import { anonVmaBalance } from './anon-vma.js';
import { watchDevices } from './device.js';
import { watchDeviceMemory } from './device-memory.js';
import { pteLive, tlbLive, walkCacheLive } from './lifetime.js';
import { watchNotifiers } from './notifier.js';
import { balances } from './sums.js';
import { tlbPermission } from './tlb.js';

export { cpuEntry, exclusivePrivate, watchSum } from './device.js';
export { deviceEntryLive } from './lifetime.js';
export { lockdep } from './lockdep.js';
export { locking } from './locking.js';
export { PinWatch } from './pin.js';
export { PinHold } from './pin-valid.js';
export { MadeWatch } from './made.js';
export { TornWatch } from './torn.js';
export { uffdWriteProtected } from './tracking.js';
export { countMappings } from './sums.js';

/**
 * META-FREED, META-POISONED: a struct page is touched that is freed, or overwritten and uninitialised. META-ALIVE: the
 * kernel's own assertion finds that it is about to. PGMAP-LIVE, GP-RULE: the same of a pgmap, of what RCU freed.
 */
const HOTPLUG = ['META-FREED', 'META-POISONED', 'META-ALIVE', 'PGMAP-LIVE', 'GP-RULE'];

/** DRIVER-LIVE is found by accesses: see linux/kernel/module.ts. */
const freesDriverMemory = ({ system }: Kernel): boolean =>
  system.guards.some((guard) => guard?.property(0) === 'DRIVER-LIVE');

/** Switches on the invariants that hold in every scenario; returns their names. */
export function watchAlways(kernel: Kernel): string[] {
  tlbLive(kernel);
  tlbPermission(kernel);
  pteLive(kernel);
  walkCacheLive(kernel);
  // Before 5.19 no flag says so.
  if (kernel.knobs['cow.reuse'] === 'anon-exclusive') anonExclusive(kernel);
  const devices = [...watchDevices(kernel), ...watchDeviceMemory(kernel)];
  const notifiers = watchNotifiers(kernel);
  return [
    'TLB-LIVE',
    'TLB-PERM',
    'FRAME-REUSE',
    'TABLE-ALIVE',
    'FREE-ONCE',
    ...(kernel.options.hotplug ? HOTPLUG : []),
    ...(kernel.knobs['cow.reuse'] === 'anon-exclusive' ? ['ANON-EXCL'] : []),
    'LOCK',
    'LOCK-REF',
    ...devices,
    ...(freesDriverMemory(kernel) ? ['DRIVER-LIVE'] : []),
    ...notifiers,
    ...balances(kernel),
    ...anonVmaBalance(kernel),
  ];
}
