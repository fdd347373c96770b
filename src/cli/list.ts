// SPDX-License-Identifier: MIT
import { SCENARIOS } from '../scenarios/index.js';
import { say, sayJson } from './output.js';

/** Prints the built-in scenarios by family. */
export function listCommand({ json }: { json: boolean }): void {
  if (json) {
    sayJson({
      scenarios: SCENARIOS.map(
        ({ id, family, title, question, kind, knobs, sometimes, matrix, variants }) => ({
          id,
          family,
          title,
          question,
          kind,
          knobs,
          sometimes,
          ...(matrix === undefined ? {} : { matrix }),
          variants: variants.map(({ name, expect }) => ({
            name,
            expect: expect?.verdict ?? null,
            property: expect?.property ?? '',
            reports: expect?.reports ?? [],
          })),
        }),
      ),
    });
    return;
  }
  const width = Math.max(...SCENARIOS.map(({ id }) => id.length));
  const families = new Set(SCENARIOS.map(({ family }) => family));
  for (const family of families) {
    say(family);
    for (const { id, question, variants } of SCENARIOS.filter((one) => one.family === family)) {
      say(
        `  ${id.padEnd(width)}  ${question} (${variants.length} variant${variants.length === 1 ? '' : 's'})`,
      );
    }
  }
}
