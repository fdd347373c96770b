// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d31 from './d-31.js';
import d07 from './d-07.js';
import d22 from './d-22.js';
import d23 from './d-23.js';
import d24 from './d-24.js';
import d30 from './d-30.js';
import d32 from './d-32.js';
import d33 from './d-33.js';
import d35 from './d-35.js';
import d36 from './d-36.js';
import d40 from './d-40.js';
import d42 from './d-42.js';
import d43 from './d-43.js';
import d48 from './d-48.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [
  d07,
  d31,
  d22,
  d23,
  d24,
  d30,
  d32,
  d33,
  d35,
  d36,
  d40,
  d42,
  d43,
  d48,
];
