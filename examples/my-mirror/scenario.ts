// SPDX-License-Identifier: MIT
/**
 * What is asked of the driver: one fault of the device, while the process gives the page away.
 * npx shootdown check my-mirror/scenario.ts
 */
import { scenario, see, violates } from 'shootdown';
import { madvise_dontneed, munmap } from 'shootdown/linux';
import { MISTAKES, myMirror, serveFault } from './driver.js';

export default scenario({
  id: 'MIRROR-1',
  family: 'mine',
  title: 'my mirror',
  question: 'Does my device ever reach a page that the process has given away?',
  machine: { cpus: 2, frames: 3 },
  knobs: { mistake: MISTAKES, by: ['munmap', 'dontneed'] },
  bounds: 'one fault of the device, one munmap or one MADV_DONTNEED of the page',
  setup(m, { mistake }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    return { p, x, mirror: myMirror(m, p, x, mistake) };
  },
  agents: ({ p, x, mirror }, { mistake, by }) => ({
    *gpu() {
      if (yield* serveFault(mirror, x.start, mistake)) see('mapped');
      else see('no page any more');
    },
    *invalidator() {
      if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=dontneed': 'safe',
    'mistake=no-set-seq': violates('SPTE-COHERENT'),
    'mistake=retry-unlocked': violates('SPTE-COHERENT', { reports: ['DATA-RACE'] }),
    'mistake=begin-late': violates('SPTE-COHERENT'),
    'mistake=no-retry': violates('SPTE-COHERENT'),
  },
});
