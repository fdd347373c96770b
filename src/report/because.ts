// SPDX-License-Identifier: MIT
/** One or two sentences on why a run is wrong. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { hostsOf } from './hosts.js';
import { isTold } from './loud.js';
import type { Race } from './racing.js';
import type { Hinge } from './rounds.js';
import { listed } from './text.js';
import { cycleText } from './waits.js';
import { alwaysMatters, cellName, effects, sawThere, waitsFor } from './words.js';

/** What each property promises. Completes "<property>: …". */
export const PROMISES: Readonly<Record<string, string>> = {
  'TLB-LIVE': 'a page is given away only when no TLB entry names it any more',
  'TLB-PERM': 'once the flush is relied upon, no TLB entry allows more than its PTE',
  'FRAME-REUSE': 'a page is handed out only when no PTE, TLB, device entry or pin names it',
  'PTE-TABLE': 'a frame is mapped as anonymous or as file memory, never as both',
  'REF-SUM': 'the count of a page is the sum of its users, and never rises from 0',
  'REF-BALANCE': 'at the end every reference that was taken has been dropped, once',
  'MAP-SUM': 'the mapcount of a page is the number of its mappings',
  'RSS-SUM': 'the counters of an mm are the numbers of its entries',
  'ANON-EXCL': 'a writable anonymous PTE means that the page belongs to this process alone',
  'COW-ISO': 'after fork, a private store of one process is never seen by the other',
  'PIN-RIGHT':
    'at some instant of the call the address must map the page while its reference is already held',
  'PIN-WEAK':
    'the page must be mapped there during the call, and must not be freed before the reference is taken',
  'PIN-PERM': 'the reference is taken before the permission is taken away for good',
  'PIN-VALID': 'a pinned page stays the one that the owner sees at its address, and is not freed',
  EXCL: 'while a device has atomic access, no CPU and no other device may reach the page',
  OWNER: 'a device does atomics at an address on the page that the process has there',
  'SPTE-COHERENT':
    'a device entry names what the CPU PTE names, with no more permission: who changes the PTE has told the device before',
  'ATOMIC-SUM': 'no atomic add of a CPU or a device is lost',
  'EXCL-PRIVATE': 'exclusive entries stand in private mappings only',
  'ATS-COHERENT': 'an IOMMU TLB entry is gone once its flush is relied upon',
  'NOTIFY-ORDER': 'an entry that mirrors can see shrinks only between a start and its end',
  'NOTIFY-BALANCE': 'every start of an invalidation has its end, and invalidate_seq is odd only between them',
  'NOTIFY-RELEASE': 'who is subscribed to an mm when its last user goes is told so',
  'TREE-FROZEN': 'the interval tree is not edited while somebody walks it',
  'LIST-CORRUPT': 'what is linked into a list or tree is on none, and what is taken out is in it',
  'PROGRAM-ORDER': 'a call sees what the calls before it in this thread have done',
  'SUB-LIFE': 'nothing touches a subscription after its removal returned',
  'DRIVER-LIVE': 'nothing touches what a driver has freed, or executes it after it was unloaded',
  'MM-LIFE': 'nothing touches an mm after its last reference went',
  'META-ALIVE': 'nothing touches a struct page that is gone',
  'META-FREED': 'nothing touches a struct page after its memory was freed',
  'META-POISONED': 'nothing touches a struct page after it was poisoned',
  'TABLE-ALIVE': 'nobody walks a page table that was freed',
  'NO-TORN': 'an entry that is accepted was the value of the PTE at some instant',
  CTX: 'nothing may sleep in atomic context',
  'LOCK-ORDER': 'locks are always taken in one order',
  'LOCK-HELD': 'the kernel asserts at this place that the lock is held',
  'DATA-RACE': 'of two accesses at once, one of them a write, both must be marked',
  'NO-TOUCH-FREED': 'the lock of a page is taken and dropped only by somebody who keeps it from being freed',
  'LOCK-REF': 'a page is locked only by somebody who holds a reference to it',
  LOCK: 'a lock is released by who holds it, and by the end every lock is',
  EXCLUSION: 'who holds a lock keeps out those it excludes',
  DIRTY: 'a store to a file page is written back',
  'STABLE-PAGE': 'nobody stores to a page while it is being written out',
  MLOCK: 'a page of a locked VMA is locked, and stays where it is',
  HWPOISON: 'a page that is known to be broken is given to nobody',
  SOFTDIRTY: 'no store between clearing and reading escapes the soft-dirty bit',
  UFFDWP: 'no store escapes userfaultfd write protection',
  DATA: 'a load sees the last store to its address',
  'FREE-ONCE': 'a page is freed once, and only while it is allocated',
  'POOL-ONCE': 'a unit of a pool is freed once',
  'PGMAP-LIVE': 'device pages are touched only under a reference to the page or its pgmap',
  'GP-RULE': 'what RCU frees has no reader left that began before it was unlinked',
  PROGRESS: 'with fair scheduling each operation ends',
  DEADLOCK: 'some agent can always go on until all have returned',
  ERRNO: 'what the user sees is one of the allowed results',
};

/** The sentences, without a full stop missing. */
export function because(trace: Trace, race: Race | undefined, hinge?: Hinge): string {
  if (trace.verdict === 'deadlock')
    return `${trace.deadlock === undefined ? circle(trace) : cycleText(trace, trace.deadlock)}.`;
  const sentences: string[] = [];
  if (trace.loop !== undefined)
    sentences.push(`${hinge === undefined ? '' : turn(trace, hinge)}${round(trace, trace.loop)}`);
  else if (race !== undefined) sentences.push(story(trace, race));
  const promise = trace.because ?? PROMISES[trace.property];
  if (promise !== undefined)
    sentences.push(trace.because === undefined ? `${trace.property}: ${promise}` : promise);
  else if (race === undefined && trace.detail !== '') sentences.push(trace.detail);
  return sentences.map((sentence) => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`)).join(' ');
}

function story(trace: Trace, { kind, cell, first, second }: Race): string {
  const name = cellName(trace, cell);
  const hosts = hostsOf(trace);
  const who = ({ agent }: TraceLine): string => trace.agents[hosts[agent]!]!.name;
  if (kind === 'refused')
    return `${who(first)} had taken ${name} at ${first.index}, so ${who(second)} did not get it at ${second.index}`;
  const change = (kind === 'met' ? first : second).changes.find((one) => one.cell === cell)!;
  if (kind === 'stale') {
    const look = `${who(first)} saw ${name} ${what(sawThere(first) ?? change.from)} at ${first.index}`;
    const act = trace.steps.find(
      (step) =>
        step.index > second.index &&
        step.agent === first.agent &&
        (matters(trace, step) || step.writes.includes(cell)),
    );
    const then =
      act === undefined
        ? `${who(first)} went on with what it had seen`
        : `at ${act.index} ${who(first)} still acted on what it had seen (${effects(trace, act)[0] ?? act.op})`;
    return `${look}, ${who(second)} made it ${change.to} at ${second.index}, and ${then}`;
  }
  return `${who(first)} made ${name} ${change.to} at ${first.index}, and step ${second.index} of ${who(second)} came after that`;
}

/** `= 3`, `not 3`. */
const what = (saw: string): string => (/^(not|with|without) /.test(saw) ? saw : `= ${saw}`);

function matters(trace: Trace, { agent, text, changes, fault }: TraceLine): boolean {
  const claimed = trace.pending.some((pending) => pending.agent === agent && pending.op === 'fail');
  if (fault !== undefined && !claimed) return true;
  return text?.startsWith('free ') === true || changes.some(({ cell }) => alwaysMatters(trace, cell));
}

function circle(trace: Trace): string {
  return trace.pending
    .filter((pending) => isTold(trace, pending))
    .map((pending) => `${trace.agents[pending.agent]!.name} ${waitsFor(trace, pending)}`)
    .join('; ');
}

/** Why the round ends where it began. */
function turn(trace: Trace, { cell, before, change, after }: Hinge): string {
  const { to } = change.changes.find((one) => one.cell === cell)!;
  const who = trace.agents[before.agent]!.name;
  return `${who} saw ${cellName(trace, cell)} ${what(sawThere(before)!)} at ${before.index}, itself made it ${to} at ${change.index}, and at ${after.index} finds it changed: `;
}

function round(trace: Trace, loop: number): string {
  const around = [...new Set(trace.steps.slice(loop).map(({ agent }) => trace.agents[agent]!.name))];
  return `steps ${loop + 1} to ${trace.steps.length} repeat for ever, though ${listed(around)} ${around.length === 1 ? 'runs' : 'run'} again and again`;
}
