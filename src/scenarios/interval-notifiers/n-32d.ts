// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import { madvise_free, shrink_inactive_list, userLoad, userStore } from '../../linux/index.js';
import { PrivateMemory } from './private-memory.js';

/**
 * After MADV_FREE reclaim throws a page away, unless it was written to again; that says the entry, and from the migration
 * on the page itself, which device memory has to carry on: an entry for a device has no dirty bit.
 */
export default scenario({
  id: 'N-32d',
  family: 'interval-notifiers',
  title: 'a lazily freed page that was written to again',
  question: 'Does device memory carry on that a lazily freed page was written to again?',
  machine: { cpus: 1, frames: 4, data: true, fill: 'demand', rcuCallbacks: 0 },
  knobs: { 'migrate_vma.dirty': ['passed-on', 'lost'], writes: ['yes', 'no'] },
  bounds: 'one page: MADV_FREE, a store, to the device and back, reclaim, a load',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.pages(x)[0]!.frame.data!.init(7);
    const memory = new PrivateMemory(m, 'gpu0', m.device('gpu0', { mirrors: p }), p);
    const ram = m.kernel.mem_map.filter(({ frame }) => frame.device === undefined);
    m.fixFrames();
    return { p, x, memory, ram };
  },
  agents: ({ p, x, memory, ram }, { writes }) => ({
    *cpu() {
      yield* madvise_free(p.mm, x.start, x.end);
      if (writes === 'yes') yield* userStore(x.start, 5);
      if ((yield* memory.toDevice(x.vma, x.start, x.end)) === 1) see('in the device');
      if ((yield* memory.toSystem(x.vma, x.start, x.end)) === 1) see('back');
      yield* shrink_inactive_list(ram);
      const seen = yield* userLoad(x.start);
      yield* claim(
        seen === (writes === 'yes' ? 5 : 0),
        'DATA',
        'a lazily freed page is not what it should be',
      );
    },
  }),
  sometimes: ['in the device', 'back'],
  expect: {
    base: 'safe',
    'writes=no': 'safe',
    'migrate_vma.dirty=lost': violates('DATA'),
  },
});
