// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, userLoad, userStore } from '../../linux/index.js';

/**
 * fork() that copies device-exclusive entries, as v5 to v7 of the series did: parent and child refer to one page, and the
 * entries do not count in _mapcount. Who writes first must not take the page for its own.
 */
export default scenario({
  id: 'D-02',
  family: 'device-exclusive',
  title: 'copied exclusive entries and the rule for reuse',
  question:
    'If fork copies a device-exclusive entry, does the first write stay invisible to the other process?',
  machine: { cpus: 2, frames: 5, data: true },
  knobs: {
    'cow.reuse': ['page-count', 'map-count', 'anon-exclusive'],
    'fork.exclusive_flag': ['cleared', 'kept'],
    child: ['reads', 'writes'],
    parent: ['writes', 'reads'],
  },
  kernelKnobs: { 'fork.exclusive': 'copy' },
  bounds:
    'one fork of one device-exclusive page; then one store or load of the parent, two loads or a store and a load of the child',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1] });
    m.exclusive(p, x.start);
    return { p, x, c, forked: m.flag('forked'), stored: m.flag('stored') };
  },
  agents: ({ p, x, c, forked, stored }, { child, parent }) => ({
    parent: {
      cpu: 0,
      process: p,
      *run() {
        yield* dup_mmap(c.mm, p.mm);
        yield* write(forked, 1);
        if (parent === 'writes') yield* userStore(x.start, 5);
        yield* write(stored, 1);
        const value = yield* userLoad(x.start);
        yield* claim(
          value === (parent === 'writes' ? 5 : 0),
          'COW-ISO',
          'the parent sees what the child has stored',
        );
      },
    },
    child: {
      cpu: 1,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        if (child === 'writes') yield* userStore(x.start, 7);
        else yield* userLoad(x.start);
        see('child touched');
        yield* awaitValue(stored, 1);
        const value = yield* userLoad(x.start);
        const own = child === 'writes' ? 7 : 0;
        yield* claim(value === own, 'COW-ISO', 'the child sees what the parent has stored');
      },
    },
  }),
  sometimes: ['child touched'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'child=writes': 'safe',
    'cow.reuse=map-count': violates('COW-ISO'),
    'cow.reuse=map-count,machine=bcast': violates('COW-ISO'),
    // Who comes second finds the page mapped twice and copies it, with what the first one stored.
    'cow.reuse=map-count,child=writes': 'safe',
    'cow.reuse=map-count,child=writes,parent=reads': violates('COW-ISO'),
    'child=writes,parent=reads': 'safe',
    'cow.reuse=anon-exclusive': 'safe',
    'cow.reuse=anon-exclusive,child=writes': 'safe',
    'cow.reuse=anon-exclusive,fork.exclusive_flag=kept': violates('ANON-EXCL'),
  },
});
