// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Verifier } from '../../bench/spin.js';
import * as toys from '../explore/fixtures/systems.js';
import { promela } from './promela.js';
import { record } from './record.js';
import { writeFileSync } from 'node:fs';

test.each(Object.entries({
  peterson: () => toys.peterson(),
  'peterson, wrong turn': () => toys.peterson({ broken: true }),
  'peterson on tso': () => toys.peterson({ memory: 'tso' }),
  'peterson on tso without fences': () => toys.peterson({ memory: 'tso', fences: false }),
  'three philosophers': () => toys.philosophers(3),
  'three ordered philosophers': () => toys.philosophers(3, { ordered: true }),
  trylocks: () => toys.trylocks(),
  'trylocks, one meddles': () => toys.trylocks({ meddle: true }),
  'retry loop': () => toys.retry(),
  leak: () => toys.leak(),
  'no leak': () => toys.leak({ forget: false }),
  'data race under a lock': () => toys.dataRace(),
  'data race after a lock': () => toys.dataRace({ locked: true }),
  'no data race': () => toys.dataRace({ marked: true }),
}))('%s', (_name, build) => {
  const recorded = record(build());
  const { text, ends } = promela(recorded);
  writeFileSync(`/tmp/x-${_name.replaceAll(/\W/g,'_')}.pml`, text);
  const verifier = new Verifier(text, ['-O0']);
  const j = verifier.judge();
  verifier.dispose();
  const r = recorded.result;
  console.log(_name, r.states, r.transitions, r.terminals, r.findings.filter(f=>f.kind!=='witness').map(f=>f.kind+' '+f.name), j, ends);
});
