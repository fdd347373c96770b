// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  EBUSY,
  HMM_PFN,
  hmm_pfn_to_page,
  hmm_range_fault,
  mk_pte,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_notifier_insert,
  mmu_interval_notifier_remove,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  munmap,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceErase, deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { PrivateMemory } from './private-memory.js';

/**
 * A snapshot faults nothing in; it says what was mapped at one moment. For it test_hmm inserts a notifier of its own,
 * beside the one over the whole process, and removes it afterwards. The moment is when its lock is held: what the
 * snapshot says is entered into the page table of a device there and taken out again, so that SPTE-COHERENT judges it.
 */
export default scenario({
  id: 'N-34',
  family: 'interval-notifiers',
  title: 'a snapshot beside munmap()',
  question: 'Does a snapshot say what was mapped at one moment, while the memory is unmapped or migrated?',
  machine: { cpus: 2, frames: 4, data: true, fill: 'demand', seqModulus: 8 },
  knobs: {
    from: ['ram', 'device'],
    by: ['munmap', 'migration'],
    retry: ['locked', 'none'],
    notifier: ['own', 'mirror'],
  },
  bounds: 'one page, one snapshot of a notifier of its own, one munmap() or one migration',
  setup(m, { from }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const shown = m.device('snapshot', { mirrors: p });
    const memory = new PrivateMemory(m, 'gpu0', gpu, p);
    if (from === 'device') {
      m.inDeviceMemory(p, x.start, memory.pgmap, gpu);
      memory.link();
    }
    const lock = m.mutex('dmirror.mutex');
    const sub = p.intervalNotifier(
      x,
      {
        *invalidate(self, _range, cur_seq) {
          yield* mutex_lock(lock);
          yield* mmu_interval_set_seq(self, cur_seq);
          yield* mutex_unlock(lock);
          return true;
        },
      },
      { inserted: false, ready: true },
    );
    return { p, x, memory, shown, lock, sub };
  },
  agents: ({ p, x, memory, shown, lock, sub }, { by, from, retry, notifier }) => ({
    *snapshot() {
      const { mm } = p;
      if (notifier === 'own') yield* mmu_interval_notifier_insert(sub, mm, x.start, x.end - x.start);
      const seen = notifier === 'own' ? sub : memory.sub;
      for (;;) {
        const notifier_seq = yield* mmu_interval_read_begin(seen);
        const range = {
          notifier: seen,
          notifier_seq,
          start: x.start,
          end: x.end,
          hmm_pfns: [0],
          default_flags: 0,
          pfn_flags_mask: 0,
          dev_private_owner: memory.owner,
        };
        yield* mmap_read_lock(mm);
        const err = yield* hmm_range_fault(range);
        yield* mmap_read_unlock(mm);
        if (err === -EBUSY) continue;
        yield* claim(err === 0, 'ERRNO', 'a snapshot ends with an error');
        yield* mutex_lock(lock);
        const hit = retry === 'locked' && (yield* mmu_interval_read_retry(seen, notifier_seq));
        const hmm_pfn = range.hmm_pfns[0]!;
        if (!hit && hmm_pfn & HMM_PFN.VALID) {
          const writable = hmm_pfn & HMM_PFN.WRITE ? PTE.RW : 0;
          yield* deviceMap(shown, x.start, mk_pte(hmm_pfn_to_page(hmm_pfn), PTE.PRESENT | writable));
          yield* deviceErase(shown, x.start, x.end);
        }
        yield* mutex_unlock(lock);
        if (hit) continue;
        see(hmm_pfn & HMM_PFN.VALID ? 'mapped' : 'nothing');
        break;
      }
      if (notifier === 'own') yield* mmu_interval_notifier_remove(sub);
    },
    *other() {
      if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else if (from === 'device') yield* memory.toSystem(x.vma, x.start, x.end);
      else yield* memory.toDevice(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped', 'nothing'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'retry=none': violates('SPTE-COHERENT'),
    'notifier=mirror': violates('SPTE-COHERENT', { reports: ['DATA-RACE'] }),
    'by=migration': 'safe',
    'by=migration,retry=none': violates('SPTE-COHERENT'),
    'from=device': 'safe',
    'from=device,retry=none': violates('FRAME-REUSE'),
    'from=device,by=migration': 'safe',
    'from=device,by=migration,retry=none': violates('SPTE-COHERENT'),
  },
});
