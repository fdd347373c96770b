// SPDX-License-Identifier: MIT
export { instrument, TransformError, type InstrumentOptions } from './instrument.js';
