// SPDX-License-Identifier: MIT
import { live, stackSites } from './live.js';
import { Op } from './ops.js';
import { request, truth, type Path } from './path.js';
import { running } from './running.js';
import type { Cell } from './system.js';

// Nobody looks at what the request observed.
const nothing = (path: Path<number>): Path => path as unknown as Path;

/** Plain load: what C does without READ_ONCE(). Races with any concurrent write. */
export function load(cell: Cell): Path<number> {
  return request(Op.LOAD, cell.at);
}
/** Plain store: what C does without WRITE_ONCE(). Races with any concurrent access. */
export function store(cell: Cell, value: number): Path {
  return nothing(request(Op.STORE, cell.at, value));
}
/** Marked load. */
export function read(cell: Cell): Path<number> {
  return request(Op.READ, cell.at);
}
/** Marked store. */
export function write(cell: Cell, value: number): Path {
  return nothing(request(Op.WRITE, cell.at, value));
}
/** Marked load that observes only whether the cell holds `value`: fewer states than {@link read}. */
export function equals(cell: Cell, value: number): Path<boolean> {
  return truth(Op.EQ, cell.at, value);
}
/** Marked load that observes only whether a bit of `mask` is set. */
export function testBits(cell: Cell, mask: number): Path<boolean> {
  return truth(Op.TEST, cell.at, mask);
}
/** Locked exchange; returns the old value. */
export function exchange(cell: Cell, value: number): Path<number> {
  return request(Op.XCHG, cell.at, value);
}
/** Locked compare and exchange; returns whether the cell held `from` and now holds `to`. */
export function compareExchange(cell: Cell, from: number, to: number): Path<boolean> {
  return truth(Op.CMPXCHG, cell.at, from, to);
}
/** Locked add. */
export function add(cell: Cell, delta: number): Path {
  return nothing(request(Op.ADD, cell.at, delta));
}
/** Locked add; returns the new value. */
export function addReturn(cell: Cell, delta: number): Path<number> {
  return request(Op.ADD_RETURN, cell.at, delta);
}
/** Locked add unless the cell holds `unless`; returns whether it added. */
export function addUnless(cell: Cell, delta: number, unless: number): Path<boolean> {
  return truth(Op.ADD_UNLESS, cell.at, delta, unless);
}
/** Locked subtraction; returns whether the result is zero. */
export function subAndTest(cell: Cell, delta: number): Path<boolean> {
  return truth(Op.SUB_AND_TEST, cell.at, delta);
}
/** Locked set of the bits of `mask`. */
export function setBits(cell: Cell, mask: number): Path {
  return nothing(request(Op.SET_BITS, cell.at, mask));
}
/** Locked clear of the bits of `mask`. */
export function clearBits(cell: Cell, mask: number): Path {
  return nothing(request(Op.CLEAR_BITS, cell.at, mask));
}
/** Locked set; returns whether a bit of `mask` was set before. */
export function testAndSetBits(cell: Cell, mask: number): Path<boolean> {
  return truth(Op.TEST_AND_SET, cell.at, mask);
}
/** Locked clear; returns whether a bit of `mask` was set before. */
export function testAndClearBits(cell: Cell, mask: number): Path<boolean> {
  return truth(Op.TEST_AND_CLEAR, cell.at, mask);
}
/** Takes an exclusive lock (0 = free), waiting for it. */
export function lock(cell: Cell): Path {
  return nothing(request(Op.LOCK, cell.at));
}
/** Takes an exclusive lock if it is free; returns success. */
export function trylock(cell: Cell): Path<boolean> {
  return truth(Op.TRYLOCK, cell.at);
}
/** Releases an exclusive lock. */
export function unlock(cell: Cell): Path {
  return nothing(request(Op.UNLOCK, cell.at));
}
/** Waits until the cell holds `value`. */
export function awaitValue(cell: Cell, value: number): Path {
  return nothing(request(Op.AWAIT_EQ, cell.at, value));
}
/** Waits until no bit of `mask` is set. */
export function awaitClear(cell: Cell, mask: number): Path {
  return nothing(request(Op.AWAIT_CLEAR, cell.at, mask));
}
/** Waits until no bit of `mask` is set, and sets them. */
export function lockBits(cell: Cell, mask: number): Path {
  return nothing(request(Op.BIT_LOCK, cell.at, mask));
}
/** Full memory barrier. Under sc there is nothing to wait for and it is no step. */
export function* fence(): Path {
  if (running.system.memory !== 'sc') yield* request(Op.FENCE);
}
/** Any of 0 … count-1: every one is explored. The only non-determinism a path may have. */
export function* choose(count: number): Path<number> {
  return count === 1 ? 0 : yield* request(Op.CHOOSE, count);
}

/** Witness: says that this point was reached. Not a step. Returns undefined, for `return see('…')`. */
export function see(name: string): void {
  running.seen.push(name);
}
/** Declares progress: a fair cycle that passes here is no livelock. Not a step. */
export function progress(name: string): void {
  running.progressed.push(name);
}
/** Says that this agent holds the lock, in any mode: a report (LOCK-HELD) if it does not. Not a step. */
export function assertHeld(lockCell: Cell): void {
  running.asserted.push({ cell: lockCell.at, exclusive: false });
}
/** As {@link assertHeld}; also that nobody else may hold it meanwhile, as a reader may. */
export function assertHeldExclusive(lockCell: Cell): void {
  running.asserted.push({ cell: lockCell.at, exclusive: true });
}
/**
 * Lockdep is to believe that a lock is taken here, one that nobody has to wait for: sections that must not nest, or that
 * must not be waited for under a lock. `map` is a cell with a lock class. Not a step.
 */
export function lockMapAcquire(map: Cell): void {
  running.maps.push(map.at + 1);
  running.mapStacks.push(stackSites(live.stack));
}
/** The end of what {@link lockMapAcquire} began. Not a step. */
export function lockMapRelease(map: Cell): void {
  running.maps.push(-(map.at + 1));
  running.mapStacks.push([]);
}
/** A property of the path itself: if `holds` is false, the run ends here as a violation of `property`. */
export function* claim(holds: boolean, property: string, detail: string): Path {
  if (!holds) yield* request(Op.FAIL, running.system.string(property), running.system.string(detail));
}
