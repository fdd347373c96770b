// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceLoad, deviceStore, scenario, see, violates } from '../../litmus/index.js';
import {
  mmap_read_lock,
  mmap_read_unlock,
  nouveau_dmem_migrate_vma,
  NouveauDmem,
  NouveauMnOps,
  NouveauSvmm,
  userLoad,
} from '../../linux/index.js';
import { makeEntry, PTE } from '../../machine/pte.js';

/**
 * nouveau's notifier leaves the migrations of its own GPU alone: what the GPU has mapped of its own memory is dealt with by
 * the code that migrates it. But it leaves them alone also where pages of RAM go to the GPU. The GPU keeps its entry for
 * the page in RAM until the new one is mapped, and what it stores there after the copy was made is lost. For the way back
 * the driver takes the entry away itself, before it copies. amdgpu obeys the event, whoever migrates.
 */
export default scenario({
  id: 'N-32c',
  family: 'interval-notifiers',
  title: "a GPU that stores beside its driver's own migration",
  question: 'What becomes of what a GPU stores to a page that its driver migrates to its memory, or back?',
  machine: { cpus: 2, frames: 4, data: true, fill: 'demand', rcuCallbacks: 0 },
  knobs: {
    'nouveau.migrate_event': ['ignored', 'obeyed'],
    by: ['bind', 'cpu-fault'],
  },
  bounds:
    'one page that the GPU has mapped; one store of the GPU beside one migration to it, or one load of a CPU that brings the page back',
  setup(m, { by }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const svmm = new NouveauSvmm(m.kernel, gpu, p.mm);
    const dmem = new NouveauDmem(m.kernel, svmm, 1);
    p.mmuNotifier(new NouveauMnOps(svmm));
    if (by === 'cpu-fault') {
      m.inDeviceMemory(p, x.start, dmem.pagemap, gpu);
      dmem.free_pages.init(0);
    } else {
      const [page] = m.pages(x);
      gpu.pte[x.start]!.init(makeEntry(page!.pfn, PTE.PRESENT | PTE.RW));
    }
    return { p, x, gpu, dmem };
  },
  agents: ({ p, x, gpu, dmem }, { by }) => ({
    *gpu0() {
      if ((yield* deviceStore(gpu, x.start, 5)) === undefined) return see('the GPU faulted');
      see('the GPU stored');
      const seen = yield* deviceLoad(gpu, x.start);
      yield* claim(
        seen === undefined || seen === 5,
        'DATA',
        'the GPU loads something else than it has stored',
      );
    },
    *mover() {
      if (by === 'bind') {
        yield* mmap_read_lock(p.mm);
        yield* nouveau_dmem_migrate_vma(dmem, x.vma, x.start, x.end);
        yield* mmap_read_unlock(p.mm);
      } else yield* userLoad(x.start);
      see('moved');
    },
  }),
  sometimes: ['the GPU stored', 'moved'],
  expect: {
    base: violates('DATA'),
    'machine=bcast': violates('DATA'),
    'nouveau.migrate_event=obeyed': 'safe',
    'by=cpu-fault': 'safe',
    'nouveau.migrate_event=obeyed,by=cpu-fault': 'safe',
  },
});
