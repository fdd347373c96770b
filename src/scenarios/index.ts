// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../core/scenario.js';
import g01 from './gup-fast/g-01.js';

/** Every built-in scenario, in the order of `shootdown check`. */
export const SCENARIOS: readonly Scenario[] = [g01];
