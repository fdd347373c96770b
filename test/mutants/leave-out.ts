// SPDX-License-Identifier: MIT
/** A statement of the kernel is left out, for a test to see who notices. */
import { live, site, siteCount } from '../../src/core/live.js';
import { withoutLocks } from '../../src/core/mutants.js';

/** File, function and the n-th call of a callee in it, as docs/survivors.json names mutants. */
const sites = new Map<string, number>();
const seen = new Map<string, number>();
let known = 0;

/** The call's number: files are registered when they are imported. */
function siteOf(call: string): number {
  for (; known < siteCount(); known++) {
    const { file, fn, callee } = site(known);
    const each = `${file.replace(/^src\/(linux\/)?/, '')} ${fn} ${callee}`;
    const nth = (seen.get(each) ?? 0) + 1;
    seen.set(each, nth);
    sites.set(`${each}#${nth}`, known);
  }
  const number = sites.get(call);
  if (number === undefined) throw new Error(`expected a call ${call}`);
  return number;
}

/** The call is left out, and answers that; `lock`: the lock that it takes is not taken. */
export type Instead = 'lock' | boolean | number;

export function leaveOut(call: string, instead: Instead = 0): void {
  live.cut = siteOf(call);
  live.cutHit = false;
  live.cuts = 0;
  live.cutValue = instead === 'lock' ? 0 : instead;
  live.mutate = instead === 'lock' ? withoutLocks : undefined;
}

/** Everything is called again. */
export function leaveNothingOut(): void {
  live.cut = -1;
  live.mutate = undefined;
}
