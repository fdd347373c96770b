// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, deviceAtomicAdd, PTE, scenario, see, write } from '../../litmus/index.js';
import { livelocks, violates } from '../../litmus/index.js';
import {
  clear_refs_write,
  dup_mmap,
  ENOMEM,
  exit_mmap,
  madvise_dontneed,
  pagemap_read,
  PM,
  pte_pfn,
  ptep_get,
  userAdd,
  userLoad,
  userStore,
} from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/** By column: the invariants that it is about; what has none is claimed by the agents, or is about progress. */
const JUDGED: Readonly<Record<string, readonly string[]>> = {
  EXCL: ['EXCL'],
  'ATOMIC-SUM': ['ATOMIC-SUM'],
  OWNER: ['OWNER'],
  SUMS: ['REF-SUM', 'MAP-SUM', 'RSS-SUM', 'LOCK'],
};

/**
 * The versions of device-exclusive memory against what one wants of it: what was posted (v5, v8, the first posting of the
 * rework), what was merged (5.14), mended (6.3), is in 6.12, and was reworked (6.15). Each column is a small race of its own
 * that the property is most likely to lose. The driver is `single`, which follows the rules; for PROGRESS it is nouveau.
 */
export default scenario({
  id: 'D-00',
  family: 'device-exclusive',
  title: 'versions against properties',
  question: 'Which of the posted, merged and reworked versions holds?',
  machine: ({ asked }) => ({
    cpus: 3,
    frames: 6,
    data: asked !== 'PROGRESS',
    softDirty: asked === 'BITS',
    ...(asked === 'PROGRESS' ? { seqModulus: 8 } : {}),
  }),
  kernels: ['6.12', 'v5', 'v8', '5.14', '6.3', '2025-v1', '6.15'],
  machines: ['ipi'],
  knobs: {
    asked: [
      'EXCL',
      'ATOMIC-SUM',
      'COW-ISO',
      'OWNER',
      'BITS',
      'SUMS',
      'PROGRESS',
      'NO-TOUCH-FREED',
      'ORIGINAL-STAYS',
      'FORK-SUCCEEDS',
    ],
  },
  matrix: { rows: 'kernel', columns: 'asked', order: ['v5', 'v8', '5.14', '6.3', '6.12', '2025-v1', '6.15'] },
  judges: ({ asked }) => JUDGED[asked] ?? [],
  bounds:
    'one page, one device with one atomic and at most one fault (PROGRESS: any number); EXCL: one load, beside a second device that has the page mapped for loads and stores. ATOMIC-SUM: one add. COW-ISO, ORIGINAL-STAYS, FORK-SUCCEEDS, SUMS: one fork, then one access of the parent and one or two of the child, or its exit. OWNER: MADV_DONTNEED and a store. BITS: clear_refs and a look at pagemap. NO-TOUCH-FREED: a load and MADV_DONTNEED',
  setup(m, { asked }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1] });
    const ptep = p.ptep(x.start);
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    const driver =
      asked === 'PROGRESS'
        ? mirrorDriver('nouveau', m, gpu, p, x)
        : mirrorDriver('single', m, gpu, p, x, { timeout: 1 });
    if (asked === 'BITS') ptep.cell.init(ptep.cell.value | PTE.SOFT_DIRTY);
    if (asked === 'EXCL') {
      const other = m.device('gpu1', { mirrors: p });
      mirrorDriver('single', m, other, p, x);
      other.pte[x.start]!.init(ptep.cell.value);
    } else if (asked !== 'FORK-SUCCEEDS' && asked !== 'BITS' && asked !== 'OWNER') {
      const mapped = asked === 'COW-ISO' || asked === 'ORIGINAL-STAYS' || asked === 'SUMS';
      m.exclusive(p, x.start, mapped ? gpu : undefined);
    }
    if (asked === 'ATOMIC-SUM') m.watchSum(p, x.start);
    return { p, x, c, ptep, page, gpu, driver, forking: m.flag('forking').init(1), done: m.flag('done') };
  },
  agents: ({ p, x, c, ptep, page, gpu, driver, forking, done }, { asked }) => ({
    parent: {
      cpu: 0,
      process: p,
      *run() {
        if (asked === 'EXCL' || asked === 'NO-TOUCH-FREED') yield* userLoad(x.start);
        else if (asked === 'ATOMIC-SUM') yield* userAdd(x.start, 1);
        else if (asked === 'OWNER') {
          yield* madvise_dontneed(x.vma, x.start, x.end);
          yield* userStore(x.start, 5);
        } else if (asked === 'BITS') {
          yield* clear_refs_write(p.mm);
          yield* write(forking, 0);
          yield* awaitValue(done, 1);
          const [entry] = yield* pagemap_read(p.mm, x.start, 1);
          const dirty = (entry!.flags & PM.SOFT_DIRTY) !== 0;
          yield* claim(dirty, 'SOFTDIRTY', 'pagemap says that nobody has written to the page');
        } else if (asked !== 'PROGRESS') {
          const err = yield* dup_mmap(c.mm, p.mm);
          yield* claim(
            err !== -ENOMEM || asked !== 'FORK-SUCCEEDS',
            'FORK-SUCCEEDS',
            'fork() fails with ENOMEM, and memory is free',
          );
          yield* write(forking, 0);
          yield* userAdd(x.start, 1);
          yield* write(done, 1);
          if (asked === 'ORIGINAL-STAYS') {
            const pte = yield* ptep_get(ptep);
            yield* claim(pte_pfn(pte) === page.pfn, asked, 'the parent is on another page than before fork');
          }
        }
        see('parent acted');
      },
    },
    other: {
      cpu: 1,
      process: asked === 'NO-TOUCH-FREED' ? p : c,
      *run() {
        if (asked === 'NO-TOUCH-FREED') {
          yield* madvise_dontneed(x.vma, x.start, x.end);
          see('opponent acted');
        }
        if (asked === 'SUMS') {
          yield* awaitValue(forking, 0);
          yield* exit_mmap(c.mm);
        }
        if (asked !== 'COW-ISO') return;
        yield* awaitValue(forking, 0);
        const first = yield* userLoad(x.start);
        yield* awaitValue(done, 1);
        const again = yield* userLoad(x.start);
        yield* claim(again === first, 'COW-ISO', "the child's page changes under it");
      },
    },
    gpu0: {
      cpu: 2,
      process: p,
      *run() {
        if (asked === 'NO-TOUCH-FREED') return; // the race is between two threads of the process
        if (asked === 'BITS') yield* awaitValue(forking, 0);
        if (asked === 'COW-ISO' || asked === 'ORIGINAL-STAYS' || asked === 'SUMS')
          yield* deviceAtomicAdd(gpu, x.start);
        else if ((yield* atomicAdd(driver, gpu, x.start, { faults: 1 })) !== 0) return;
        see('opponent acted');
        if (asked === 'BITS') yield* write(done, 1);
      },
    },
  }),
  sometimes: ['parent acted', 'opponent acted'],
  expect: {
    base: 'safe',
    'kernel=v5': 'safe',
    'kernel=v8': 'safe',
    'kernel=5.14': 'safe',
    'kernel=6.3': 'safe',
    'kernel=2025-v1': violates('EXCL'),
    'kernel=6.15': 'safe',
    'asked=ATOMIC-SUM': 'safe',
    'asked=ATOMIC-SUM,kernel=v5': 'safe',
    'asked=ATOMIC-SUM,kernel=v8': 'safe',
    'asked=ATOMIC-SUM,kernel=5.14': 'safe',
    'asked=ATOMIC-SUM,kernel=6.3': 'safe',
    'asked=ATOMIC-SUM,kernel=2025-v1': 'safe',
    'asked=ATOMIC-SUM,kernel=6.15': 'safe',
    'asked=COW-ISO': 'safe',
    'asked=COW-ISO,kernel=v5': 'safe',
    'asked=COW-ISO,kernel=v8': 'safe',
    'asked=COW-ISO,kernel=5.14': 'safe',
    'asked=COW-ISO,kernel=6.3': 'safe',
    'asked=COW-ISO,kernel=2025-v1': 'safe',
    'asked=COW-ISO,kernel=6.15': 'safe',
    'asked=OWNER': 'safe',
    'asked=OWNER,kernel=v5': 'safe',
    'asked=OWNER,kernel=v8': 'safe',
    'asked=OWNER,kernel=5.14': 'safe',
    'asked=OWNER,kernel=6.3': 'safe',
    'asked=OWNER,kernel=2025-v1': 'safe',
    'asked=OWNER,kernel=6.15': 'safe',
    'asked=BITS': 'safe',
    'asked=BITS,kernel=v5': 'safe',
    'asked=BITS,kernel=v8': 'safe',
    'asked=BITS,kernel=5.14': 'safe',
    'asked=BITS,kernel=6.3': 'safe',
    'asked=BITS,kernel=2025-v1': 'safe',
    'asked=BITS,kernel=6.15': 'safe',
    'asked=SUMS': 'safe',
    'asked=SUMS,kernel=v5': 'safe',
    'asked=SUMS,kernel=v8': 'safe',
    'asked=SUMS,kernel=5.14': 'safe',
    'asked=SUMS,kernel=6.3': 'safe',
    'asked=SUMS,kernel=2025-v1': 'safe',
    'asked=SUMS,kernel=6.15': 'safe',
    'asked=PROGRESS': livelocks(),
    'asked=PROGRESS,kernel=v5': livelocks(),
    'asked=PROGRESS,kernel=v8': livelocks(),
    'asked=PROGRESS,kernel=5.14': livelocks(),
    'asked=PROGRESS,kernel=6.3': livelocks(),
    'asked=PROGRESS,kernel=2025-v1': livelocks(),
    'asked=PROGRESS,kernel=6.15': livelocks(),
    'asked=NO-TOUCH-FREED': 'safe',
    'asked=NO-TOUCH-FREED,kernel=v5': violates('NO-TOUCH-FREED'),
    'asked=NO-TOUCH-FREED,kernel=v8': violates('NO-TOUCH-FREED'),
    'asked=NO-TOUCH-FREED,kernel=5.14': violates('NO-TOUCH-FREED'),
    'asked=NO-TOUCH-FREED,kernel=6.3': 'safe',
    'asked=NO-TOUCH-FREED,kernel=2025-v1': 'safe',
    'asked=NO-TOUCH-FREED,kernel=6.15': 'safe',
    'asked=ORIGINAL-STAYS': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=v5': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=v8': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=5.14': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=6.3': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=2025-v1': violates('ORIGINAL-STAYS'),
    'asked=ORIGINAL-STAYS,kernel=6.15': violates('ORIGINAL-STAYS'),
    'asked=FORK-SUCCEEDS': violates('FORK-SUCCEEDS'),
    'asked=FORK-SUCCEEDS,kernel=v5': 'safe',
    'asked=FORK-SUCCEEDS,kernel=v8': 'safe',
    'asked=FORK-SUCCEEDS,kernel=5.14': violates('FORK-SUCCEEDS'),
    'asked=FORK-SUCCEEDS,kernel=6.3': violates('FORK-SUCCEEDS'),
    'asked=FORK-SUCCEEDS,kernel=2025-v1': violates('FORK-SUCCEEDS'),
    'asked=FORK-SUCCEEDS,kernel=6.15': violates('FORK-SUCCEEDS'),
  },
});
