// SPDX-License-Identifier: MIT
export { instrument, type InstrumentOptions } from './instrument.js';
export { TransformError } from './refusals.js';
