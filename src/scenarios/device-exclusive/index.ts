// SPDX-License-Identifier: GPL-2.0-only
import type { Scenario } from '../../core/scenario.js';
import d31 from './d-31.js';

/** Seed 002: memory that a device has for itself. */
export const DEVICE_EXCLUSIVE: readonly Scenario[] = [d31];
