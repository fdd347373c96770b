// SPDX-License-Identifier: GPL-2.0-only
import type { Cell, Guard, System, ValueType } from '../../core/system.js';

const lifeType: ValueType = {
  name: 'subscription',
  show: (value) =>
    value === 1 ? 'known to the mm' : value === 2 ? 'on its way out' : 'given back to its driver',
};
/** Of a subscription's life. PUT: given up, and not released yet. */
export const LIFE = { DRIVER: 0, KNOWN: 1, PUT: 2 } as const;

/** The driver may free a subscription when it is told that nobody uses it any more: touching it then is SUB-LIFE. */
export function subscriptionLife(system: System, name: string): { life: Cell; guard: Guard } {
  const life = system.cell(`${name}.life`, 0, { type: lifeType });
  return {
    life,
    guard: { cell: life, alive: (1 << LIFE.KNOWN) | (1 << LIFE.PUT), what: name, property: () => 'SUB-LIFE' },
  };
}
