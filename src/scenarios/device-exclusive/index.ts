// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d01 from './d-01.js';
import d02 from './d-02.js';
import d03 from './d-03.js';
import d05 from './d-05.js';
import d06 from './d-06.js';
import d08 from './d-08.js';
import d09 from './d-09.js';
import d17 from './d-17.js';
import d18 from './d-18.js';
import d25 from './d-25.js';
import d27 from './d-27.js';
import d31 from './d-31.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [
  d01,
  d02,
  d03,
  d05,
  d06,
  d08,
  d09,
  d17,
  d18,
  d25,
  d27,
  d31,
];
