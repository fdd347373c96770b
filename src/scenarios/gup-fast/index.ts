// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import g01 from './g-01.js';
import g01b from './g-01b.js';
import g01c from './g-01c.js';
import g01d from './g-01d.js';
import g01e from './g-01e.js';
import g01f from './g-01f.js';
import g01g from './g-01g.js';
import g01h from './g-01h.js';
import g01i from './g-01i.js';
import g01j from './g-01j.js';
import g02 from './g-02.js';
import g03 from './g-03.js';
import g05 from './g-05.js';
import g05b from './g-05b.js';
import g06 from './g-06.js';
import g06b from './g-06b.js';
import g06c from './g-06c.js';
import g07 from './g-07.js';
import g07b from './g-07b.js';
import g08 from './g-08.js';
import g10 from './g-10.js';
import { g11, g11b } from './g-11.js';
import { g13, g13b, g13c } from './g-13.js';
import g14 from './g-14.js';
import g14b from './g-14b.js';
import g14c from './g-14c.js';
import { g15, g15b } from './g-15.js';
import g15c from './g-15c.js';
import g17 from './g-17.js';
import g17b from './g-17b.js';
import g20 from './g-20.js';
import g20b from './g-20b.js';
import { g20c, g20d } from './g-20c.js';
import { g20e } from './g-20e.js';
import g20f from './g-20f.js';
import g20g from './g-20g.js';
import g21 from './g-21.js';
import g22 from './g-22.js';
import { g23, g23b } from './g-23.js';
import g24 from './g-24.js';
import g25 from './g-25.js';
import g25b from './g-25b.js';

/** Seed 004: lockless page-table walks, GUP-fast, lifetime of struct pages. */
export const GUP_FAST: readonly Scenario[] = [
  g01,
  g01b,
  g01c,
  g01d,
  g01e,
  g01f,
  g01g,
  g01h,
  g01i,
  g01j,
  g02,
  g03,
  g05,
  g05b,
  g06,
  g06b,
  g06c,
  g07,
  g07b,
  g08,
  g10,
  g11,
  g11b,
  g13,
  g13b,
  g13c,
  g14,
  g14b,
  g14c,
  g15,
  g15b,
  g15c,
  g17,
  g17b,
  g20,
  g20b,
  g20c,
  g20d,
  g20e,
  g20f,
  g20g,
  g21,
  g22,
  g23,
  g23b,
  g24,
  g25,
  g25b,
];
