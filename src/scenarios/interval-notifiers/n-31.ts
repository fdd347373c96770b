// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import { munmap } from '../../linux/index.js';
import { PrivateMemory } from './private-memory.js';

/**
 * What hmm-tests' anon_teardown samples: one thread has the device read a buffer while another unmaps it. The device gets
 * what was there, or an error: never something else, and it is left with nothing.
 */
export default scenario({
  id: 'N-31',
  family: 'interval-notifiers',
  title: 'a device reads while the memory is unmapped',
  question: 'Does a device that reads beside munmap() get the contents or an error, and nothing else?',
  machine: ({ pages }) => ({
    cpus: 2,
    frames: 4,
    ptrsPerPte: pages === '2' ? 2 : 1,
    data: true,
    fill: 'demand',
    seqModulus: 8,
  }),
  knobs: {
    from: ['ram', 'device', 'other-device'],
    pages: ['1', '2'],
    retry: ['locked', 'none'],
    callback: ['obeys', 'lazy'],
  },
  bounds:
    'one or two pages, the first in RAM, in the device, or in another one; one read of the device for each, one munmap()',
  setup(m, { from, pages, retry, callback }) {
    const nr = Number(pages);
    const p = m.process('P', { cpus: [0, 1], pages: nr });
    const x = p.mmap({ pages: nr, touched: true });
    for (const page of m.pages(x)) page.frame.data!.init(7);
    const gpu = m.device('gpu0', { mirrors: p });
    const memory = new PrivateMemory(m, 'gpu0', gpu, p, {
      retry: retry === 'locked',
      obeys: callback === 'obeys',
    });
    const other = from === 'other-device' ? m.device('gpu1', { mirrors: p }) : undefined;
    const has = other === undefined ? memory : new PrivateMemory(m, 'gpu1', other, p);
    if (from !== 'ram') {
      m.inDeviceMemory(p, x.start, has.pgmap);
      has.link();
    }
    return { p, x, memory };
  },
  agents: ({ p, x, memory }) => ({
    *reader() {
      for (let addr = x.start; addr < x.end; addr++) {
        const value = yield* memory.load(addr);
        yield* claim(value === 7 || value < 0, 'DATA', 'the device reads what nobody has stored');
        see(value < 0 ? 'error' : 'read');
      }
    },
    *unmapper() {
      yield* munmap(p.mm, x.vma);
    },
  }),
  sometimes: ['read', 'error'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'pages=2': 'safe',
    'retry=none': violates('SPTE-COHERENT'),
    'callback=lazy': violates('SPTE-COHERENT'),
    'from=device': 'safe',
    'from=device,machine=bcast': 'safe',
    'from=device,pages=2': 'safe',
    'from=device,retry=none': violates('FRAME-REUSE'),
    'from=device,callback=lazy': violates('FRAME-REUSE'),
    'from=other-device': 'safe',
    'from=other-device,retry=none': violates('SPTE-COHERENT'),
  },
});
