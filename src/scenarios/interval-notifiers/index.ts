// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import n01 from './n-01.js';
import n04 from './n-04.js';
import n05 from './n-05.js';
import { n06, n06b } from './n-06.js';
import n07 from './n-07.js';
import n08 from './n-08.js';
import n09 from './n-09.js';
import n23 from './n-23.js';
import n28 from './n-28.js';
import { n29, n29b, n29c } from './n-29.js';
import n29d from './n-29d.js';
import { n30, n30b, n30c } from './n-30.js';

/** Interval notifiers: how drivers keep their page tables in step with a process, and what they asked for besides. */
export const INTERVAL_NOTIFIERS: readonly Scenario[] = [
  n01,
  n04,
  n05,
  n06,
  n06b,
  n07,
  n08,
  n09,
  n23,
  n28,
  n29,
  n29b,
  n29c,
  n29d,
  n30,
  n30b,
  n30c,
];
