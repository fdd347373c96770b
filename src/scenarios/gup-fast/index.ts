// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import g01 from './g-01.js';
import g02 from './g-02.js';
import g06 from './g-06.js';
import g06b from './g-06b.js';
import g07 from './g-07.js';
import g08 from './g-08.js';
import g24 from './g-24.js';
import g25 from './g-25.js';

/** Seed 004: lockless page-table walks, GUP-fast, lifetime of struct pages. */
export const GUP_FAST: readonly Scenario[] = [g01, g02, g06, g06b, g07, g08, g24, g25];
