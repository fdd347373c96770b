// SPDX-License-Identifier: GPL-2.0-only
import { Op } from '../../core/ops.js';
import type { System } from '../../core/system.js';
import { scenario, violates, type Path } from '../../litmus/index.js';
import { type Observer, table } from '../../litmus/table.js';
import { kernelOf } from '../../linux/kernel.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  shrink_inactive_list,
  unuse_mm,
  userLoad,
  userStore,
} from '../../linux/index.js';
import { frameOf } from '../../machine/pte.js';

const FAULT = 'IRQs on, rcu_read_lock; looks again under the PTL';

/** In what context an entry is read, and what its reader does to the page before it looks at the entry again. */
function observe(system: System, agent: number, cell: number): Observer {
  const { rcu, machine, mem_map } = kernelOf(system);
  const locked = (): boolean => mem_map.some(({ ptl }) => ptl.value === agent + 1);
  const context = machine.irqsOff.some(({ value }) => value !== 0) ? ['IRQs off'] : ['IRQs on'];
  if ((rcu.nesting[agent]?.value ?? 0) > 0) context.push('rcu_read_lock');
  if (locked()) context.push('PTL');
  const count = mem_map[frameOf(system.mem[cell]!)]?._refcount.at;
  let then = 'does not look again';
  let referenced = '';
  return {
    access(op, at, writes) {
      if (then !== 'does not look again') return;
      if (writes.some((each) => each === count)) referenced = 'takes a reference, ';
      if (at === cell && (op === Op.READ || op === Op.LOAD || op === Op.EQ))
        then = locked() ? 'looks again under the PTL' : 'looks again without a lock';
    },
    words: () => `${context.join(', ')}; ${referenced}${then}`,
  };
}

/**
 * The callers of ptep_get_lockless() that are modelled, each run by itself. The others in 6.12 are read, not run: see
 * docs/findings.md.
 */
export default table(
  scenario({
    id: 'G-14b',
    family: 'gup-fast',
    title: 'the callers of ptep_get_lockless()',
    question: 'In what context does each caller of ptep_get_lockless() read, and does it look again?',
    machine: { cpus: 1, frames: 8, ptrsPerPte: 4, swapSlots: 2, data: true, fill: 'eager' },
    knobs: { 'fault.pte_same': ['on', 'off'], 'gup.pte_recheck': ['after-ref', 'before-ref', 'none'] },
    bounds:
      'one get_user_pages_fast_only(), one write fault, one fault on an absent page, one on a swapped one, one swapoff, each run alone',
    setup(m) {
      const p = m.process('P');
      const map = (touched: boolean, shared = false) => p.mmap({ pages: 1, touched, shared });
      const [mapped, shared, swapped, absent] = [map(true), map(true, true), map(true), map(false)];
      const q = m.process('Q');
      const { vma, start } = q.mmap({ pages: 1 });
      m.swapOut(q, vma, start, 0);
      return { mapped, shared, swapped, absent, out: p.page(swapped.start), q };
    },
    agents: ({ mapped, shared, swapped, absent, out, q }) => {
      const on = (run: () => Path<unknown>) => ({ cpu: 0, run });
      return {
        gup: on(function* () {
          for (const page of yield* get_user_pages_fast_only(mapped.start, 1, FOLL.GET))
            yield* folio_put(page);
        }),
        'write-protected': on(() => userStore(shared.start)),
        absent: on(() => userStore(absent.start)),
        swapped: on(function* () {
          yield* shrink_inactive_list([out]);
          yield* userLoad(swapped.start);
        }),
        swapoff: on(() => unuse_mm(q.mm)),
      };
    },
    sometimes: ['every row is as declared'],
    expect: {
      base: 'safe',
      'machine=bcast': 'safe',
      'fault.pte_same=off': violates('TABLE'),
      'gup.pte_recheck=before-ref': violates('TABLE'),
      'gup.pte_recheck=none': violates('TABLE'),
    },
  }),
  'ptep_get_lockless',
  observe,
  {
    'gup: gup_fast_pte_range': 'IRQs off, rcu_read_lock; takes a reference, looks again without a lock',
    'write-protected: handle_pte_fault': FAULT,
    'absent: handle_pte_fault': FAULT,
    'swapped: handle_pte_fault': FAULT,
    'swapoff: unuse_pte_range': FAULT,
  },
);
