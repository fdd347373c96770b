// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { Path } from '../../src/core/path.js';
import { Straight } from '../../src/explore/straight.js';
import {
  clear_refs_write,
  dup_mmap,
  EFAULT,
  EINVAL,
  FOLL,
  HMM_PFN,
  hmm_range_fault,
  madvise_dontneed,
  madvise_free,
  MIGRATE_VMA_SELECT,
  migrate_vma_setup,
  mmap_read_lock,
  mmap_read_unlock,
  mprotect,
  munmap,
  PG,
  pin_user_pages,
  pin_user_pages_fast,
  PROT_READ,
  unpin_user_page,
  userLoad,
  userStore,
} from '../../src/linux/index.js';
import type { KernelOptions } from '../../src/linux/kernel.js';
import { type Process, type Region, Testbed } from '../../src/litmus/index.js';
import { Use } from '../../src/machine/frame.js';
import { pfnOf, showEntry } from '../../src/machine/pte.js';
import { lockdep, watchAlways } from '../../src/properties/index.js';
import { migration } from '../../src/scenarios/device-memory.js';
import {
  PrivateMemory,
  type PrivateMemoryOptions,
} from '../../src/scenarios/interval-notifiers/private-memory.js';
import { smallKernel } from './fixtures/straight.js';

/** Processes with a mirror each, and a task each; paths run straight through, with all properties on. */
function booted(options: PrivateMemoryOptions = {}, kernelOptions: Partial<KernelOptions> = {}) {
  const kernel = smallKernel(
    { frames: 20, ptrsPerPte: 4, data: true },
    { knobs: { 'mmu_gather.table_free': 'with-flush' }, ...kernelOptions },
  );
  const m = new Testbed(kernel);
  const p = m.process('P');
  const x = p.mmap({ pages: 3, touched: true });
  const gpu = m.device('gpu0', { mirrors: p });
  const gpu1 = m.device('gpu1', { mirrors: p });
  const memory = new PrivateMemory(m, 'gpu0', gpu, p, { nr: 4, ...options });
  const other = new PrivateMemory(m, 'gpu1', gpu1, p, { nr: 2 });
  const child = m.child('C', p, { cpus: [0] });
  let straight: Straight | undefined;
  const tasks = new Map<Process, number>();
  const run = <T>(path: () => Path<T>, process: Process = p): T => {
    if (straight === undefined) {
      for (const each of [p, child]) {
        const idle = { name: each.mm.name, cpu: 0, daemon: false, fair: true, mm: each.mm, *start() {} };
        tasks.set(each, kernel.addTask(idle).agent);
      }
      watchAlways(kernel);
      straight = new Straight(kernel.system, { choose: () => 0, monitor: () => lockdep(kernel.system) });
    }
    const value = straight.run(tasks.get(process)!, path);
    expect([...straight.reports.keys()]).toEqual([]);
    return value;
  };
  return {
    kernel,
    m,
    p,
    x,
    gpu,
    memory,
    other,
    child,
    run,
    judge: () => straight!.judge(),
    entry: (addr: number, { mm }: { mm: Region['mm'] } = p) => {
      const pmd = mm.pmd[0]!.value;
      return pmd === 0 ? 0 : kernel.machine.entry(kernel.machine.frames[pfnOf(pmd)]!, addr);
    },
    free: () => memory.pgmap.pages.filter(({ frame }) => frame.use.value === Use.DEVICE).length,
  };
}
type World = ReturnType<typeof booted>;
const all = ({ memory, x }: World) => memory.toDevice(x.vma, x.start, x.end);
const kind = (world: World, addr: number, of?: Process): string =>
  showEntry(world.entry(addr, of)).replace(/f\d+/, 'f');

describe('private memory', () => {
  test('takes pages with their contents, and a CPU that touches one brings it back', () => {
    const world = booted();
    const { memory, x, run } = world;
    run(() => userStore(1, 7));
    expect(run(() => memory.toDevice(x.vma, x.start, x.end))).toBe(3);
    expect([0, 1, 2].map((addr) => kind(world, addr))).toEqual(Array(3).fill('DEVICE_WRITE(f)'));
    expect(run(() => memory.load(1))).toBe(7);
    expect(run(() => memory.store(2, 9))).toBe(0);
    expect(world.free()).toBe(1);
    expect(run(() => userLoad(2))).toBe(9);
    expect(kind(world, 2)).toBe('f,W');
    expect(world.gpu.pte[2]!.value).toBe(0);
    expect(world.free()).toBe(2);
    expect(run(() => memory.toSystem(x.vma, x.start, x.end))).toBe(2);
    expect(run(() => userLoad(1))).toBe(7);
    expect(world.free()).toBe(4);
    world.judge();
  });

  test('takes what is not there, and the zero page, as pages of zeroes', () => {
    const world = booted({}, { zeroPage: true });
    const { memory, x, run } = world;
    run(() => madvise_dontneed(x.vma, 0, 2));
    run(() => userLoad(1));
    expect(kind(world, 1)).toBe('f,R,special');
    expect(run(() => memory.toDevice(x.vma, 0, 2))).toBe(2);
    expect(run(() => memory.load(1))).toBe(0);
    expect(run(() => memory.store(0, 3))).toBe(0);
    expect(run(() => userLoad(0))).toBe(3);
    world.judge();
  });

  test('is given back at once when it is unmapped', () => {
    const world = booted();
    const { p, x, run } = world;
    run(() => all(world));
    run(() => munmap(p.mm, x.vma));
    expect(world.free()).toBe(4);
    world.judge();
  });

  test('a read-only mapping gives a read-only entry, and comes back as one', () => {
    const world = booted();
    const { p, x, memory, run } = world;
    run(() => mprotect(p.mm, x.vma, PROT_READ));
    run(() => all(world));
    expect(kind(world, 0)).toBe('DEVICE_READ(f)');
    expect(run(() => memory.store(0, 1))).toBe(-EFAULT);
    expect(run(() => userLoad(0))).toBe(0);
    expect(kind(world, 0)).toBe('f,R');
    world.judge();
  });

  test('mprotect() takes the right to store away, and soft-dirty with it', () => {
    const world = booted({}, { softDirty: true });
    const { p, x, run } = world;
    run(() => userStore(0, 1));
    run(() => all(world));
    run(() => clear_refs_write(p.mm));
    run(() => mprotect(p.mm, x.vma, PROT_READ));
    expect(kind(world, 0)).toBe('DEVICE_READ(f)');
    world.judge();
  });
});

describe('fork', () => {
  const forked = (): World => {
    const world = booted();
    const { p, child, run } = world;
    run(() => userStore(0, 5));
    run(() => all(world));
    run(() => dup_mmap(child.mm, p.mm));
    return world;
  };

  test('shares the page, read-only on both sides, and who writes gets a copy', () => {
    const world = forked();
    const { child, run } = world;
    expect(kind(world, 0)).toBe('DEVICE_READ(f)');
    expect(kind(world, 0, child)).toBe('DEVICE_READ(f)');
    run(() => userStore(0, 6), child);
    expect(run(() => userLoad(0))).toBe(5);
    expect(run(() => userLoad(0), child)).toBe(6);
    world.judge();
  });

  test('hmm_range_fault() for a store takes the read-only entry of the own device as it is', () => {
    const { memory, run, judge } = forked();
    const range = {
      notifier: memory.sub,
      notifier_seq: memory.sub.invalidate_seq.value,
      start: 0,
      end: 1,
      hmm_pfns: [0],
      default_flags: HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE,
      pfn_flags_mask: 0,
    };
    const look = (dev_private_owner: number) =>
      run(function* () {
        yield* mmap_read_lock(memory.mm);
        const err = yield* hmm_range_fault({ ...range, dev_private_owner });
        yield* mmap_read_unlock(memory.mm);
        return err;
      });
    expect(look(memory.owner)).toBe(0);
    expect(range.hmm_pfns[0]! & (HMM_PFN.VALID | HMM_PFN.WRITE)).toBe(HMM_PFN.VALID);
    judge();
  });

  test('another device has it brought back', () => {
    const world = forked();
    const { other, child, run } = world;
    expect(run(() => other.load(0))).toBe(5);
    expect(kind(world, 0)).toBe('f,R');
    expect(kind(world, 0, child)).toBe('f,R');
    expect(run(() => other.store(0, 8))).toBe(0);
    expect(run(() => userLoad(0), child)).toBe(5);
    world.judge();
  });

  test('eviction finds all who have the page', () => {
    const world = forked();
    const { memory, child, run } = world;
    run(() => memory.evict());
    expect(kind(world, 0)).toBe('f,R');
    expect(kind(world, 2, child)).toBe('f,R');
    expect(world.free()).toBe(4);
    expect(run(() => userLoad(0), child)).toBe(5);
    world.judge();
  });
});

describe('who is refused', () => {
  test('a page that is pinned', () => {
    const world = booted();
    const { memory, x, run } = world;
    const [page] = run(() => pin_user_pages_fast(0, 1, FOLL.WRITE)).pages;
    expect(run(() => memory.toDevice(x.vma, 0, 2))).toBe(1);
    expect(kind(world, 0)).toMatch(/^f,W/);
    expect(world.entry(0) >> 12).toBe(page!.pfn);
    run(() => unpin_user_page(page!));
    world.judge();
  });

  test('memory of another device, and what is not asked for', () => {
    const world = booted();
    const { memory, other, x, run } = world;
    run(() => memory.toDevice(x.vma, 0, 1));
    run(() => other.toDevice(x.vma, 1, 2));
    expect(run(() => memory.toSystem(x.vma, 0, 3))).toBe(1);
    expect(kind(world, 0)).toBe('f,W');
    expect(kind(world, 1)).toBe('DEVICE_WRITE(f)');
    expect(run(() => memory.toDevice(x.vma, 1, 2))).toBe(0);
    world.judge();
  });

  test('a device without free memory: the page stays', () => {
    const world = booted({ nr: 1 });
    expect(world.run(() => all(world))).toBe(1);
    expect(kind(world, 1)).toBe('f,W');
    world.judge();
  });

  test.each([
    ['no VMA', () => undefined, 0, 1],
    ['an empty range', (x: Region) => x.vma, 1, 1],
    ['a range that begins before the VMA', (x: Region) => x.vma, -1, 1],
    ['a range that ends after it', (x: Region) => x.vma, 2, 4],
  ] as const)('%s', (_, vmaOf, start, end) => {
    const { x, run } = booted();
    const args = migration({ vma: vmaOf(x), start, end }, 1, MIGRATE_VMA_SELECT.SYSTEM);
    expect(run(() => migrate_vma_setup(args))).toBe(-EINVAL);
  });

  test('a fault_page that is RAM', () => {
    const { m, x, run } = booted();
    const args = migration({ vma: x.vma, start: 0, end: 1 }, 1, MIGRATE_VMA_SELECT.SYSTEM, m.pages(x)[0]);
    expect(run(() => migrate_vma_setup(args))).toBe(-EINVAL);
  });
});

describe('coherent memory', () => {
  const COHERENT = { type: 'COHERENT' } as const;

  test('is mapped as any other, and CPUs load and store there', () => {
    const world = booted(COHERENT);
    const { memory, run } = world;
    run(() => userStore(0, 2));
    expect(run(() => all(world))).toBe(3);
    expect(kind(world, 0)).toBe('f,W');
    expect(world.kernel.machine.frames[pfnOf(world.entry(0))]!.device).toBe('coherent');
    expect(run(() => userLoad(0))).toBe(2);
    run(() => userStore(0, 3));
    expect(run(() => memory.load(0))).toBe(3);
    expect(world.kernel.mem_map[pfnOf(world.entry(0))]!.flags.value & PG.lru).toBe(0);
    world.judge();
  });

  test('MADV_FREE leaves it alone', () => {
    const world = booted(COHERENT);
    const { p, run } = world;
    run(() => all(world));
    run(() => userStore(0, 6));
    run(() => madvise_free(p.mm, 0, 1));
    expect(kind(world, 0)).toBe('f,W,d');
    world.judge();
  });

  test('is copied on write to RAM', () => {
    const world = booted(COHERENT);
    const { p, child, run } = world;
    run(() => all(world));
    run(() => dup_mmap(child.mm, p.mm));
    run(() => userStore(0, 4), child);
    expect(world.kernel.machine.frames[pfnOf(world.entry(0, child))]!.device).toBeUndefined();
    expect(run(() => userLoad(0))).toBe(0);
    world.judge();
  });

  test.each([
    ['pin_user_pages()', pin_user_pages, true],
    ['pin_user_pages_fast()', pin_user_pages_fast, false],
  ] as const)('a longterm pin by %s moves it to RAM, a short one does not', (_, pin, locks) => {
    const world = booted(COHERENT);
    const { p, run } = world;
    run(() => userStore(0, 6));
    run(() => all(world));
    const pinned = (flags: number) =>
      run(function* () {
        if (locks) yield* mmap_read_lock(p.mm);
        const { pages } = yield* pin(0, 2, flags);
        if (locks) yield* mmap_read_unlock(p.mm);
        for (const page of pages) yield* unpin_user_page(page);
        return pages.map(({ frame }) => frame.device);
      });
    expect(pinned(FOLL.WRITE)).toEqual(['coherent', 'coherent']);
    expect(pinned(FOLL.WRITE | FOLL.LONGTERM)).toEqual([undefined, undefined]);
    expect(run(() => userLoad(0))).toBe(6);
    expect(world.free()).toBe(3);
    world.judge();
  });
});
