// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceAtomicAdd,
  PTE,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  clear_refs_write,
  EFAULT,
  mprotect,
  pagemap_read,
  PM,
  PROT_READ,
  userfaultfd_writeprotect,
  userLoad,
  userStore,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * The soft-dirty and the uffd-wp bit go with the entry: into the device-exclusive one, and back. clear_refs tells the
 * device, whose next store takes a write fault, which sets the bit again. A restored writable entry is dirty, and on x86
 * that is soft-dirty as well: so a bit that is lost shows only while the entry is exclusive, or after mprotect(PROT_READ).
 * UFFDIO_WRITEPROTECT marks the entry, and the next conversion finds nobody who would wait for the monitor: -EFAULT.
 */
export default scenario({
  id: 'D-30',
  family: 'device-exclusive',
  title: 'soft-dirty and uffd-wp through make and restore',
  question: 'Does a store of a device, or of a CPU afterwards, escape soft-dirty tracking or userfaultfd?',
  machine: { cpus: 2, frames: 3, softDirty: true, seqModulus: 8 },
  kernels: ['6.12', '6.15'],
  knobs: {
    by: ['clear-refs', 'pagemap', 'mprotect', 'uffd-wp', 'uffd-wp-once'],
    'make.soft_dirty': ['kept', 'lost'],
    'make.uffd_wp': ['kept', 'lost'],
    'clear_refs.notifier': ['on', 'off'],
  },
  // Else NOTIFY-ORDER names the notification that is missing before a store escapes.
  judges: (k) => (k['clear_refs.notifier'] === 'off' ? ['SOFTDIRTY'] : undefined),
  bounds:
    'one page that was written to, one conversion for a device with an atomic, and for clear_refs and uffd-wp another; beside them one clear_refs, look at pagemap, mprotect with a load, or UFFDIO_WRITEPROTECT with a store',
  setup(m, { by }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const { cell } = p.ptep(x.start);
    cell.init(cell.value | PTE.SOFT_DIRTY);
    const gpu = m.device('gpu0', { mirrors: p });
    const protects = by === 'uffd-wp' || by === 'uffd-wp-once';
    const ctx = protects ? m.userfaultfd([x], { sigbus: true }) : undefined;
    m.watchUffdWp();
    const driver = mirrorDriver(protects ? 'single' : 'test_hmm', m, gpu, p, x);
    return { p, x, gpu, ctx, driver, cleared: m.flag('cleared'), added: m.flag('added') };
  },
  agents: ({ p, x, gpu, ctx, driver, cleared, added }, { by }) => ({
    *user() {
      if (ctx !== undefined) {
        yield* userfaultfd_writeprotect(ctx, x.start, 1, true);
        yield* write(cleared, 1);
        const signal = yield* userStore(x.start);
        yield* claim(signal === 'SIGBUS', 'UFFDWP', 'a store of a CPU is not noticed');
        return see('looked');
      }
      if (by === 'clear-refs') {
        yield* clear_refs_write(p.mm);
        yield* write(cleared, 1);
        yield* awaitValue(added, 1);
      }
      if (by === 'mprotect') {
        yield* mprotect(p.mm, x.vma, PROT_READ);
        yield* userLoad(x.start);
      }
      const [entry] = yield* pagemap_read(p.mm, x.start, 1);
      const dirty = (entry!.flags & PM.SOFT_DIRTY) !== 0;
      yield* claim(dirty, 'SOFTDIRTY', 'pagemap says that nobody has written to the page');
      see('looked');
    },
    *device() {
      if ((yield* driver.fault(x.start)) === 0) {
        if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
      }
      if (by !== 'clear-refs' && by !== 'uffd-wp') return;
      yield* awaitValue(cleared, 1);
      if ((yield* deviceAtomicAdd(gpu, x.start)) === undefined) {
        const err = yield* driver.fault(x.start);
        if (by === 'uffd-wp') yield* claim(err === -EFAULT, 'ERRNO', 'the conversion ends otherwise');
        else yield* deviceAtomicAdd(gpu, x.start);
      }
      yield* write(added, 1);
    },
  }),
  sometimes: ['looked', 'the device added'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'clear_refs.notifier=off': violates('SOFTDIRTY'),
    'clear_refs.notifier=off,kernel=6.15': violates('SOFTDIRTY'),
    'make.soft_dirty=lost': violates('SOFTDIRTY'),
    'by=pagemap': 'safe',
    'by=pagemap,kernel=6.15': 'safe',
    'by=pagemap,make.soft_dirty=lost': violates('SOFTDIRTY'),
    'by=mprotect': 'safe',
    'by=mprotect,kernel=6.15': 'safe',
    'by=mprotect,make.soft_dirty=lost': violates('SOFTDIRTY'),
    'by=uffd-wp': 'safe',
    'by=uffd-wp,kernel=6.15': 'safe',
    'by=uffd-wp-once': 'safe',
    'by=uffd-wp-once,make.uffd_wp=lost': violates('UFFDWP'),
  },
});
