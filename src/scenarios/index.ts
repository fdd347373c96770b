// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../core/scenario.js';
import { DEVICE_EXCLUSIVE } from './device-exclusive/index.js';
import { GUP_FAST } from './gup-fast/index.js';
import { INTERVAL_NOTIFIERS } from './interval-notifiers/index.js';

/** By family: the scenario whose table compares what the family is about. */
export const FAMILY_MATRIX: Readonly<Record<string, string>> = { 'device-exclusive': 'D-00' };

/** Every built-in scenario, in the order of `shootdown check`. */
export const SCENARIOS: readonly Scenario[] = [...GUP_FAST, ...INTERVAL_NOTIFIERS, ...DEVICE_EXCLUSIVE];
