// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { VM, type Mm } from '../include/mm_types.js';
import { pageAndWord } from '../../machine/mmu.js';
import { load } from '../../core/primitives.js';
import { current, knob } from '../kernel.js';
import { FAULT_FLAG, handle_mm_fault, VM_FAULT } from '../mm/memory-fault.js';
import { find_vma } from '../mm/mmap.js';

/** What a user access that can't be served ends in. */
export type Signal = 'SIGSEGV' | 'SIGBUS' | 'OOM';

/**
 * The page fault handler: looks the VMA up, checks the access against it, has the fault served.
 * Returns the signal, or undefined if the access may be tried again.
 * @context interrupts on; takes mmap_lock for read
 * @kernel 6.12 arch/x86/mm/fault.c do_user_addr_fault: adapted (no per-VMA lock, no stack growth)
 */
export function* do_user_addr_fault(addr: number, write: boolean): Path<Signal | undefined> {
  const { mm } = current;
  if (knob('fault.mmap_lock') === 'none') {
    const killed = yield* serveFault(mm, addr, write);
    return killed === LOCK_DROPPED ? undefined : killed;
  }
  yield* mmap_read_lock(mm);
  const signal = yield* serveFault(mm, addr, write);
  if (signal === LOCK_DROPPED) return undefined;
  yield* mmap_read_unlock(mm);
  return signal;
}

/** VM_FAULT_RETRY: what the fault waited for is done, and mmap_lock was dropped for it. */
const LOCK_DROPPED = 'retry';

/** do_user_addr_fault(), what is done under the lock. */
function* serveFault(mm: Mm, addr: number, write: boolean): Path<Signal | typeof LOCK_DROPPED | undefined> {
  const vma = yield* find_vma(mm, addr);
  const flags = vma === undefined ? 0 : yield* load(vma.vm_flags);
  if (vma === undefined || (flags & (write ? VM.WRITE : VM.READ)) === 0) return 'SIGSEGV';
  const fault_flags = FAULT_FLAG.ALLOW_RETRY | (write ? FAULT_FLAG.WRITE : 0);
  const fault = yield* handle_mm_fault(mm, vma, addr, fault_flags);
  if (fault & VM_FAULT.RETRY) return LOCK_DROPPED;
  if (fault & VM_FAULT.OOM) return 'OOM';
  if (fault & VM_FAULT.SIGBUS) return 'SIGBUS';
  return fault & VM_FAULT.SIGSEGV ? 'SIGSEGV' : undefined;
}

/** @kernel 6.12 include/uapi/asm-generic/siginfo.h SEGV_*, BUS_*: faithful */
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRERR = 2;

/**
 * The si_code of a SIGSEGV at `addr`: nothing is mapped there, or not for that access.
 * @context takes mmap_lock for read
 * @kernel 6.12 arch/x86/mm/fault.c bad_area, bad_area_access_error: adapted (asked after the signal: nothing was mapped since)
 */
export function* segvCode(mm: Mm, addr: number): Path<number> {
  yield* mmap_read_lock(mm);
  const vma = yield* find_vma(mm, addr);
  yield* mmap_read_unlock(mm);
  return vma === undefined ? SEGV_MAPERR : SEGV_ACCERR;
}

/** A user access of the current process: TLB, then walker, then page fault, until it succeeds or is killed. `access` is the machine's operation, c as there. */
function* userAccess(access: number, addr: number, word: number, c: number): Path<number | Signal> {
  const { machine } = current.kernel;
  const space = current.mm.number;
  for (;;) {
    const hit = yield* request(access, space, pageAndWord(addr, word), c);
    if (hit !== 0) return hit - 1;
    if ((yield* request(machine.op.walk, space, addr, c === 0 ? 0 : 1)) !== 0) continue;
    const signal = yield* do_user_addr_fault(addr, c !== 0);
    if (signal !== undefined) return signal;
  }
}

/** The current process loads from a page: returns its contents (0 where the machine has none), or the signal it dies of. @context user mode */
export function* userLoad(addr: number, word = 0): Path<number | Signal> {
  return yield* userAccess(current.kernel.machine.op.access, addr, word, 0);
}

/** The current process stores to a page. Returns the signal it dies of, or undefined. @context user mode */
export function* userStore(addr: number, value = 0, word = 0): Path<Signal | undefined> {
  const result = yield* userAccess(current.kernel.machine.op.access, addr, word, value + 1);
  return typeof result === 'string' ? result : undefined;
}

/** The current process adds to a page with a locked operation: one step. Returns what was there before, or the signal it dies of. @context user mode */
export function* userAdd(addr: number, delta = 1): Path<number | Signal> {
  return yield* userAccess(current.kernel.machine.op.accessAdd, addr, 0, delta);
}
