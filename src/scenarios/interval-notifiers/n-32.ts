// SPDX-License-Identifier: GPL-2.0-only
import { claim, livelocks, type Path, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, userLoad, userStore } from '../../linux/index.js';
import { PTE } from '../../machine/pte.js';
import { PrivateMemory } from './private-memory.js';

/**
 * A page is in RAM, or nowhere yet, or in the device's memory, and moves while a CPU is at it: what the CPU has stored is
 * there afterwards, wherever the page has gone. Migration gives up where somebody else has a reference on the page. Since
 * 6.1 each fault has one, so two faults on one page may keep each other from bringing it back for ever; since 6.15 the
 * fault takes the lock of the page first.
 */
export default scenario({
  id: 'N-32',
  family: 'interval-notifiers',
  title: 'migration beside a CPU that touches the page',
  question: 'May a page go to device memory, or come back, while a CPU faults on it?',
  machine: ({ forked }) => ({
    cpus: 2,
    frames: forked === 'yes' ? 5 : 4,
    data: true,
    fill: 'demand',
    rcuCallbacks: 0,
    seqModulus: 8,
  }),
  knobs: {
    from: ['ram', 'hole', 'device'],
    by: ['migration', 'eviction', 'fault', 'stranger'],
    forked: ['no', 'yes'],
    'do_swap_page.device_private': ['ref', 'none', 'trylock'],
    'migrate_vma.notifier': ['on', 'off'],
    'migrate_vma.flush': ['on', 'after-unlock', 'off'],
    cpu: ['accesses', 'zaps'],
    'migrate_vma.owner': ['filtered', 'any'],
    'migrate_vma_insert_page.recheck': ['on', 'off'],
  },
  bounds:
    'one page, one page of device memory; one migration, eviction or fault beside a store and a load of a CPU (of a forked page: a load; or a load, MADV_DONTNEED, and a load)',
  setup(m, { from, by, forked }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: from !== 'hole' });
    if (from === 'hole') p.setPte(x.start, 0);
    const gpu = m.device('gpu0', { mirrors: p });
    const memory = new PrivateMemory(m, 'gpu0', gpu, p);
    if (from === 'device') {
      m.inDeviceMemory(p, x.start, memory.pgmap, gpu);
      memory.link();
    } else if (from === 'ram' && forked === 'no') {
      const [page] = m.pages(x);
      gpu.pte[x.start]!.init((page!.pfn << PTE.PFN_SHIFT) | PTE.PRESENT | PTE.RW);
    }
    if (forked === 'yes') m.pages(x)[0]!.frame.data!.init(7);
    if (forked === 'yes') m.child('C', p, { forked: true });
    if (by !== 'stranger') return { x, mover: memory };
    return { x, mover: new PrivateMemory(m, 'gpu1', m.device('gpu1', { mirrors: p }), p) };
  },
  agents: ({ x, mover }, { by, from, forked, cpu }) => ({
    *mover(): Path {
      let moved = 1;
      if (by === 'fault') {
        const seen = yield* userLoad(x.start);
        yield* claim(seen === 0 || seen === 5, 'DATA', 'a CPU loads what nobody has stored');
      } else if (by === 'eviction') yield* mover.evict();
      else if (by === 'stranger') yield* mover.toSystem(x.vma, x.start, x.end);
      else if (from === 'device') moved = yield* mover.toSystem(x.vma, x.start, x.end);
      else moved = yield* mover.toDevice(x.vma, x.start, x.end);
      if (moved === 1) see('moved');
    },
    *cpu() {
      if (forked === 'no') yield* userStore(x.start, 5);
      if (cpu === 'zaps') {
        yield* userLoad(x.start);
        yield* madvise_dontneed(x.vma, x.start, x.end);
      }
      const seen = yield* userLoad(x.start);
      const expected = forked === 'no' ? 5 : cpu === 'zaps' ? 0 : 7;
      yield* claim(seen === expected, 'DATA', 'a CPU loads something else than was stored');
      see('looked');
    },
  }),
  sometimes: ['moved', 'looked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'migrate_vma.notifier=off': violates('NOTIFY-ORDER'),
    'forked=yes': 'safe',
    'forked=yes,machine=bcast': 'safe',
    'forked=yes,migrate_vma.flush=off': violates('TLB-LIVE'),
    'forked=yes,migrate_vma.flush=off,machine=bcast': violates('TLB-LIVE'),
    'forked=yes,cpu=zaps': 'safe',
    'forked=yes,migrate_vma.flush=after-unlock,cpu=zaps': violates('DATA'),
    'from=hole': 'safe',
    'from=hole,migrate_vma_insert_page.recheck=off': violates('TLB-PERM'),
    'from=device': 'safe',
    'from=device,by=stranger': 'safe',
    'from=device,by=stranger,migrate_vma.owner=any': violates('DATA'),
    'from=device,by=eviction': 'safe',
    'from=device,by=eviction,do_swap_page.device_private=none': violates('FRAME-REUSE'),
    'from=device,by=fault': livelocks(),
    'from=device,by=fault,do_swap_page.device_private=trylock': 'safe',
  },
});
