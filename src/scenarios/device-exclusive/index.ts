// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d05 from './d-05.js';
import d06 from './d-06.js';
import d08 from './d-08.js';
import d09 from './d-09.js';
import d17 from './d-17.js';
import d18 from './d-18.js';
import d31 from './d-31.js';
import d37 from './d-37.js';
import d45 from './d-45.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [d05, d06, d08, d09, d17, d18, d31, d37, d45];
