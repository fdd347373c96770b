// SPDX-License-Identifier: GPL-2.0-only
import { DEVICE_MEMORY } from './knobs/device-memory.js';
import { DRIVERS } from './knobs/drivers.js';
import { EXCLUSIVE } from './knobs/exclusive.js';
import { FORK_AND_COW } from './knobs/fork-and-cow.js';
import { GUP } from './knobs/gup.js';
import { HOTPLUG } from './knobs/hotplug.js';
import { INTERVAL_UPDATES } from './knobs/interval-updates.js';
import { MAKE_EXCLUSIVE } from './knobs/make-exclusive.js';
import { NOTIFIERS } from './knobs/notifiers.js';
import { RECLAIM } from './knobs/reclaim.js';
import { TABLES } from './knobs/tables.js';

export { RELEASES } from './knobs/releases.js';

/**
 * What a thread debated, what a posting left out and what later kernels changed: each is a knob, each value says where
 * it comes from, and the code under it stands in one place, found by searching for the knob's name. The first value is
 * the documented protocol (6.12).
 */
export const SUBJECTS = {
  'GUP and pins': GUP,
  'Faults, fork and COW': FORK_AND_COW,
  'Page tables, huge pages and RCU': TABLES,
  'Reclaim, swap and KSM': RECLAIM,
  'Memory hotplug and device memory': HOTPLUG,
  'Migration to and from device memory': DEVICE_MEMORY,
  Notifiers: NOTIFIERS,
  'Interval notifier updates that were never merged': INTERVAL_UPDATES,
  'Making a page device exclusive': MAKE_EXCLUSIVE,
  'Device-exclusive entries, and who meets them': EXCLUSIVE,
  Drivers: DRIVERS,
} as const;

/** All members of a union at once. */
type Joined<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The knobs of all subjects. */
export const KNOBS = Object.assign({}, ...Object.values(SUBJECTS)) as Joined<
  (typeof SUBJECTS)[keyof typeof SUBJECTS]
>;

export type KnobName = keyof typeof KNOBS;
export type KnobValue<K extends KnobName> = keyof (typeof KNOBS)[K] & string;
export type Knobs = { readonly [K in KnobName]: KnobValue<K> };

/** Every knob at its documented value. */
export function documentedKnobs(): Knobs {
  return Object.fromEntries(
    Object.entries(KNOBS).map(([name, values]) => [name, Object.keys(values)[0]]),
  ) as Knobs;
}
