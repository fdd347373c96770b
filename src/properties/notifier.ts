// SPDX-License-Identifier: MIT
import { frameOf, PTE, pteType, showEntry } from '../machine/pte.js';
import { LIFE, type MmuNotifierSubscriptions } from '../linux/include/mmu_notifier.js';
import type { Kernel } from '../linux/kernel.js';
import { cpuEntry, isExclusive, tableCells } from './device.js';
import { isSilenced } from './device-memory.js';

/**
 * The invariants that hold wherever an mm may have notifiers; returns their names. TREE-FROZEN, SUB-LIFE and LIST-CORRUPT
 * are found by the operations: see linux/mm/mmu_notifier.ts.
 */
export function watchNotifiers(kernel: Kernel): string[] {
  const all = kernel.mms.flatMap(({ notifier_subscriptions: each }) => (each === undefined ? [] : [each]));
  if (all.length === 0) return [];
  const silenced = isSilenced(kernel);
  for (const subscriptions of all) {
    balanced(kernel, subscriptions);
    if (subscriptions.wq !== undefined) allReleased(kernel, subscriptions);
    if (subscriptions.mm.freed !== undefined) toldOfRelease(kernel, subscriptions);
    if (!silenced && subscriptions.interval_subs.length > 0) ordered(kernel, subscriptions);
  }
  const freed = kernel.mms.some((mm) => mm.freed !== undefined) ? ['MM-LIFE', 'NOTIFY-RELEASE'] : [];
  return [
    'NOTIFY-BALANCE',
    ...(silenced ? [] : ['NOTIFY-ORDER']),
    'TREE-FROZEN',
    'SUB-LIFE',
    'LIST-CORRUPT',
    ...freed,
  ];
}

/**
 * NOTIFY-BALANCE: ranges end that have begun, no others; invalidate_seq is odd only while one is under way. Who holds the
 * lock may be between the two. At the end: all ranges have ended, and the references on the mm are those of the
 * subscriptions that are left.
 */
function balanced(
  { system }: Kernel,
  {
    mm,
    lock,
    active_invalidate_ranges: active,
    invalidate_seq: seq,
    mm_count,
    ...rest
  }: MmuNotifierSubscriptions,
): void {
  const odd = (): string | undefined =>
    active.value === 0 && (seq.value & 1) !== 0
      ? `${seq.name} is ${seq.value}, and nobody invalidates ${mm.name}`
      : undefined;
  system.invariants.push({
    property: 'NOTIFY-BALANCE',
    when: 'always',
    cells: [active, seq, lock],
    excuses: [lock],
    check: () =>
      active.value < 0 ? `${mm.name}: a range ends that has not begun` : lock.value === 0 ? odd() : undefined,
  });
  system.invariants.push({
    property: 'NOTIFY-BALANCE',
    when: 'end',
    kind: 'leak',
    cells: [],
    check() {
      if (active.value !== 0) return `${active.name} is ${active.value}: a range was begun and not ended`;
      const known = [...rest.interval_subs, ...rest.notifiers].filter(({ life }) => life.value !== 0).length;
      const users = mm.mm_users?.value === 0 ? 0 : 1;
      if (mm_count.value !== users + known)
        return `${mm_count.name} is ${mm_count.value}, ${known} subscriptions are known, and the mm has ${users ? '' : 'no '}users`;
      return odd();
    },
  });
}

/** NOTIFY-RELEASE: at the end, an interval subscription to an mm that is gone has heard so. */
function toldOfRelease({ system }: Kernel, { mm, interval_subs }: MmuNotifierSubscriptions): void {
  system.invariants.push({
    property: 'NOTIFY-RELEASE',
    when: 'end',
    cells: [],
    check() {
      if (mm.mm_users?.value !== 0) return undefined;
      const missed = interval_subs.find(
        ({ life, released }) => life.value !== 0 && released !== undefined && released.value === 0,
      );
      return missed === undefined
        ? undefined
        : `${missed.name} is subscribed to ${mm.name}, which is gone, and was not told of its release`;
    },
  });
}

/** SUB-LIFE, at the end: what was given up for its release to be called has been released. */
function allReleased({ system }: Kernel, { interval_subs }: MmuNotifierSubscriptions): void {
  system.invariants.push({
    property: 'SUB-LIFE',
    when: 'end',
    kind: 'leak',
    cells: [],
    check() {
      const lost = interval_subs.find(({ life }) => life.value === LIFE.PUT);
      return lost === undefined ? undefined : `${lost.name} was given up, and is never released`;
    },
  });
}

/**
 * NOTIFY-ORDER: an entry that a mirror may have copied loses a right, or names another page, only while a range that
 * covers it is under way. Present and exclusive entries may have been copied; the accessed and the dirty bit are no
 * rights, and that a device loses exclusive access is what EXCL is about. Not judged for an mm that has classic subscriptions only.
 */
function ordered(kernel: Kernel, { mm, open, installed, has_itree }: MmuNotifierSubscriptions): void {
  const { system } = kernel;
  const copied = (entry: number): boolean => (entry & PTE.PRESENT) !== 0 || isExclusive(entry);
  /** Ghost: the entries as they were. */
  const before = open.map((_, page) => system.cell(`${mm.name}.entry_before[${page}]`, 0, { type: pteType }));
  /** Ghost: page + 1. */
  const wrong = system.cell(`${mm.name}.changed_behind_mirrors`);
  system.monitors.push({
    cells: [...tableCells(kernel), ...open, ...[installed, has_itree].filter((cell) => cell !== undefined)],
    update(agent) {
      before.forEach((cell, page) => {
        const from = cell.value;
        const to = cpuEntry(kernel, mm, page);
        if (from === to) return;
        system.set(cell.at, to);
        if (
          agent < 0 ||
          !copied(from) ||
          open[page]!.value > 0 ||
          installed?.value === 0 ||
          has_itree?.value === 0
        )
          return;
        const kept = copied(to) && frameOf(to) === frameOf(from) && (isExclusive(from) || !isExclusive(to));
        if (!kept || ((from & PTE.RW) !== 0 && (to & PTE.RW) === 0)) system.set(wrong.at, page + 1);
      });
    },
  });
  system.invariants.push({
    property: 'NOTIFY-ORDER',
    when: 'always',
    cells: [wrong],
    check: () =>
      wrong.value === 0
        ? undefined
        : `${mm.name}: the entry for page ${wrong.value - 1} becomes ${showEntry(before[wrong.value - 1]!.value)}, and no range that covers it is under way`,
  });
}
