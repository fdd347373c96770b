// SPDX-License-Identifier: MIT
/**
 * `npm run mutate -- --family F [--workers N] [--json]`: deletes, one at a time, each lock, flush, recheck, get, put and
 * barrier in the src/linux files that the family runs, and says which deletions change no verdict. Survivors need a
 * reason in docs/survivors.json.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Tinypool } from 'tinypool';
import { SCENARIOS } from '../scenarios/index.js';
import { type Covered, describe, type Killed, type Mutant, mutantsOf, nameOf, type Task } from './mutants.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    family: { type: 'string' },
    workers: { type: 'string' },
    json: { type: 'boolean' },
    only: { type: 'string' },
  },
});
const scenarios = SCENARIOS.filter(({ family }) => values.family === undefined || family === values.family);
if (scenarios.length === 0) {
  process.stderr.write(
    `no family ${values.family}; there is ${[...new Set(SCENARIOS.map(({ family }) => family))].join(', ')}\n`,
  );
  process.exit(2);
}
const survivorsFile = resolve(here, '..', '..', 'docs', 'survivors.json');
const reasons: Record<string, string> = existsSync(survivorsFile)
  ? (JSON.parse(readFileSync(survivorsFile, 'utf8')) as Record<string, string>)
  : {};
const pool = new Tinypool({
  filename: join(here, 'mutants.js'),
  maxThreads: Number(values.workers ?? availableParallelism()),
});
const say = (text: string): void => void process.stderr.write(text);

const variants = scenarios.flatMap((scenario) =>
  scenario.variants.map((variant, index) => ({
    scenario: scenario.id,
    variant: index,
    name: `${scenario.id} ${variant.name}`,
    safe: variant.expect?.verdict === 'safe',
  })),
);
say(`${variants.length} variants: which sites do they run?\n`);
const covered = await Promise.all(
  variants.map(async (variant) => {
    const task: Task = { kind: 'cover', scenario: variant.scenario, variant: variant.variant };
    return { ...variant, ...((await pool.run(task)) as Covered) };
  }),
);
for (const { name, asExpected } of covered)
  if (!asExpected) say(`${name}: not as declared even without a mutant\n`);
const usable = covered
  .filter(({ asExpected }) => asExpected)
  .sort((x, y) => Number(y.safe) - Number(x.safe) || x.states - y.states);
const sites = [...new Set(usable.flatMap((variant) => variant.sites))].sort((x, y) => x - y);
const mutants = sites
  .flatMap(mutantsOf)
  .filter((mutant) => values.only === undefined || describe(mutant).includes(values.only));
say(`${mutants.length} mutants\n`);

let done = 0;
const ended = await Promise.all(
  mutants.map(async (mutant): Promise<{ mutant: Mutant; killed: Killed }> => {
    const runs = usable
      .filter((variant) => variant.sites.includes(mutant.site))
      .map(({ scenario, variant }) => ({ scenario, variant }));
    const killed = (await pool.run({ kind: 'mutant', mutant, runs } satisfies Task)) as Killed;
    done++;
    if (process.stderr.isTTY) say(`\r${done}/${mutants.length} `);
    return { mutant, killed };
  }),
);
await pool.destroy();
const survivors = ended.filter(({ killed }) => killed.by === undefined);
const share = mutants.length === 0 ? 1 : (mutants.length - survivors.length) / mutants.length;
if (values.json === true) {
  const list = ended.map(({ mutant, killed }) => ({
    name: nameOf(mutant),
    mutant: describe(mutant),
    ...killed,
    reason: reasons[nameOf(mutant)],
  }));
  process.stdout.write(
    `${JSON.stringify({ mutants: mutants.length, killed: mutants.length - survivors.length, share, list }, null, 2)}\n`,
  );
} else {
  for (const { mutant } of survivors)
    process.stdout.write(
      `survives: ${describe(mutant)}\n  ${reasons[nameOf(mutant)] ?? `no reason in docs/survivors.json for "${nameOf(mutant)}"`}\n`,
    );
  process.stdout.write(
    `${mutants.length - survivors.length} of ${mutants.length} mutants change a verdict (${(100 * share).toFixed(1)} %)\n`,
  );
}
process.exitCode =
  share >= 0.9 && survivors.every(({ mutant }) => reasons[nameOf(mutant)] !== undefined) ? 0 : 1;
