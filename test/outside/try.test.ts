// SPDX-License-Identifier: MIT
import { test } from 'vitest';
import { Verifier } from '../../bench/spin.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import { promela } from './promela.js';
import { record } from './record.js';
import { writeFileSync } from 'node:fs';

test.each((process.env.TRY ?? 'N-07 from=callback;G-01 base').split(';').map(x=>x.split(' ')))('%s %s', (id, name) => {
  const s = SCENARIOS.find(s => s.id === id)!;
  const v = s.variants.find(v => v.name === name)!;
  const {system, monitor} = s.build(v.knobs, s.passes(v.knobs)[0]!);
  let t = Date.now();
  const lap = () => { const n = Date.now() - t; t = Date.now(); return n; };
  const recorded = record(system, monitor && (() => monitor()));
  const t1 = lap();
  const { text, ends } = promela(recorded);
  writeFileSync(`/tmp/x-${id}.pml`, text);
  const t2 = lap();
  const verifier = new Verifier(text, ['-O0', '-DVECTORSZ=4096']);
  const t3 = lap();
  const j = verifier.judge();
  const t4 = lap();
  verifier.dispose();
  const r = recorded.result;
  console.log(id, name, r.states, r.transitions, r.terminals, r.findings.filter(f=>f.kind!=='witness').map(f=>f.kind+' '+f.name).join(), j.states, j.transitions, j.failed.map(f => ends[Number(/\d+/.exec(f)![0])-1]), text.length, t1,t2,t3,t4, system.invariants.filter(i=>i.when==='end').length);
}, 300000);
