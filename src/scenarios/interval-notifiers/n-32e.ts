// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  get_user_pages_fast_only,
  madvise_dontneed,
  mmap_read_lock,
  mmap_read_unlock,
  nouveau_dmem_migrate_vma,
  NouveauDmem,
  NouveauMnOps,
  NouveauSvmm,
  userStore,
} from '../../linux/index.js';

/**
 * migrate_vma_pages() may refuse what migrate_vma_setup() had found: where nothing was, a CPU has faulted a page in
 * meanwhile; or somebody has a reference on the page for a moment. It says so in src. nouveau maps all that it has copied
 * to its GPU nevertheless, and migrate_vma_finalize() then gives the refused pages back to the list of the free ones. That
 * look is not enough: of a migration entry that was zapped since nobody says anything but the notifier, which came before
 * the GPU had its entry.
 */
export default scenario({
  id: 'N-32e',
  family: 'interval-notifiers',
  title: 'pages that migrate_vma_pages() refuses',
  question: 'May a driver map what it has copied, without a look at what migrate_vma_pages() says?',
  machine: { cpus: 2, frames: 4, data: true, fill: 'demand', rcuCallbacks: 0 },
  knobs: {
    'nouveau.pfns_map': ['all', 'migrated'],
    beside: ['cpu-fault', 'gup-fast', 'dontneed'],
  },
  bounds:
    'one page, in RAM or nowhere yet; one migration to the GPU beside one store of a CPU, one GUP-fast, or one MADV_DONTNEED',
  setup(m, { beside }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: beside !== 'cpu-fault' });
    if (beside === 'cpu-fault') p.setPte(x.start, 0);
    const svmm = new NouveauSvmm(m.kernel, m.device('gpu0', { mirrors: p }), p.mm);
    p.mmuNotifier(new NouveauMnOps(svmm));
    return { p, x, dmem: new NouveauDmem(m.kernel, svmm, 1) };
  },
  agents: ({ p, x, dmem }, { beside }) => ({
    *mover() {
      yield* mmap_read_lock(p.mm);
      yield* nouveau_dmem_migrate_vma(dmem, x.vma, x.start, x.end);
      yield* mmap_read_unlock(p.mm);
      see('bound');
    },
    *cpu() {
      if (beside === 'cpu-fault') yield* userStore(x.start, 5);
      else if (beside === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else {
        const pages = yield* get_user_pages_fast_only(x.start, 1, 0);
        for (const page of pages) yield* folio_put(page);
      }
      see('served');
    },
  }),
  sometimes: ['bound', 'served'],
  expect: {
    base: violates('SPTE-COHERENT'),
    'machine=bcast': violates('SPTE-COHERENT'),
    // With interrupts the flush of the entry waits for GUP-fast: whoever has read the entry has a reference by then.
    'beside=gup-fast': 'safe',
    'beside=gup-fast,machine=bcast': violates('FRAME-REUSE'),
    // What was zapped has migrated all the same, to a page that migrate_vma_finalize() frees: src does not say so.
    'beside=dontneed': violates('SPTE-COHERENT'),
    'nouveau.pfns_map=migrated,beside=dontneed': violates('SPTE-COHERENT'),
    'nouveau.pfns_map=migrated': 'safe',
    'nouveau.pfns_map=migrated,machine=bcast': 'safe',
    'nouveau.pfns_map=migrated,beside=gup-fast,machine=bcast': 'safe',
  },
});
