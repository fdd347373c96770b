// SPDX-License-Identifier: GPL-2.0-only
import { deviceAtomicAdd, livelocks, scenario, see, violates } from '../../litmus/index.js';
import { offline_pages } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * A device-exclusive entry holds a reference and, up to 6.14, counts as no mapping. To migration the page then looks
 * like one that somebody has pinned: nothing to unmap, and one reference too many. It is isolated, refused, put back,
 * and found again. Since 6.15 the entry is a mapping, which try_to_migrate() takes away like any other, after the
 * notifier has told the device.
 */
export default scenario({
  id: 'D-33',
  family: 'device-exclusive',
  title: 'memory offline against a device-exclusive page',
  question: 'Can memory go offline while a device has a page of it for itself?',
  machine: { cpus: 2, frames: 3, hotplug: true, data: true },
  kernels: ['6.12', '6.15'],
  knobs: { walker: ['as-released', 'not-taught'] },
  kernelKnobs: ({ walker }) => (walker === 'not-taught' ? { 'try_to_migrate.nonpresent': 'taken' } : {}),
  bounds: 'one page that a device has for itself, one atomic of it, the offline loop on its section',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    m.watchSum(p, x.start);
    return { x, gpu, section: m.section([page], { online: true, movable: true }) };
  },
  agents: ({ x, gpu, section }) => ({
    *offliner() {
      yield* offline_pages(section);
      see('offline');
    },
    *device() {
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['offline', 'the device added'],
  expect: {
    base: livelocks(),
    'kernel=6.15': 'safe',
    'walker=not-taught,kernel=6.15': violates('META-ALIVE'),
  },
});
