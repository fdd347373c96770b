// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceAtomicAdd, livelocks, scenario, see, violates } from '../../litmus/index.js';
import { userLoad, VM } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * The conversion works on PTEs. GUP splits a PMD that maps the page first, unless it belongs to hugetlb, which can't be
 * split: then the walk finds an entry of PMD size, and takes it for a PTE. So GUP refuses hugetlb.
 *
 * The split is an invalidation of its own, within the round of a driver that retries: the round is void, and leaves an
 * exclusive entry behind (D-49).
 */
export default scenario({
  id: 'D-39',
  family: 'device-exclusive',
  title: 'pages that a PMD maps',
  question: 'Does the conversion ever meet a PMD that maps a page?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, thp: true, data: true, seqModulus: 8 },
  kernels: ['6.12', '6.15'],
  knobs: {
    memory_type: ['thp', 'hugetlb'],
    driver: ['test_hmm', 'single', 'nouveau'],
    'gup.split_pmd': ['on', 'ignored'],
    'gup.split_hugetlb': ['refused', 'accepted'],
  },
  bounds:
    'one huge page of two pages, mapped by a PMD, one conversion of its first page with an atomic, one load of the second; with a driver that retries, none',
  setup(m, { memory_type, driver }) {
    const p = m.process('P', { cpus: [0] });
    const vm_flags = memory_type === 'hugetlb' ? VM.HUGETLB : 0;
    const x = p.mmap({ pages: 2, folio: 'pmd', vm_flags });
    p.page(x.start + 1).frame.data!.init(7);
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, gpu, driver: mirrorDriver(driver, m, gpu, p, x) };
  },
  agents: ({ x, gpu, driver }, k) => ({
    *user() {
      if (k.driver !== 'test_hmm') return;
      const value = yield* userLoad(x.start + 1);
      yield* claim(value === 7, 'DATA', 'the second page has the contents of another');
    },
    *device() {
      const err = yield* driver.fault(x.start);
      const refused = k.memory_type === 'hugetlb';
      yield* claim((err !== 0) === refused, 'ERRNO', 'the conversion ends otherwise');
      const old = yield* deviceAtomicAdd(gpu, x.start);
      if (old !== undefined || err !== 0) see('answered');
    },
  }),
  sometimes: ['answered'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'driver=single': livelocks(),
    'driver=nouveau': livelocks(),
    'driver=single,kernel=6.15': livelocks(),
    'gup.split_pmd=ignored': violates('BUG-ON'),
    'memory_type=hugetlb': 'safe',
    'memory_type=hugetlb,kernel=6.15': 'safe',
    'memory_type=hugetlb,gup.split_hugetlb=accepted': violates('BUG-ON'),
  },
});
