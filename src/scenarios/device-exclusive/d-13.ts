// SPDX-License-Identifier: GPL-2.0-only
import { livelocks, scenario, see, type Testbed, violates } from '../../litmus/index.js';
import { madvise_dontneed, mk_pte } from '../../linux/index.js';
import { PTE } from '../../machine/pte.js';
import { mirrorDriver } from './drivers.js';
import { SingleDriver } from './single.js';

/**
 * make_device_exclusive_range() tells everybody who mirrors the page, with the caller as owner. The caller is among those
 * who are told: a driver that counts its own event can't have its page, if it asks afterwards whether something came
 * between. The filter helps against that event and no other; what GUP does before it is sent by the fault.
 */
export const d13 = scenario({
  id: 'D-13',
  family: 'device-exclusive',
  title: 'the owner filter',
  question: 'Which of the events that its own make sends may a driver count?',
  machine: { cpus: 2, frames: 3, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  kernels: ['6.12', '6.15'],
  knobs: {
    filter: ['own', 'none'],
    retry: ['locked', 'none'],
    driver: ['nouveau', 'single', 'test_hmm'],
    page: ['present', 'exclusive', 'shared'],
    other: ['nobody', 'dontneed'],
  },
  kernelKnobs: ({ filter, retry }) => ({
    'nouveau.owner_filter': filter === 'own' ? 'on' : 'off',
    'nouveau.read_retry': retry,
    'test_hmm.owner_filter': filter === 'own' ? 'on' : 'off',
    'test_hmm.read_retry': retry,
  }),
  bounds: 'one fault of a device, served for as long as it takes; nobody else, or one MADV_DONTNEED',
  setup(m, { driver, filter, retry, page }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, shared: page === 'shared' });
    const gpu = m.device('gpu0', { mirrors: p });
    if (page === 'exclusive') m.exclusive(p, x.start);
    return { x, mirror: mirrorDriver(driver, m, gpu, p, x, { filter, retry }) };
  },
  agents: ({ x, mirror }, { other }) => ({
    gpu0: {
      cpu: 1,
      *run() {
        if ((yield* mirror.fault(x.start)) === 0) see('mapped');
      },
    },
    ...(other === 'dontneed' && {
      other: {
        cpu: 0,
        *run() {
          yield* madvise_dontneed(x.vma, x.start, x.end);
        },
      },
    }),
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'kernel=6.15': 'safe',
    'driver=single': 'safe',
    'driver=test_hmm': 'safe',
    'filter=none': livelocks(),
    'filter=none,kernel=6.15': livelocks(),
    'filter=none,driver=single': livelocks(),
    'filter=none,driver=test_hmm': livelocks(),
    'filter=none,retry=none,driver=single': 'safe',
    'filter=none,retry=none,driver=test_hmm': 'safe',
    'page=exclusive': livelocks(),
    'page=exclusive,kernel=6.15': livelocks(),
    'page=shared': livelocks(),
    'page=shared,kernel=6.15': livelocks(),
    'other=dontneed': livelocks(),
    'other=dontneed,kernel=6.15': livelocks(),
    'retry=none,other=dontneed': violates('OWNER'),
    'retry=none,page=shared': 'safe',
    'filter=none,retry=none,driver=test_hmm,page=exclusive': 'safe',
  },
});

/** What gpu1 has of the page. */
function foreign(m: Testbed, k: { readonly listener: string; readonly has: string }) {
  const p = m.process('P', { cpus: [0] });
  const x = p.mmap({ pages: 1, touched: true, dirty: true });
  const page = p.page(x.start);
  const gpu0 = m.device('gpu0', { mirrors: p });
  const gpu1 = m.device('gpu1', { mirrors: p });
  new SingleDriver(m, gpu1, p, x, { filter: k.listener === 'acts' ? 'own' : 'any' });
  if (k.has === 'exclusive') m.exclusive(p, x.start, gpu1);
  else gpu1.pte[x.start]!.init(mk_pte(page, PTE.PRESENT | PTE.USER | PTE.RW));
  return { x, mirror: mirrorDriver('test_hmm', m, gpu0, p, x) };
}

/** Another secondary MMU (KVM, an RDMA card, a second GPU) mirrors the page. Only the notifier can tell it. */
export const d13b = scenario({
  id: 'D-13b',
  family: 'device-exclusive',
  title: 'make, and who else mirrors the page',
  question: 'Must a page be taken from other devices when one makes it exclusive?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0 },
  kernels: ['6.12', '2025-v1', '6.15'],
  knobs: {
    listener: ['acts', 'ignores'],
    notifier: ['as released', 'none'],
    has: ['mapping', 'exclusive'],
    'restore.event': ['exclusive', 'none'],
    asked: ['all', 'EXCL'],
  },
  kernelKnobs: ({ notifier }) => (notifier === 'none' ? { 'make.notifier': notifier } : {}),
  judges: ({ asked }) => (asked === 'all' ? undefined : [asked]),
  bounds: 'a page that gpu1 has mapped, or has for itself; one fault of gpu0, whose driver does not retry',
  setup: foreign,
  agents: ({ x, mirror }) => ({
    gpu0: {
      cpu: 1,
      *run() {
        if ((yield* mirror.fault(x.start)) === 0) see('mapped');
      },
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'kernel=6.15': 'safe',
    'listener=ignores': violates('SPTE-COHERENT'),
    'listener=ignores,asked=EXCL': violates('EXCL'),
    'listener=ignores,kernel=6.15': violates('SPTE-COHERENT'),
    'listener=ignores,asked=EXCL,kernel=6.15': violates('EXCL'),
    'notifier=none': violates('SPTE-COHERENT'),
    'notifier=none,asked=EXCL': violates('EXCL'),
    'kernel=2025-v1': violates('SPTE-COHERENT'),
    'asked=EXCL,kernel=2025-v1': violates('EXCL'),
    'has=exclusive': 'safe',
    'notifier=none,has=exclusive': 'safe',
    'has=exclusive,kernel=2025-v1': 'safe',
    'notifier=none,has=exclusive,restore.event=none': violates('EXCL'),
    'has=exclusive,restore.event=none,kernel=2025-v1': violates('EXCL'),
  },
});
