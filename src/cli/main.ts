#!/usr/bin/env node
// SPDX-License-Identifier: MIT
import { check } from '../explore/check.js';
import { SCENARIOS } from '../scenarios/index.js';

for (const scenario of SCENARIOS) {
  for (const variant of scenario.variants) {
    const v = check(scenario, variant, { strategy: (process.argv[3] as 'bfs') ?? 'reduced' });
    console.log(
      v.id,
      v.variant,
      v.verdict,
      v.property,
      v.detail,
      v.reports.join(),
      v.states,
      v.transitions,
      v.automatonNodes,
      v.seconds.toFixed(3),
      v.asExpected,
      v.shown?.run.length,
      JSON.stringify(v.witnesses),
    );
  }
}
