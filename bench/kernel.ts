// SPDX-License-Identifier: MIT
import { scenario, see } from '../src/litmus/index.js';
import {
  dup_mmap, exit_mmap, FOLL, folio_put, gup_fast, gup_put_folio, madvise_dontneed, userLoad, userStore,
} from '../src/linux/index.js';
export const kernelSized = scenario({
  id: 'BENCH-1',
  family: 'bench',
  question: '?',
  machine: { cpus: 3, frames: 5, ptrsPerPte: 2 },
  knobs: {n: ['8','7','6','5','4','3']},
  bounds: 'x',
  setup(m) {
    const p = m.process('P', { pages: 2, cpus: [0,1,2] });
    const x = p.mmap({ pages: 1, touched: true });
    const y = p.mmap({ pages: 1 });
    const c = m.child('C', p);
    return { p, x, y, c };
  },
  agents: ({ p, x, y, c }, {n}) => ({
    *a() {
      const [got] = yield* gup_fast(0, 1, FOLL.GET);
      if (got !== undefined) yield* gup_put_folio(got, 1, FOLL.GET);
      if (n>'7') yield* userStore(0);
      if (n>'6') {
      const [g] = yield* gup_fast(0, 1, FOLL.GET | FOLL.WRITE);
      if (g !== undefined) yield* gup_put_folio(g, 1, FOLL.GET);
      }
    },
    *b() {
      yield* dup_mmap(c.mm, p.mm);
      if (n>'5') yield* userStore(0);
      if (n>'4') yield* exit_mmap(c.mm);
    },
    *d() {
      yield* madvise_dontneed(x.vma, 0, 1);
      if (n>'3') yield* userStore(1);
    },
  }),
  expect: { base: 'safe' },
});
