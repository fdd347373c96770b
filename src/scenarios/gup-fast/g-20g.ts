// SPDX-License-Identifier: GPL-2.0-only
import { claim, equals, scenario, see } from '../../litmus/index.js';
import { madvise_dontneed, shrink_inactive_list, userLoad, userStore } from '../../linux/index.js';

/**
 * The last swap entry of a slot goes: its slot is free then, and so is the page that the swap cache still had; unless
 * somebody else has the page locked, who will see to it.
 */
export default scenario({
  id: 'G-20g',
  family: 'gup-fast',
  title: 'Zap of a swap entry whose page is in the swap cache',
  question: 'Who frees a slot of swap, and the page that the swap cache has for it?',
  machine: { cpus: 2, frames: 4, swapSlots: 1, data: true },
  knobs: { other: ['reclaim', 'load', 'store'] },
  bounds:
    'one MADV_DONTNEED of a page that is in swap and in the swap cache, one reclaim, load or store of it',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1 });
    const page = m.swapOut(p, x.vma, x.start, 5, { cached: true })!;
    return { x, page, slot: m.kernel.swap!.slots[0]! };
  },
  agents: ({ x, page, slot }, { other }) => ({
    *zapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      if (yield* equals(slot.map, 0)) see('the slot is free');
      const value = yield* userLoad(x.start);
      yield* claim(
        value === 0 || (value === 7 && other === 'store'),
        'DATA',
        'a page comes back that was discarded',
      );
    },
    *other() {
      if (other === 'reclaim') yield* shrink_inactive_list([page]);
      else if (other === 'store') yield* userStore(x.start, 7);
      else yield* userLoad(x.start);
    },
  }),
  sometimes: ['the slot is free'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=load': 'safe',
    'other=load,machine=bcast': 'safe',
    'other=store': 'safe',
  },
});
