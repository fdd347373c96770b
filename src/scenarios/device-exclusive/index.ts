// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d12 from './d-12.js';
import { d13, d13b } from './d-13.js';
import { d14, d14b, d14c } from './d-14.js';
import d15 from './d-15.js';
import d16 from './d-16.js';
import { d28, d28b } from './d-28.js';
import { d29, d29b } from './d-29.js';
import d31 from './d-31.js';
import d46 from './d-46.js';
import d49 from './d-49.js';
import d52 from './d-52.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [
  d12,
  d13,
  d13b,
  d14,
  d14b,
  d14c,
  d15,
  d16,
  d28,
  d28b,
  d29,
  d29b,
  d31,
  d46,
  d49,
  d52,
];
