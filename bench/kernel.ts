// SPDX-License-Identifier: MIT
/**
 * The kernel-sized case: three threads of one process on a CPU each, eight operations of the real kernel code, fork and
 * exit among them, five frames of which any free one may be handed out.
 */
import { scenario } from '../src/litmus/index.js';
import {
  dup_mmap,
  exit_mmap,
  FOLL,
  gup_fast,
  gup_put_folio,
  madvise_dontneed,
  userStore,
} from '../src/linux/index.js';

export const kernelSized = scenario({
  id: 'KERNEL-SIZED',
  family: 'bench',
  question: 'How long does it take to exhaust three threads with eight operations on five frames?',
  machine: { cpus: 3, frames: 5, ptrsPerPte: 2 },
  knobs: {},
  bounds:
    'two GUP-fast and a store; fork, a store and the exit of the child; MADV_DONTNEED and a store to another page',
  setup(m) {
    const p = m.process('P', { cpus: [0, 1, 2] });
    const x = p.mmap({ pages: 1, touched: true });
    const y = p.mmap({ pages: 1 });
    return { p, x, y, c: m.child('C', p) };
  },
  agents: ({ p, x, y, c }) => ({
    *pinner() {
      const [first] = yield* gup_fast(x.start, x.end, FOLL.GET);
      if (first !== undefined) yield* gup_put_folio(first, 1, FOLL.GET);
      yield* userStore(x.start);
      const [second] = yield* gup_fast(x.start, x.end, FOLL.GET | FOLL.WRITE);
      if (second !== undefined) yield* gup_put_folio(second, 1, FOLL.GET);
    },
    *forker() {
      yield* dup_mmap(c.mm, p.mm);
      yield* userStore(x.start);
      yield* exit_mmap(c.mm);
    },
    *zapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* userStore(y.start);
    },
  }),
  expect: { base: 'safe', 'machine=bcast': 'safe' },
});
