// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates, write } from '../../litmus/index.js';
import {
  madvise_dontneed,
  mmu_interval_notifier_remove,
  type MmuIntervalNotifierOps,
} from '../../linux/index.js';
import { mirror, tearDown } from './mirror.js';

/**
 * Removal waits for the end of what is being invalidated, so that the driver can free the subscription. From a callback
 * it waits for its own end.
 */
export default scenario({
  id: 'N-07',
  family: 'interval-notifiers',
  title: 'removal',
  question: 'From where may a driver remove a subscription, and when may it free it?',
  machine: { cpus: 2, frames: 3, fill: 'demand' },
  knobs: {
    from: ['thread', 'callback'],
    'mmu_interval_notifier_remove.wait': ['locked', 'lockless', 'none'],
  },
  bounds: 'one removal, one MADV_DONTNEED of the page',
  setup(m, { from }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops = tearDown(gpu0);
    const removing: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* ops.invalidate(sub, range, cur_seq);
        yield* mmu_interval_notifier_remove(sub);
        return true;
      },
    };
    return { x, sub: p.intervalNotifier(x, from === 'callback' ? removing : ops), freed: m.flag('freed') };
  },
  agents: ({ x, sub, freed }, { from }) => ({
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      see('unmapped');
    },
    ...(from === 'thread' && {
      *remover() {
        yield* mmu_interval_notifier_remove(sub);
        yield* write(freed, 1);
        see('removed');
      },
    }),
  }),
  sometimes: ['unmapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'from=callback': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mmu_interval_notifier_remove.wait=lockless': violates('SUB-LIFE'),
    'mmu_interval_notifier_remove.wait=none': violates('SUB-LIFE'),
  },
});
