// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import {
  EBUSY,
  folio_put,
  FOLL,
  get_user_pages_fast,
  get_user_pages_fast_only,
  HMM_PFN,
  hmm_pfn_to_page,
  hmm_range_fault,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_read_begin,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';
import { SingleDriver } from './single.js';

/**
 * A device-exclusive entry is not present, so GUP-fast falls back to the locked walk, which faults and so revokes the
 * device. hmm_range_fault() of another mirror reports nothing for it, unless a fault was asked for: then that revokes
 * as well.
 */
export default scenario({
  id: 'D-43',
  family: 'device-exclusive',
  title: 'GUP-fast and hmm_range_fault() on a device-exclusive entry',
  question: 'Does anybody get a page from a device-exclusive entry without the device being told?',
  machine: { cpus: 3, frames: 2, data: true },
  kernels: ['6.12', '6.15'],
  knobs: {
    by: ['gup-fast', 'gup-fast-only', 'hmm-snapshot', 'hmm-fault'],
    'restore.event': ['exclusive', 'none'],
  },
  bounds: 'one page that a device has, one atomic of it, one look-up by another agent',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    const page = p.page(x.start);
    m.exclusive(p, x.start, gpu);
    const other = new SingleDriver(m, m.device('gpu1', { mirrors: p }), p, x);
    return { p, x, gpu, page, sub: other.sub };
  },
  agents: ({ p, x, gpu, page, sub }, { by }) => ({
    *looker() {
      if (by === 'gup-fast' || by === 'gup-fast-only') {
        const pages =
          by === 'gup-fast'
            ? (yield* get_user_pages_fast(x.start, 1, FOLL.WRITE)).pages
            : yield* get_user_pages_fast_only(x.start, 1, FOLL.WRITE);
        const got = pages[0];
        if (by === 'gup-fast-only')
          yield* claim(got === undefined, 'EXCL', 'GUP-fast took an entry that is not present');
        if (got === undefined) return see('answered');
        yield* claim(got === page, 'DATA', 'the page is another one');
        yield* folio_put(got);
        return see('answered');
      }
      let found = 0;
      let err: number;
      do {
        const hmm_pfns = [0];
        const notifier_seq = yield* mmu_interval_read_begin(sub);
        yield* mmap_read_lock(p.mm);
        err = yield* hmm_range_fault({
          notifier: sub,
          notifier_seq,
          start: x.start,
          end: x.end,
          hmm_pfns,
          default_flags: by === 'hmm-fault' ? HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE : 0,
          pfn_flags_mask: 0,
        });
        yield* mmap_read_unlock(p.mm);
        found = hmm_pfns[0]!;
      } while (err === -EBUSY);
      yield* claim(err === 0, 'ERRNO', 'hmm_range_fault() failed');
      if (by === 'hmm-snapshot')
        yield* claim(found === 0, 'EXCL', 'a snapshot shows a page that is for a device');
      else yield* claim(hmm_pfn_to_page(found) === page, 'DATA', 'the page is another one');
      see('answered');
    },
    *device() {
      const old = yield* deviceAtomicAdd(gpu, x.start);
      if (old !== undefined) see('the device added');
    },
  }),
  sometimes: ['answered', 'the device added'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'by=gup-fast-only': 'safe',
    'by=hmm-snapshot': 'safe',
    'by=hmm-fault': 'safe',
    'by=hmm-fault,kernel=6.15': 'safe',
    'restore.event=none': violates('EXCL'),
    'by=hmm-fault,restore.event=none': violates('EXCL'),
  },
});
