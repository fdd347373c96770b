// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import g01 from './g-01.js';
import g01d from './g-01d.js';
import g10 from './g-10.js';
import { g11, g11b } from './g-11.js';
import g20 from './g-20.js';
import g21 from './g-21.js';
import g22 from './g-22.js';

/** Seed 004: lockless page-table walks, GUP-fast, lifetime of struct pages. */
export const GUP_FAST: readonly Scenario[] = [g01, g01d, g10, g11, g11b, g20, g21, g22];
