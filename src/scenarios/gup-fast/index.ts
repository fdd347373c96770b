// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import g01 from './g-01.js';
import g02 from './g-02.js';

/** Seed 004: lockless page-table walks, GUP-fast, lifetime of struct pages. */
export const GUP_FAST: readonly Scenario[] = [g01, g02];
