// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d00 from './d-00.js';
import d01 from './d-01.js';
import d02 from './d-02.js';
import d03 from './d-03.js';
import d05 from './d-05.js';
import d06 from './d-06.js';
import d07 from './d-07.js';
import d08 from './d-08.js';
import d09 from './d-09.js';
import d11 from './d-11.js';
import d12 from './d-12.js';
import { d13, d13b } from './d-13.js';
import { d14, d14b, d14c } from './d-14.js';
import d15 from './d-15.js';
import d16 from './d-16.js';
import d17 from './d-17.js';
import d18 from './d-18.js';
import d19 from './d-19.js';
import d20 from './d-20.js';
import d21 from './d-21.js';
import d22 from './d-22.js';
import d23 from './d-23.js';
import d24 from './d-24.js';
import { d25, d25b } from './d-25.js';
import d27 from './d-27.js';
import { d28, d28b } from './d-28.js';
import { d29, d29b } from './d-29.js';
import d30 from './d-30.js';
import d31 from './d-31.js';
import d32 from './d-32.js';
import d33 from './d-33.js';
import d35 from './d-35.js';
import d36 from './d-36.js';
import d37 from './d-37.js';
import d38 from './d-38.js';
import d39 from './d-39.js';
import d40 from './d-40.js';
import d40b from './d-40b.js';
import d42 from './d-42.js';
import d43 from './d-43.js';
import d44 from './d-44.js';
import d45 from './d-45.js';
import d45b from './d-45b.js';
import d46 from './d-46.js';
import d48 from './d-48.js';
import d48b from './d-48b.js';
import d49 from './d-49.js';
import d51 from './d-51.js';
import d52 from './d-52.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [
  d00,
  d01,
  d02,
  d03,
  d05,
  d06,
  d07,
  d08,
  d09,
  d11,
  d12,
  d13,
  d13b,
  d14,
  d14b,
  d14c,
  d15,
  d16,
  d17,
  d18,
  d19,
  d20,
  d21,
  d22,
  d23,
  d24,
  d25,
  d25b,
  d27,
  d28,
  d28b,
  d29,
  d29b,
  d30,
  d31,
  d32,
  d33,
  d35,
  d36,
  d37,
  d38,
  d39,
  d40,
  d40b,
  d42,
  d43,
  d44,
  d45,
  d45b,
  d46,
  d48,
  d48b,
  d49,
  d51,
  d52,
];
