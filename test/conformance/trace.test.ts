// SPDX-License-Identifier: MIT
import { afterEach, expect, test } from 'vitest';
import type { Golden } from '../../conformance/golden.js';
import { differenceIn } from '../../conformance/replay.js';
import { MMU_NOTIFY } from '../../src/linux/include/mmu_notifier.js';
import { leaveNothingOut, leaveOut } from '../mutants/leave-out.js';

/** What Linux 6.12 answers, with what notifiers are told: every function of the model that tells them has its turn. */
const RECORDED = `> P0 mmap R0 8 rw anon => err=0
> P0 mmap R1 4 rw shared => err=0
> P0 open 0 => err=0
> P0 madvise R0 0 8 populate_write => err=0
> P0 madvise R1 0 4 populate_write => err=0
> P0 fork P1 => err=0
  P0 notify R0[0..8) PROTECTION_PAGE
> P0 w R0 0 0x10 => err=0
  P0 notify R0[0..1) CLEAR
> P0 madvise R0 1 1 dontneed => err=0
  P0 notify R0[1..2) CLEAR
> P0 madvise R0 2 2 free => err=0
  P0 notify R0[2..4) CLEAR
> P0 mprotect R0 0 4 r => err=0
  P0 notify R0[0..4) PROTECTION_VMA
> P0 mprotect R0 0 4 rw => err=0
  P0 notify R0[0..4) PROTECTION_VMA
> P0 mremap R0 2 2 R0 4 => err=0
  P0 notify R0[4..6) UNMAP
  P0 notify R0[2..4) UNMAP
  P0 notify R0[2..4) UNMAP
> P0 w R0 6 0x20 => err=0
  P0 notify R0[6..7) CLEAR
> P0 madvise R0 6 1 pageout => err=0
  P0 notify R0[6..7) CLEAR
> P0 todev 0 R0 4 2 => err=0 cpages=2 faults=0 data=0,0
  P0 notify R0[4..6) MIGRATE
> P0 r R0 4 => err=0 val=0x0
  P0 notify R0[4..5) MIGRATE
> P0 release 0 R0 5 1 => err=0 cpages=0 faults=0
  P0 notify R0[5..6) CLEAR
> P0 excl 0 R0 0 1 => err=0 cpages=1 faults=0 data=10
  P0 notify R0[0..1) EXCLUSIVE
> P0 w R0 0 0x30 => err=0
  P0 notify R0[0..1) EXCLUSIVE
> P0 madvise R1 1 2 remove => err=0
  P0 notify R1[1..3) CLEAR
> P0 munmap R0 0 8 => err=0
  P0 notify R0[0..8) UNMAP`;

const recording = (answer: readonly string[]): Golden => ({
  name: 'trace',
  head: {
    kernel: 'Linux version 6.12.117',
    config: '',
    seed: '',
    mix: '',
    operations: '',
    trace: 'notifiers',
    date: '2026-11-20',
  },
  script: answer.flatMap((line) => /^> (.*) => /.exec(line)?.[1] ?? []).join('\n'),
  answer,
});
const golden = recording(RECORDED.split('\n'));
const EVENTS = { ...MMU_NOTIFY };

afterEach(() => {
  leaveNothingOut();
  Object.assign(MMU_NOTIFY, EVENTS);
});

const PLAINLY = { judged: 'never', retries: false } as const;
const difference = (): string | undefined => differenceIn(golden, PLAINLY);

/** What the kernel is told and the model does not tell. */
function missing(): string[] {
  const [, real = '', model = ''] = (difference() ?? '').split(/^the (?:real kernel|model):$/m);
  const told = model.split('\n');
  return real.split('\n').filter((line) => line.includes(' notify ') && !told.includes(line));
}

test('the model tells notifiers what the kernel tells them', () => {
  expect(difference()).toBeUndefined();
});

test.each([
  [
    'a page that was touched twice waits in a batch with a reference: a store copies it',
    `> P0 mmap R0 3 rw anon => err=0
> P0 madvise R0 0 3 populate_write => err=0
> P0 open 0 => err=0
> P0 excl 0 R0 2 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[2..3) EXCLUSIVE
> P0 fork P1 => err=0
  P0 notify R0[0..3) PROTECTION_PAGE
> P1 w R0 2 0x1 => err=0
> P1 excl 0 R0 2 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[2..3) CLEAR
  P0 notify R0[2..3) EXCLUSIVE`,
  ],
  [
    'mprotect() tells notifiers from the first PMD table on, page table or not',
    `> P0 open 0 => err=0
> P0 mmap R0 1 rw anon => err=0
> P0 mmap R1 2 rw anon => err=0
> P0 mmap R4 1 rw anon => err=0
> P0 mprotect R1 0 1 r => err=0
> P0 w R0 0 0x10 => err=0
> P0 mprotect R1 0 1 n => err=0
  P0 notify R1[0..1) PROTECTION_VMA
> P0 mprotect R4 0 1 r => err=0
> P0 munmap R0 0 1 => err=0
  P0 notify R0[0..1) UNMAP
> P0 mprotect R1 0 2 rw => err=0
  P0 notify R1[0..1) PROTECTION_VMA
> P0 munmap R1 0 2 => err=0
  P0 notify R1[0..2) UNMAP
> P0 mmap R1 1 rw anon => err=0
> P0 mprotect R1 0 1 r => err=0`,
  ],
  [
    'a hole is punched in each mapping of its pages, of all processes',
    `> P0 open 0 => err=0
> P0 mmap R0 4 rw shared => err=0
> P0 madvise R0 0 4 populate_write => err=0
> P0 fork P1 => err=0
> P1 open 0 => err=0
> P1 mremap R0 1 2 R2 0 => err=0
  P1 notify R0[1..3) UNMAP
  P1 notify R0[1..3) UNMAP
> P0 madvise R0 0 3 remove => err=0
  P0 notify R0[0..3) CLEAR
  P1 notify R0[0..1) CLEAR
  P1 notify R2[0..2) CLEAR`,
  ],
  [
    'device memory is evicted in the order of its frames, and which is taken first the list of free pages says',
    `> P0 open 0 => err=0
> P0 mmap R0 4 rw anon => err=0
> P0 madvise R0 0 4 populate_write => err=0
> P0 todev 0 R0 2 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[2..3) MIGRATE
> P0 todev 0 R0 0 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[0..1) MIGRATE
> P0 todev 0 R0 3 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[3..4) MIGRATE
> P0 todev 0 R0 1 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[1..2) MIGRATE
> P0 r R0 0 => err=0 val=0x0
  P0 notify R0[0..1) MIGRATE
> P0 todev 0 R0 0 1 => err=0 cpages=1 faults=0 data=0
  P0 notify R0[0..1) MIGRATE
> P0 close 0 => err=0
  P0 notify R0[1..2) CLEAR
  P0 notify R0[3..4) CLEAR
  P0 notify R0[0..1) CLEAR
  P0 notify R0[2..3) CLEAR`,
  ],
])('as recorded: %s', (_, text) => {
  expect(differenceIn(recording(text.split('\n')), PLAINLY)).toBeUndefined();
});

test.each([
  ['mm/memory-fork.ts copy_page_range', 'R0[0..8) PROTECTION_PAGE'],
  ['mm/memory-wp.ts wp_page_copy', 'R0[0..1) CLEAR'],
  ['mm/memory.ts zap_page_range_single', 'R0[1..2) CLEAR'],
  ['mm/madvise.ts madvise_free_single_vma', 'R0[2..4) CLEAR'],
  ['mm/mprotect.ts change_protection', 'R0[0..4) PROTECTION_VMA'],
  ['mm/memory.ts unmap_vmas', 'R0[4..6) UNMAP'],
  ['mm/rmap-unmap.ts try_to_unmap_one', 'R0[6..7) CLEAR'],
  ['mm/migrate_device-collect.ts migrate_vma_collect', 'R0[4..6) MIGRATE'],
  ['mm/rmap-migrate.ts try_to_migrate_one', 'R0[5..6) CLEAR'],
  ['mm/rmap-exclusive.ts startMakeRange', 'R0[0..1) EXCLUSIVE'],
  ['mm/memory-exclusive.ts remove_device_exclusive_entry', 'R0[0..1) EXCLUSIVE'],
])('%s tells nobody: noticed', (where, range) => {
  leaveOut(`${where} mmu_notifier_invalidate_range_start#1`);
  expect(missing()).toEqual([`  P0 notify ${range}`]);
});

test('move_page_tables() tells nobody: one of two equal ranges is noticed', () => {
  leaveOut('mm/mremap.ts move_page_tables mmu_notifier_invalidate_range_start#1');
  expect(difference()).toMatch(/^> P0 mremap /m);
});

test.each([
  ['CLEAR', 'UNMAP', 'R0[0..1) CLEAR'],
  ['PROTECTION_VMA', 'PROTECTION_PAGE', 'R0[0..4) PROTECTION_VMA'],
  ['MIGRATE', 'CLEAR', 'R0[4..6) MIGRATE'],
  ['EXCLUSIVE', 'CLEAR', 'R0[0..1) EXCLUSIVE'],
] as const)('%s is told as %s: noticed', (event, instead, range) => {
  Object.assign(MMU_NOTIFY, { [event]: EVENTS[instead] });
  expect(missing()).toEqual([`  P0 notify ${range}`]);
});
