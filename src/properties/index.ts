// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import { pteLive, tlbLive } from './lifetime.js';

export { PinWatch } from './pin.js';

/** Switches on the invariants that hold in every scenario; returns their names. */
export function watchAlways(kernel: Kernel): string[] {
  tlbLive(kernel);
  pteLive(kernel);
  return [
    'TLB-LIVE',
    'FRAME-REUSE',
    'TABLE-ALIVE',
    'FREE-ONCE',
    ...(kernel.options.hotplug ? ['META-ALIVE'] : []),
    'LOCK',
  ];
}
