// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  EBUSY,
  madvise_dontneed,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  munmap,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceMap } from '../../machine/machine.js';
import { look, mirror, tearDown } from './mirror.js';

const stale = violates('SPTE-COHERENT');
const raced = violates('SPTE-COHERENT', { reports: ['DATA-RACE'] });

/**
 * The protocol by which a driver copies page-table entries: it takes a number, reads the entries without a lock against
 * changes, and installs them under its own lock only if no invalidation has set another number meanwhile.
 */
export default scenario({
  id: 'N-01',
  family: 'interval-notifiers',
  title: 'the retry protocol',
  question: 'Which steps of read_begin and read_retry may a mirror driver leave out?',
  machine: ({ by }) => ({ cpus: 2, frames: by === 'dontneed' ? 3 : 2, fill: 'demand' }),
  knobs: {
    callback: ['full', 'noseq', 'nolock'],
    retry: ['locked', 'unlocked', 'none'],
    begin: ['first', 'refreshed'],
    by: ['munmap', 'dontneed'],
  },
  bounds: 'one device fault, one munmap or one MADV_DONTNEED of the page',
  setup(m, { callback }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops = tearDown(gpu0, { lock: callback !== 'nolock', setSeq: callback !== 'noseq' });
    return { p, x, gpu0, sub: p.intervalNotifier(x, ops) };
  },
  agents: ({ p, x, gpu0, sub }, k) => ({
    *worker() {
      const { mm, gpu, user_lock } = gpu0;
      for (;;) {
        let seq = yield* mmu_interval_read_begin(sub);
        const entry = yield* look(mm, sub, seq, x.start);
        if (entry === -EBUSY) continue;
        if (entry < 0) return see('no page any more');
        if (k.begin === 'refreshed') seq = yield* mmu_interval_read_begin(sub);
        if (k.retry === 'unlocked' && (yield* mmu_interval_read_retry(sub, seq))) continue;
        yield* mutex_lock(user_lock);
        const hit = k.retry === 'locked' && (yield* mmu_interval_read_retry(sub, seq));
        if (!hit) yield* deviceMap(gpu, x.start, entry);
        yield* mutex_unlock(user_lock);
        if (!hit) return see('mapped');
        see('collision');
      }
    },
    *unmapper() {
      if (k.by === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped', 'collision'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=dontneed': 'safe',
    'callback=noseq': stale,
    'callback=nolock': raced,
    'retry=unlocked': raced,
    'retry=none': stale,
    'begin=refreshed': stale,
    'callback=noseq,by=dontneed': stale,
    'callback=nolock,by=dontneed': raced,
    'retry=unlocked,by=dontneed': raced,
    'retry=none,by=dontneed': stale,
    'begin=refreshed,by=dontneed': stale,
  },
});
