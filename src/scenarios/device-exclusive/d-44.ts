// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceStore,
  type Path,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  deviceListFree,
  dup_mmap,
  EBUSY,
  HMM_PFN,
  hmm_pfn_to_page,
  hmm_range_fault,
  mk_pte,
  mmap_read_lock,
  mmap_read_unlock,
  MMU_NOTIFY,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  type Mm,
  type MmuIntervalNotifier,
  mutex_lock,
  mutex_unlock,
  ownerOf,
  userLoad,
} from '../../linux/index.js';
import { deviceErase, deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { bringBack } from '../device-memory.js';

/** The device's entry for a page that is faulted in for stores, or a negative error number. */
function* look(mm: Mm, notifier: MmuIntervalNotifier, notifier_seq: number, addr: number): Path<number> {
  const hmm_pfns = [0];
  const default_flags = HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE;
  yield* mmap_read_lock(mm);
  const err = yield* hmm_range_fault({
    notifier,
    notifier_seq,
    start: addr,
    end: addr + 1,
    hmm_pfns,
    default_flags,
    pfn_flags_mask: 0,
  });
  yield* mmap_read_unlock(mm);
  return err === 0 ? mk_pte(hmm_pfn_to_page(hmm_pfns[0]!), PTE.PRESENT | PTE.RW) : err;
}

/**
 * Device-private memory: fork copies the entries, readable on both sides, and leaves the page where it is. That is right
 * since the device, which alone reaches the page, is told, and has to ask again for its next store. For an exclusive page
 * the same copying would leave the device as a writer that asks nobody.
 */
export default scenario({
  id: 'D-44',
  family: 'device-exclusive',
  title: 'fork of device-private memory',
  question: 'Why may fork copy the entries of device-private memory?',
  machine: { cpus: 3, frames: 5, data: true, rcuCallbacks: 0, fill: 'demand' },
  // Else two faults may keep each other from bringing the page back: N-32.
  kernelKnobs: { 'do_swap_page.device_private': 'trylock' },
  knobs: {
    driver: ['obeys', 'keeps'],
    store: ['after-fork', 'beside-fork'],
    asked: ['all', 'COW-ISO'],
  },
  bounds:
    'a page in device memory, mapped by the device; one device store with at most one fault, one fork, loads of the child',
  judges: ({ asked }) => (asked === 'all' ? undefined : ['COW-ISO']),
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p, { cpus: [2] });
    const gpu = m.device('gpu0', { mirrors: p });
    const user_lock = m.mutex('gpu0.lock');
    const memory = m.deviceMemory('gpu0.memory', 'PRIVATE', ownerOf(gpu), 1, {
      migrate_to_ram: (vmf) => bringBack(vmf, ownerOf(gpu)),
      page_free: deviceListFree,
    });
    m.inDeviceMemory(p, x.start, memory, gpu);
    const sub = p.intervalNotifier(x, {
      *invalidate(self, range, cur_seq) {
        if (driver === 'keeps' && range.event === MMU_NOTIFY.PROTECTION_PAGE) return true;
        yield* mutex_lock(user_lock);
        yield* mmu_interval_set_seq(self, cur_seq);
        yield* deviceErase(gpu, range.start, range.end);
        yield* mutex_unlock(user_lock);
        return true;
      },
    });
    return { p, x, c, gpu, user_lock, sub, forked: m.flag('forked') };
  },
  agents: ({ p, x, c, gpu, user_lock, sub, forked }, { store }) => ({
    *gpu0() {
      if (store === 'after-fork') yield* awaitValue(forked, 1);
      if ((yield* deviceStore(gpu, x.start, 5)) !== undefined) return see('the device stored where it was');
      for (let round = 0; round < 2; round++) {
        const seq = yield* mmu_interval_read_begin(sub);
        const entry = yield* look(p.mm, sub, seq, x.start);
        if (entry === -EBUSY) continue;
        if (entry < 0) return;
        yield* mutex_lock(user_lock);
        const hit = yield* mmu_interval_read_retry(sub, seq);
        if (!hit) yield* deviceMap(gpu, x.start, entry);
        yield* mutex_unlock(user_lock);
        if (hit) continue;
        if ((yield* deviceStore(gpu, x.start, 5)) !== undefined)
          see('the device stored to a page of its own');
        return;
      }
    },
    *parent() {
      yield* dup_mmap(c.mm, p.mm);
      yield* write(forked, 1);
    },
    child: {
      cpu: 2,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        const first = yield* userLoad(x.start);
        const expected = store === 'after-fork' ? 0 : yield* userLoad(x.start);
        yield* claim(first === expected, 'COW-ISO', 'the child sees a store of a device of its parent');
        see('the child looked');
      },
    },
  }),
  sometimes: ['the device stored to a page of its own', 'the child looked'],
  expect: {
    base: 'safe',
    'store=beside-fork': 'safe',
    'driver=keeps': violates('SPTE-COHERENT'),
    'driver=keeps,asked=COW-ISO': violates('COW-ISO'),
  },
});
