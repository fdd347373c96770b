// SPDX-License-Identifier: MIT

const SHIFT = 15;

/** Pages [start, end) in one argument of a request. */
export const packRange = (start: number, end: number): number => (start << SHIFT) | end;
export const rangeStart = (packed: number): number => packed >> SHIFT;
export const rangeEnd = (packed: number): number => packed & ((1 << SHIFT) - 1);
