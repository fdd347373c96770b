// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import { pteLive, tlbLive, walkCacheLive } from './lifetime.js';
import { balances } from './sums.js';

export { deviceEntryLive } from './lifetime.js';
export { lockdep } from './lockdep.js';
export { PinWatch } from './pin.js';
export { TornWatch } from './torn.js';
export { countMappings } from './sums.js';

/** Switches on the invariants that hold in every scenario; returns their names. */
export function watchAlways(kernel: Kernel): string[] {
  tlbLive(kernel);
  pteLive(kernel);
  walkCacheLive(kernel);
  return [
    'TLB-LIVE',
    'FRAME-REUSE',
    'TABLE-ALIVE',
    'FREE-ONCE',
    ...(kernel.options.hotplug ? ['META-ALIVE'] : []),
    'LOCK',
    ...balances(kernel),
  ];
}
