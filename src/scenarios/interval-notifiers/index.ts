// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import n01 from './n-01.js';
import n04 from './n-04.js';
import n05 from './n-05.js';
import { n06, n06b } from './n-06.js';
import n07 from './n-07.js';
import { n20, n20c } from './n-20.js';
import n20b from './n-20b.js';
import { n25, n25b, n25c } from './n-25.js';
import n27 from './n-27.js';
import { n35, n35b, n35c } from './n-35.js';

/** Interval notifiers: how drivers keep their page tables in step with a process, and what they asked for besides. */
export const INTERVAL_NOTIFIERS: readonly Scenario[] = [
  n01,
  n04,
  n05,
  n06,
  n06b,
  n07,
  n20,
  n20b,
  n20c,
  n25,
  n25b,
  n25c,
  n27,
  n35,
  n35b,
  n35c,
];
