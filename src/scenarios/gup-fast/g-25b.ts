// SPDX-License-Identifier: GPL-2.0-only
import { claim, read, scenario, see, violates, write } from '../../litmus/index.js';
import { get_online_mems, mem_hotplug_begin, mem_hotplug_done, put_online_mems } from '../../linux/index.js';

const entered = violates('EXCLUSION');

/**
 * What the grace period in percpu_down_write() is for: a fast reader counts itself in and looks at nothing else, so the
 * writer has to wait until everybody has seen that readers are slow now. It promises no more than that.
 */
export default scenario({
  id: 'G-25b',
  family: 'gup-fast',
  title: 'What the grace period in mem_hotplug_begin() is for',
  question: 'Whom does percpu_down_write() wait for?',
  machine: { cpus: 3, frames: 1, fill: 'eager', hotplug: true, rcuCallbacks: 2 },
  knobs: {
    'mem_hotplug_begin.gp': ['when-idle', 'never'],
    'other writer': ['none', 'concurrent'],
  },
  bounds: 'one reader of mem_hotplug_lock twice, one or two writers',
  setup(m) {
    m.process('P');
    return m.flag('zone.changing');
  },
  agents: (changing, k) => {
    function* writer() {
      yield* mem_hotplug_begin();
      yield* claim((yield* read(changing)) === 0, 'EXCLUSION', 'a writer finds a writer');
      yield* write(changing, 1);
      yield* write(changing, 0);
      yield* mem_hotplug_done();
      see('changed');
    }
    return {
      *reader() {
        for (let i = 0; i < 2; i++) {
          yield* get_online_mems();
          yield* claim((yield* read(changing)) === 0, 'EXCLUSION', 'a reader finds a writer');
          yield* claim(
            (yield* read(changing)) === 0,
            'EXCLUSION',
            'a writer comes in while a reader is inside',
          );
          yield* put_online_mems();
        }
        see('read');
      },
      writer,
      *other() {
        if (k['other writer'] === 'concurrent') yield* writer();
      },
    };
  },
  sometimes: ['read', 'changed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other writer=concurrent': 'safe',
    'other writer=concurrent,machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never': entered,
    'mem_hotplug_begin.gp=never,machine=bcast': entered,
    'mem_hotplug_begin.gp=never,other writer=concurrent': entered,
    'mem_hotplug_begin.gp=never,other writer=concurrent,machine=bcast': entered,
  },
});
