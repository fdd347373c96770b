// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { runOps } from '../../src/cli/ops.js';
import { normalise } from '../../src/litmus/ops-observe.js';

/**
 * Scripts in which each operation stands with its answer, and below what is observed then. The expectations are what the
 * sources of Linux 6.12 say, where the recorded answers don't reach.
 */
const SCRIPTS: Readonly<Record<string, string>> = {
  'dontfork leaves a hole, wipeonfork an empty mapping': `
  autoobs R0 0 3
  P0 mmap R0 3 rw anon => err=0
    P0 R0[0..3): 0:-,d 1:-,d 2:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
  P0 w R0 1 0x11 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
  P0 madvise R0 0 1 dontfork => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
  P0 madvise R0 1 1 wipeonfork => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
  P0 fork P1 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
    P1 R0[0..3): 0:- 1:-,d 2:-,d
  P1 r R0 0 => err=0 sig=11 code=1
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
    P1 R0[0..3): 0:- 1:-,d 2:-,d
  P1 r R0 1 => err=0 val=0x0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
    P1 R0[0..3): 0:- 1:zero,d 2:-,d
  `,

  'a mapping without anonymous pages is not copied: the child faults its pages in': `
  autoobs R0 0 2
  P0 mmap R0 2 rw memfd => err=0
    P0 R0[0..2): 0:-,d 1:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..2): 0:f0,sxd,m1,MB 1:-,d
  P0 fork P1 => err=0
    P0 R0[0..2): 0:f0,sxd,m1,MB 1:-,d
    P1 R0[0..2): 0:-,d 1:-,d
  P1 r R0 1 => err=0 val=0x0
    P0 R0[0..2): 0:f0,sd,m2,MB 1:-,d
    P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sxd,m1,MB
  P1 w R0 0 0x20 => err=0
    P0 R0[0..2): 0:f0,sd,m2,MB 1:-,d
    P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sxd,m1,MB
  P0 r R0 0 => err=0 val=0x20
    P0 R0[0..2): 0:f0,sd,m2,MB 1:-,d
    P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sxd,m1,MB
  `,

  'the child of who has pinned a page gets a copy at once': `
  autoobs R0 0 1
  P0 mmap R0 1 rw anon => err=0
    P0 R0[0..1): 0:-,d
  P0 pin R0 0 1 1 => err=0
    P0 R0[0..1): 0:f0,xd,m1,AMB
  P0 fork P1 => err=0
    P0 R0[0..1): 0:f0,xd,m1,AMB
    P1 R0[0..1): 0:f1,xd,m1,AMB
  P0 w R0 0 0x30 => err=0
    P0 R0[0..1): 0:f0,xd,m1,AMB
    P1 R0[0..1): 0:f1,xd,m1,AMB
  P0 pinread 1 => err=0 data=30
    P0 R0[0..1): 0:f0,xd,m1,AMB
    P1 R0[0..1): 0:f1,xd,m1,AMB
  `,

  'a long pin for reading takes no shared page, no zero page, no page of the file of a private mapping': `
  autoobs R0 0 2
  P0 mmap R0 2 rw privfile => err=0
    P0 R0[0..2): 0:-,d 1:-,d
  P0 r R0 0 => err=0 val=0x0
    P0 R0[0..2): 0:f0,sxd,m1,MB 1:-,d
  P0 w R0 1 0x11 => err=0
    P0 R0[0..2): 0:f0,sxd,m1,MB 1:f1,xd,m1,AMB
  P0 fork P1 => err=0
    P0 R0[0..2): 0:f0,sd,m2,MB 1:f1,d,m2,AMB
    P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,d,m2,AMB
  P0 pin R0 0 2 0 => err=0
    P0 R0[0..2): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB
    P1 R0[0..2): 0:f2,sxd,m1,MB 1:f3,xd,m1,AMB
  P0 w R0 0 0x20 => err=0
    P0 R0[0..2): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB
    P1 R0[0..2): 0:f2,sxd,m1,MB 1:f3,xd,m1,AMB
  P0 pinread 2 => err=0 data=20,11
    P0 R0[0..2): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB
    P1 R0[0..2): 0:f2,sxd,m1,MB 1:f3,xd,m1,AMB
  `,

  'what is pinned outlives the mapping, and its process if another has the file open': `
  P0 mmap R0 2 rw anon => err=0
  P0 unpin => err=9
  P0 pin R0 1 2 0 => err=14
  P0 pin R0 1 1 0 => err=0
  P0 w R0 1 0x11 => err=0
  P0 pin R0 0 1 0 => err=22
  P0 fork P1 => err=0
  P0 munmap R0 0 2 => err=0
  P0 exit => err=0
  P1 pinread 2 => err=0 data=11,0
  P1 unpin => err=0
  P1 pinread 1 => err=22
  `,

  'mremap() moves within one VMA: what mprotect() split it joins again, but not in a child, whose halves have anon_vmas of their own': `
  P0 mmap R0 4 rw anon => err=0
  P0 w R0 0 0x10 => err=0
  P0 mprotect R0 1 1 r => err=0
  P0 mremap R0 0 2 R1 0 => err=14
  P0 mprotect R0 1 1 rw => err=0
  P0 mremap R0 0 2 R1 0 => err=0
  P0 r R1 0 => err=0 val=0x10
  P0 r R0 0 => err=0 sig=11 code=1
  P0 w R0 2 0x12 => err=0
  P0 mprotect R0 3 1 r => err=0
  P0 fork P1 => err=0
  P0 mprotect R0 3 1 rw => err=0
  P0 mremap R0 2 2 R2 0 => err=0
  P1 mprotect R0 3 1 rw => err=0
  P1 mremap R0 2 2 R2 0 => err=14
  `,

  'a VMA that came from a fork does not take a new neighbour in': `
  P0 mmap R0 2 rw anon => err=0
  P0 w R0 0 0x10 => err=0
  P0 munmap R0 1 1 => err=0
  P0 fork P1 => err=0
  P0 mremap R0 0 1 R1 0 => err=0
  P0 mremap R1 0 1 R0 0 => err=0
  P1 mremap R0 0 2 R1 0 => err=14
  `,

  'madvise() passes over holes, mprotect() stops at them, mlock() too': `
  autoobs R0 0 3
  P0 mmap R0 3 rw anon => err=0
    P0 R0[0..3): 0:-,d 1:-,d 2:-,d
  P0 madvise R0 0 3 populate_write => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:f2,xd,m1,AMB
  P0 munmap R0 1 1 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:- 2:f1,xd,m1,AMB
  P0 mprotect R0 0 3 r => err=12
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:- 2:f1,xd,m1,AMB
  P0 w R0 0 0x10 => err=0 sig=11 code=2
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:- 2:f1,xd,m1,AMB
  P0 w R0 2 0x12 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:- 2:f1,xd,m1,AMB
  P0 mlock R0 0 3 1 => err=12
    P0 R0[0..3): 0:f0,xd,m1,AMBU 1:- 2:f1,xd,m1,AMB
  P0 madvise R0 0 3 dontneed => err=22
    P0 R0[0..3): 0:f0,xd,m1,AMBU 1:- 2:f1,xd,m1,AMB
  P0 madvise R0 0 3 dontneed_locked => err=12
    P0 R0[0..3): 0:-,d 1:- 2:-,d
  P0 madvise R0 0 3 populate_read => err=12
    P0 R0[0..3): 0:zero,d 1:- 2:-,d
  P0 madvise R0 0 1 populate_write => err=22
    P0 R0[0..3): 0:zero,d 1:- 2:-,d
  `,

  'a page goes to swap and comes back; lazyfree pages are gone': `
  autoobs R0 0 3
  P0 mmap R0 3 rw anon => err=0
    P0 R0[0..3): 0:-,d 1:-,d 2:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
  P0 w R0 1 0x11 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
  P0 madvise R0 1 1 free => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:f1,xd,m1,AMB 2:-,d
  P0 madvise R0 0 3 pageout => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
  P0 fork P1 => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
    P1 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
  P1 w R0 0 0x20 => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
    P1 R0[0..3): 0:f1,xd,m1,AMB 1:-,d 2:-,d
  P0 r R0 0 => err=0 val=0x10
    P0 R0[0..3): 0:f0,xd,m1,AMCB 1:-,d 2:-,d
    P1 R0[0..3): 0:f1,xd,m1,AMB 1:-,d 2:-,d
  `,

  'what madvise() writes out while it still has VMAs to go over stays in the swap cache, zeroes do not': `
  autoobs R0 0 3
  P0 mmap R0 3 rw anon => err=0
    P0 R0[0..3): 0:-,d 1:-,d 2:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
  P0 madvise R0 2 1 dontfork => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
  P0 madvise R0 0 2 pageout => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
  P0 w R0 0 0x20 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
  P0 madvise R0 0 3 pageout => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
  P0 w R0 0 0x30 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMCB 1:-,d 2:-,d
  P0 fork P1 => err=0
    P0 R0[0..3): 0:f0,d,m2,AMCB 1:-,d 2:-,d
    P1 R0[0..3): 0:f0,d,m2,AMCB 1:-,d 2:-
  P0 w R0 0 0 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
    P1 R0[0..3): 0:f1,xd,m1,AMCB 1:-,d 2:-
  P0 madvise R0 0 3 pageout => err=0
    P0 R0[0..3): 0:SWAP(f0),d 1:-,d 2:-,d
    P1 R0[0..3): 0:f1,xd,m1,AMCB 1:-,d 2:-
  P0 w R0 0 0x40 => err=0
    P0 R0[0..3): 0:f0,xd,m1,AMB 1:-,d 2:-,d
    P1 R0[0..3): 0:f1,xd,m1,AMCB 1:-,d 2:-
  `,

  'a page that somebody maps stays in the swap cache when the last swap entry goes': `
  autoobs R0 0 1
  P0 mmap R0 1 rw anon => err=0
    P0 R0[0..1): 0:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..1): 0:f0,xd,m1,AMB
  P0 madvise R0 0 1 pageout => err=0
    P0 R0[0..1): 0:SWAP(f0),d
  P0 fork P1 => err=0
    P0 R0[0..1): 0:SWAP(f0),d
    P1 R0[0..1): 0:SWAP(f0),d
  P0 r R0 0 => err=0 val=0x10
    P0 R0[0..1): 0:f0,xd,m1,AMCB
    P1 R0[0..1): 0:SWAP(f1),d
  P1 exit => err=0
    P0 R0[0..1): 0:f0,xd,m1,AMCB
  P0 madvise R0 0 1 dontneed => err=0
    P0 R0[0..1): 0:-,d
  `,

  'a page of a file goes to swap as well, for all who map it later': `
  autoobs R0 0 1
  P0 mmap R0 1 rw shared => err=0
    P0 R0[0..1): 0:-,d
  P0 w R0 0 0x10 => err=0
    P0 R0[0..1): 0:f0,sxd,m1,MB
  P0 fork P1 => err=0
    P0 R0[0..1): 0:f0,sxd,m1,MB
    P1 R0[0..1): 0:-,d
  P1 r R0 0 => err=0 val=0x10
    P0 R0[0..1): 0:f0,sd,m2,MB
    P1 R0[0..1): 0:f0,sd,m2,MB
  P1 madvise R0 0 1 pageout => err=0
    P0 R0[0..1): 0:f0,sd,m2,MB
    P1 R0[0..1): 0:f0,sd,m2,MB
  P1 munmap R0 0 1 => err=0
    P0 R0[0..1): 0:f0,sxd,m1,MB
    P1 R0[0..1): 0:-
  P0 madvise R0 0 1 pageout => err=0
    P0 R0[0..1): 0:-,d
    P1 R0[0..1): 0:-
  P0 r R0 0 => err=0 val=0x10
    P0 R0[0..1): 0:f0,sxd,m1,MB
    P1 R0[0..1): 0:-
  `,

  'remove punches a hole for all who map the file, but not for who has a copy or a pin': `
    autoobs R0 0 2
    P0 mmap R0 2 rw memfd => err=0
      P0 R0[0..2): 0:-,d 1:-,d
    P0 w R0 0 0x10 => err=0
      P0 R0[0..2): 0:f0,sxd,m1,MB 1:-,d
    P0 w R0 1 0x11 => err=0
      P0 R0[0..2): 0:f0,sxd,m1,MB 1:f1,sxd,m1,MB
    P0 fork P1 => err=0
      P0 R0[0..2): 0:f0,sxd,m1,MB 1:f1,sxd,m1,MB
      P1 R0[0..2): 0:-,d 1:-,d
    P1 r R0 0 => err=0 val=0x10
      P0 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
      P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
    P1 pin R0 0 1 1 => err=0
      P0 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
      P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
    P0 madvise R0 0 1 remove => err=0
      P0 R0[0..2): 0:-,d 1:f0,sd,m2,MB
      P1 R0[0..2): 0:-,d 1:f0,sd,m2,MB
    P0 w R0 0 0x20 => err=0
      P0 R0[0..2): 0:f0,sxd,m1,MB 1:f1,sd,m2,MB
      P1 R0[0..2): 0:-,d 1:f1,sd,m2,MB
    P1 pinread 1 => err=0 data=10
      P0 R0[0..2): 0:f0,sxd,m1,MB 1:f1,sd,m2,MB
      P1 R0[0..2): 0:-,d 1:f1,sd,m2,MB
    P1 r R0 0 => err=0 val=0x20
      P0 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
      P1 R0[0..2): 0:f0,sd,m2,MB 1:f1,sd,m2,MB
  `,

  'two devices: each sees its own memory only, and takes a page of the other by way of RAM': `
    P0 mmap R0 2 rw anon => err=0
    P0 w R0 0 0x10 => err=0
    P0 dread 0 R0 0 1 => err=9 cpages=0 faults=0
    P0 open 0 => err=0
    P0 open 1 => err=0
    P0 close 2 => err=9
    P0 todev 0 R0 0 1 => err=0 cpages=1 faults=0 data=10
    P0 todev 1 R0 1 1 => err=0 cpages=1 faults=0 data=0
    P0 snap 0 R0 0 2 => err=0 cpages=2 faults=0 snap=22,00
    P0 snap 1 R0 0 2 => err=0 cpages=2 faults=0 snap=00,22
    P0 tosys 1 R0 0 2 => err=0 cpages=1 faults=0
    P0 dread 1 R0 0 1 => err=0 cpages=1 faults=1 data=10
    P0 snap 0 R0 0 2 => err=0 cpages=2 faults=0 snap=02,02
    P0 todev 0 R0 0 0 => err=22 cpages=0 faults=0
    P0 todev 0 R0 1 2 => err=22 cpages=0 faults=0
    P0 munmap R0 0 2 => err=0
    P0 snap 0 R0 0 2 => err=0 cpages=2 faults=0 snap=ff,ff
    P0 dread 0 R0 0 1 => err=14 cpages=0 faults=0
  `,

  'coherent memory is mapped by CPUs as any other; a longterm pin brings it back': `
    autoobs R0 0 1
    P0 mmap R0 1 rw anon => err=0
      P0 R0[0..1): 0:-,d
    P0 open 2 => err=0
      P0 R0[0..1): 0:-,d
    P0 w R0 0 0x10 => err=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 todev 2 R0 0 1 => err=0 cpages=1 faults=0 data=10
      P0 R0[0..1): 0:f0,xd,m0,
    P0 snap 2 R0 0 1 => err=0 cpages=1 faults=0 snap=42
      P0 R0[0..1): 0:f0,xd,m0,
    P0 w R0 0 0x11 => err=0
      P0 R0[0..1): 0:f0,xd,m0,
    P0 dread 2 R0 0 1 => err=0 cpages=1 faults=0 data=11
      P0 R0[0..1): 0:f0,xd,m0,
    P0 pin R0 0 1 1 => err=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 snap 2 R0 0 1 => err=0 cpages=1 faults=0 snap=02
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 pinread 1 => err=0 data=11
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 todev 2 R0 0 1 => err=2 cpages=0 faults=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
  `,

  'RELEASE takes the memory from the device, until it is needed again': `
    autoobs R0 0 1
    P0 mmap R0 1 rw anon => err=0
      P0 R0[0..1): 0:-,d
    P0 open 0 => err=0
      P0 R0[0..1): 0:-,d
    P0 dwrite 0 R0 0 1 0x10 => err=0 cpages=1 faults=1
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 todev 0 R0 0 1 => err=0 cpages=1 faults=0 data=10
      P0 R0[0..1): 0:DEVW(f0),d
    P0 release 0 R0 0 1 => err=0 cpages=0 faults=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 todev 0 R0 0 1 => err=0 cpages=1 faults=0 data=10
      P0 R0[0..1): 0:DEVW(f0),d
    P0 close 0 => err=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 r R0 0 => err=0 val=0x10
      P0 R0[0..1): 0:f0,xd,m1,AMB
  `,

  'a locked page goes to device memory and leaves it, in the last page of the last region as well': `
    P0 mmap R15 64 rw anon => err=0
    P0 open 0 => err=0
    P0 dwrite 0 R15 62 2 0x10 => err=0 cpages=2 faults=1
    P0 mlock R15 63 1 1 => err=0
    P0 todev 0 R15 62 2 => err=0 cpages=2 faults=0 data=10,11
    P0 release 0 R15 0 1 => err=0 cpages=0 faults=0
    P0 r R15 63 => err=0 val=0x11
    P0 w R15 63 0x12 => err=0
    P0 excl 0 R15 63 1 => err=0 cpages=1 faults=0 data=12
    P0 chkexcl 0 R15 62 2 => err=1 cpages=0 faults=0
    P0 r R15 63 => err=0 val=0x12
    P0 chkexcl 0 R15 62 2 => err=0 cpages=0 faults=0
  `,

  'a page that came from swap and is exclusive leaves its place in the swap cache behind, for reclaim': `
    autoobs R0 0 1
    P0 mmap R0 1 rw anon => err=0
      P0 R0[0..1): 0:-,d
    P0 open 0 => err=0
      P0 R0[0..1): 0:-,d
    P0 w R0 0 0x10 => err=0
      P0 R0[0..1): 0:f0,xd,m1,AMB
    P0 madvise R0 0 1 pageout => err=0
      P0 R0[0..1): 0:SWAP(f0),d
    P0 r R0 0 => err=0 val=0x10
      P0 R0[0..1): 0:f0,xd,m1,AMCB
    P0 excl 0 R0 0 1 => err=0 cpages=1 faults=0 data=10
      P0 R0[0..1): 0:EXCLW(f0),d
  `,

  'a mirror is that of the process that opened the file; when that is gone, nothing can be mirrored': `
    P0 mmap R0 1 rw anon => err=0
    P0 fork P1 => err=0
    P1 open 0 => err=0
    P1 w R0 0 0x11 => err=0
    P1 fork P2 => err=0
    P2 w R0 0 0x12 => err=0
    P2 dread 0 R0 0 1 => err=0 cpages=1 faults=1 data=11
    P1 exit => err=0
    P2 dread 0 R0 0 1 => err=14 cpages=0 faults=0
    P2 dwrite 0 R0 0 1 1 => err=14 cpages=0 faults=0
    P2 todev 0 R0 0 1 => err=22 cpages=0 faults=0
    P2 tosys 0 R0 0 1 => err=22 cpages=0 faults=0
    P2 excl 0 R0 0 1 => err=22 cpages=0 faults=0
    P2 snap 0 R0 0 1 => err=22 cpages=0 faults=0
    P2 chkexcl 0 R0 0 1 => err=0 cpages=0 faults=0
    P0 fork P1 => err=0
    P1 r R0 0 => err=0 val=0x0
    P1 dread 0 R0 0 1 => err=9 cpages=0 faults=0
    P1 open 0 => err=0
    P1 w R0 0 0x13 => err=0
    P1 dread 0 R0 0 1 => err=0 cpages=1 faults=1 data=13
    P2 dread 0 R0 0 1 => err=14 cpages=0 faults=0
    P2 close 0 => err=0
    P2 dread 0 R0 0 1 => err=9 cpages=0 faults=0
  `,

  'what a snapshot wrote into the buffer, the next one to look at it sees': `
    P0 mmap R0 2 rw anon => err=0
    P0 open 0 => err=0
    P0 dwrite 0 R0 0 2 0x1122334455667788 => err=0 cpages=2 faults=1
    P0 snap 0 R0 0 2 => err=0 cpages=2 faults=0 snap=02,02
    P0 pin R0 1 1 1 => err=0
    P0 unpin => err=0
    P0 pin R0 0 1 1 => err=0
    P0 pinread 2 => err=0 data=1122334455667788,1122334455667789
    P0 snap 0 R0 0 2 => err=0 cpages=2 faults=0 snap=02,02
    P0 dread 0 R0 1 1 => err=0 cpages=1 faults=0 data=1122334455667789
  `,
};

test.each(Object.entries(SCRIPTS))('%s', (_title, script) => {
  const expected = script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const operations = expected
    .filter((line) => !/^P\d R\d\[/.test(line))
    .map((line) => line.split(' => ')[0]!);
  const { lines, broken } = runOps(operations.join('\n'), 'test');
  expect(broken).toBeUndefined();
  expect(normalise(lines).map((line) => line.replace(/^> /, '').trim())).toEqual(
    expected.filter((line) => !line.startsWith('autoobs')),
  );
});

test('an invariant that is broken ends the run, with the line', () => {
  const { lines, broken } = runOps('P0 mmap R0 1 rw anon\nP0 w R0 0 1\nP0 fork P1\nP0 r R0 0\n', 'test', {
    knobs: { 'fork.flush_tlb': 'off' },
  });
  expect(broken).toMatch(/^test:3: TLB-PERM: /);
  expect(lines).toHaveLength(2);
});

test.each([
  [
    'the RAM that stands for a device-private page is not what the driver enters',
    { 'test_hmm.backing_page': 'not-entered' },
    'P0 open 0\nP0 mmap R0 1 rw anon\nP0 w R0 0 1\nP0 todev 0 R0 0 1\nP0 dread 0 R0 0 1\nP0 fork P1\nP0 dread 0 R0 0 1\n',
    /^test:7: (SPTE-COHERENT|BUG-ON): /,
  ],
  [
    "a CPU of another process brings a page back, and that process's own mirror of the device is not told",
    {},
    'P0 mmap R0 1 rw anon\nP0 w R0 0 1\nP0 open 0\nP0 todev 0 R0 0 1\nP0 fork P1\nP1 open 0\nP1 dread 0 R0 0 1\nP1 r R0 0\n',
    /^test:8: SPTE-COHERENT: /,
  ],
] as const)('what is wrong with the driver of 6.12: %s', (_, knobs, script, property) => {
  expect(runOps(script, 'test', { knobs }).broken).toMatch(property);
});
