// SPDX-License-Identifier: GPL-2.0-only
import { claim, deadlocks, deviceAtomicAdd, scenario, see } from '../../litmus/index.js';
import { EBUSY, is_device_exclusive_entry, ptep_get, userLoad } from '../../linux/index.js';
import { testHmmDriver } from './drivers.js';

/**
 * A folio of two pages, mapped by PTEs, in one range call. Up to 6.14 the conversion is the folio's: every entry of it
 * becomes exclusive, the caller gets one page, and the call for the next page finds the folio locked, by itself. The
 * entry that nobody uses is restored by the first touch, alone. 6.15 converts an address at a time.
 */
export default scenario({
  id: 'D-22',
  family: 'device-exclusive',
  title: 'two pages of one folio in one call',
  question: 'What does make_device_exclusive_range() do with two pages of one folio?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, thp: true, data: true },
  kernels: ['6.12', 'v8', '6.15'],
  knobs: { call: ['range', 'each'], folio_lock: ['as-released', 'blocking'] },
  kernelKnobs: ({ folio_lock }) => (folio_lock === 'blocking' ? { 'make.folio_lock': 'killable' } : {}),
  bounds:
    'one folio of two pages, one call for both or a call for each, an atomic on each, one load of the second page',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 2, folio: 'pte' });
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, gpu, driver: testHmmDriver(m, gpu, p), second: p.ptep(x.start + 1) };
  },
  agents: ({ x, gpu, driver, second }, { call }) => ({
    *user() {
      const entry = yield* ptep_get(second);
      if (is_device_exclusive_entry(entry)) see('the second page is exclusive');
      const value = yield* userLoad(x.start + 1);
      yield* claim(value === 0, 'DATA', 'the second page has the contents of another');
    },
    *device() {
      if (call === 'range') {
        const err = yield* driver.exclusive(x.start, 2);
        yield* claim(err === -EBUSY, 'ERRNO', 'both pages of the folio were had');
      } else {
        yield* driver.exclusive(x.start, 1);
        yield* driver.exclusive(x.start + 1, 1);
      }
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['the second page is exclusive', 'the device added'],
  expect: {
    base: 'safe',
    'kernel=v8': 'safe',
    'call=each': 'safe',
    'call=each,kernel=v8': 'safe',
    'call=each,kernel=6.15': 'safe',
    'folio_lock=blocking,kernel=v8': deadlocks({ reports: ['LOCK-ORDER'] }),
  },
});
