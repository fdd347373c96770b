// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import { deferred_split_scan, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * The entry of a tail page names the tail page. Who restores the folio's head in its place gives the process another
 * page. The versions that walk the mappings of a page look for the page that the entry names, too. A folio that is split
 * between make and restore leaves the entries right, since they name pages, not folios; up to 6.14 it is not split, as
 * its entries count as no mappings.
 */
export default scenario({
  id: 'D-23',
  family: 'device-exclusive',
  title: 'restoring the entry of a tail page',
  question: 'Which page does the fault on a tail page of a device-exclusive folio map?',
  machine: { cpus: 3, frames: 4, ptrsPerPte: 2, thp: true, data: true },
  kernels: ['6.12', '6.15'],
  knobs: {
    asked: ['head', 'tail'],
    'make.tail': ['refused', 'accepted'],
    'restore.find': ['pte-lock', 'rmap-walk'],
    'restore.page': ['entry', 'head'],
    split: ['no', 'after'],
  },
  bounds:
    'one folio of two pages, one conversion, one load of the tail page at any time; after the conversion an attempt to split the folio',
  // With a wrong frame in the page table everything is wrong; asked is what the process reads.
  judges: (k) => (k['restore.page'] === 'head' ? ['TLB-LIVE', 'FRAME-REUSE'] : undefined),
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 2, folio: 'pte' });
    p.page(x.start + 1).frame.data!.init(7);
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, head: p.page(x.start), driver: mirrorDriver('single', m, gpu, p, x), made: m.flag('made') };
  },
  agents: ({ x, head, driver, made }, { asked, split, kernel }) => ({
    *user() {
      const value = yield* userLoad(x.start + 1);
      yield* claim(value === 7, 'DATA', 'the tail page has the contents of another');
      see('loaded');
    },
    *device() {
      const err = yield* driver.fault(asked === 'head' ? x.start : x.start + 1);
      see(err === 0 ? 'exclusive' : 'refused');
      yield* write(made, 1);
    },
    *shrinker() {
      if (split === 'no') return see('the split ended as it should');
      yield* awaitValue(made, 1);
      const done = yield* deferred_split_scan(head);
      if (done === (kernel === '6.15')) see('the split ended as it should');
    },
  }),
  sometimes: ['loaded', 'the split ended as it should'],
  expect: {
    base: 'safe',
    'asked=tail': 'safe',
    'asked=tail,make.tail=accepted': 'safe',
    'asked=tail,kernel=6.15': 'safe',
    'restore.find=rmap-walk': 'safe',
    'asked=tail,make.tail=accepted,restore.find=rmap-walk': 'safe',
    'restore.page=head': violates('DATA'),
    'asked=tail,make.tail=accepted,restore.page=head': violates('DATA'),
    'asked=tail,restore.page=head,kernel=6.15': violates('DATA'),
    'split=after': 'safe',
    'asked=tail,split=after,kernel=6.15': 'safe',
  },
});
