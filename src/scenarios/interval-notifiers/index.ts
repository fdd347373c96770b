// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import n01 from './n-01.js';

/** Interval notifiers: how drivers keep their page tables in step with a process, and what they asked for besides. */
export const INTERVAL_NOTIFIERS: readonly Scenario[] = [n01];
