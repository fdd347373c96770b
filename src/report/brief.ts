// SPDX-License-Identifier: MIT
/** What a diagram leaves out when it gets longer than a mail wants it: the steps that say least go first. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { isLook } from './looks.js';
import { alwaysMatters } from './words.js';

/** How many times a diagram can be made briefer; the last time it does not say which locks are held. */
export const LEVELS = 5;

/** Says of a step whether a diagram can do without it. */
export type Dispensable = (step: TraceLine) => boolean;

/**
 * Ever more of what goes. First what a kernel developer takes for granted: interrupts of a shoot-down, page tables that
 * are made, the walk of the interval tree, in a deadlock locks that are free again. Then counts; then looks; at last all but entries, contents, what is allocated
 * and freed, and locks that were not to be had. What `kept` says stays in any case.
 */
export function tiers(trace: Trace, kept: (step: TraceLine) => boolean): Dispensable[] {
  const types = (step: TraceLine): string[] => step.changes.map(({ cell }) => trace.cells[cell]?.type ?? '');
  const tables = new Set(
    trace.steps.flatMap(({ changes }) =>
      changes.flatMap(({ to }) => {
        const table = /^table (f\d+)$/.exec(to)?.[1];
        return table === undefined ? [] : [table];
      }),
    ),
  );
  const makesTable = (step: TraceLine): boolean =>
    step.changes.some(({ from, to }) => from === 'none' && to.startsWith('table ')) ||
    (step.text !== undefined && tables.has(/^alloc_page\(\) = (f\d+)$/.exec(step.text)?.[1] ?? ''));
  const locks: Dispensable = ({ changes }) =>
    trace.deadlock !== undefined &&
    changes.length > 0 &&
    changes.every(({ cell }) => trace.cells[cell]?.lock !== undefined);
  const granted: Dispensable = (step) =>
    makesTable(step) ||
    locks(step) ||
    (step.text !== undefined &&
      /^(IPI |interval_tree_|this CPU's TLB|all TLBs|.*\.invalidate_seq )/.test(step.text)) ||
    (isLook(step) && step.cell?.endsWith('.invalidate_seq') === true);
  const counts: Dispensable = (step) =>
    step.text === undefined && step.changes.length > 0 && types(step).every((type) => type === 'refcount');
  const looks: Dispensable = (step) => isLook(step);
  const details: Dispensable = (step) =>
    step.text === undefined &&
    step.op !== 'trylock' &&
    !step.changes.some(({ cell }) => alwaysMatters(trace, cell) && trace.cells[cell]?.type !== 'refcount');
  const all: Dispensable[] = [granted, counts, looks, details, () => false];
  return all.map((_, last) => (step) => !kept(step) && all.slice(0, last + 1).some((each) => each(step)));
}
