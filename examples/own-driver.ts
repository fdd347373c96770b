// SPDX-License-Identifier: MIT
/**
 * A driver with a page-table entry of its own, which it fills with a page of the user. Another thread unmaps that page.
 * Check it from any directory: npx shootdown check ./own-driver.ts
 */
import { lock, PTE, read, scenario, see, unlock, violates, write } from 'shootdown';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  mk_pte,
  munmap,
  pte_none,
  pte_page,
} from 'shootdown/linux';

export default scenario({
  id: 'OWN-1',
  family: 'own',
  title: 'A driver that maps a pinned page for its device',
  question: 'May the driver drop its reference before it has cleared the entry of its device?',
  machine: { cpus: 2, frames: 2 },
  knobs: {
    release: ['clear-then-put', 'put-then-clear'],
    bind: ['reference', 'no-reference'],
  },
  bounds: 'one bind and one release by the driver, one munmap',
  setup(m) {
    const p = m.process('P');
    return {
      p,
      x: p.mmap({ pages: 1, touched: true }),
      gpuLock: m.mutex('gpu.lock'),
      gpuPte: m.devicePte('gpu.pte'),
    };
  },
  agents: ({ p, x, gpuLock, gpuPte }, k) => ({
    *driver() {
      const [page] = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (page === undefined) return see('fell back'); // munmap came first
      yield* lock(gpuLock);
      if (k.bind === 'no-reference') yield* folio_put(page);
      yield* write(gpuPte, mk_pte(page, PTE.PRESENT | PTE.RW));
      yield* unlock(gpuLock);
      see('bound');

      yield* lock(gpuLock);
      const pte = yield* read(gpuPte);
      if (!pte_none(pte)) {
        if (k.release === 'put-then-clear' && k.bind === 'reference') yield* folio_put(pte_page(pte));
        yield* write(gpuPte, 0);
        if (k.release === 'clear-then-put' && k.bind === 'reference') yield* folio_put(pte_page(pte));
      }
      yield* unlock(gpuLock);
    },
    *unmapper() {
      yield* munmap(p.mm, x.vma);
    },
  }),
  sometimes: ['bound', 'fell back'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'release=put-then-clear': violates('FRAME-REUSE'),
    'release=put-then-clear,machine=bcast': violates('FRAME-REUSE'),
    'bind=no-reference': violates('FRAME-REUSE'),
  },
});
