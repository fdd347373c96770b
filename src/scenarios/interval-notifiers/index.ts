// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import n01 from './n-01.js';
import n02 from './n-02.js';
import { n03, n03b } from './n-03.js';
import n04 from './n-04.js';
import n05 from './n-05.js';
import { n06, n06b } from './n-06.js';
import n07 from './n-07.js';
import n08 from './n-08.js';
import { n09, n09b } from './n-09.js';
import { n10, n10b, n10c } from './n-10.js';
import n11 from './n-11.js';
import { n13, n13b } from './n-13.js';
import n14 from './n-14.js';
import { n15, n15b } from './n-15.js';
import n16 from './n-16.js';
import n18 from './n-18.js';
import { n19, n19b } from './n-19.js';
import n19c from './n-19c.js';
import { n20, n20c } from './n-20.js';
import { n20b, n20d } from './n-20b.js';
import n21 from './n-21.js';
import n23 from './n-23.js';
import { n25, n25b, n25c } from './n-25.js';
import n27 from './n-27.js';
import n28 from './n-28.js';
import { n29, n29b, n29c } from './n-29.js';
import n29d from './n-29d.js';
import { n30, n30b, n30c } from './n-30.js';
import n31 from './n-31.js';
import n32 from './n-32.js';
import n32b from './n-32b.js';
import n32c from './n-32c.js';
import n32d from './n-32d.js';
import n32e from './n-32e.js';
import n32f from './n-32f.js';
import n33 from './n-33.js';
import n34 from './n-34.js';
import { n35, n35b, n35c } from './n-35.js';

/** Interval notifiers: how drivers keep their page tables in step with a process, and what they asked for besides. */
export const INTERVAL_NOTIFIERS: readonly Scenario[] = [
  n01,
  n02,
  n03,
  n03b,
  n04,
  n05,
  n06,
  n06b,
  n07,
  n08,
  n09,
  n09b,
  n10,
  n10b,
  n10c,
  n11,
  n13,
  n13b,
  n14,
  n15,
  n15b,
  n16,
  n18,
  n19,
  n19b,
  n19c,
  n20,
  n20b,
  n20c,
  n20d,
  n21,
  n23,
  n25,
  n25b,
  n25c,
  n27,
  n28,
  n29,
  n29b,
  n29c,
  n29d,
  n30,
  n30b,
  n30c,
  n31,
  n32,
  n32b,
  n32c,
  n32d,
  n32e,
  n32f,
  n33,
  n34,
  n35,
  n35b,
  n35c,
];
