// SPDX-License-Identifier: MIT
/**
 * Which of the mutants that `npm run mutate` makes does the replay of the recordings notice? All in functions of src/linux
 * that the recordings reach count, also where they do not reach the statement itself.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { describe, kindOf, type Mutant, mutantsOf, nameOf, siteNames } from '../src/cli/mutants.js';
import { siteCount } from '../src/core/live.js';
import type { Ended, Reached, Task } from './mutate-worker.js';
import { type Asked, judgedOf } from './replay.js';

export interface MutateOptions {
  readonly files: readonly string[];
  /** Only mutants whose description contains this. */
  readonly only: string | undefined;
  /** Recordings that a mutant is asked about at most; default: all that reach it. */
  readonly sample: number | undefined;
  /** Looks at properties in each recording as said here, not as the replay does it. */
  readonly judged: Asked['judged'];
  /** Keeps what is known. */
  readonly results: string | undefined;
  readonly json: boolean;
}

/** What is known of a mutant. */
interface Result {
  readonly by: string | undefined;
  readonly how: string;
  /** Recordings that did not notice. */
  readonly tried: readonly string[];
}

interface Kept {
  readonly reached: Record<string, Reached>;
  readonly mutants: Record<string, Result>;
}

/** Share of the mutants that the replay has to notice. */
const ENOUGH = 0.8;
/** Milliseconds that one recording may take with a mutant: it hangs if it takes more. */
const PATIENCE = 180_000;

const say = (text: string): void => void process.stderr.write(text);

/** The mutate command. Returns the exit code: 1 if too few mutants are noticed. */
export async function mutate(options: MutateOptions): Promise<number> {
  const pool = new Tinypool({
    filename: fileURLToPath(new URL('mutate-worker.mjs', import.meta.url)),
    maxThreads: availableParallelism(),
  });
  const run = <T>(task: Task): Promise<T> =>
    pool.run(task, { signal: AbortSignal.timeout(PATIENCE) }) as Promise<T>;
  const kept = keptIn(options.results);
  const keep = (): void => {
    if (options.results !== undefined) writeFileSync(options.results, `${JSON.stringify(kept)}\n`);
  };
  const recordings = judgedOf(options.files).map(({ file, judged }) => ({
    file,
    judged: options.judged ?? judged,
  }));
  await eachAtOnce(recordings, async (asked) => {
    kept.reached[asked.file] ??= await run<Reached>({ kind: 'cover', asked });
  });
  keep();

  const functions = new Set<string>();
  const sites = new Set<string>();
  for (const { file } of recordings)
    for (const name of Object.keys(kept.reached[file]!)) {
      sites.add(name);
      functions.add(name.slice(0, name.lastIndexOf(' ')));
    }
  const names = siteNames();
  const mutants = Array.from({ length: siteCount() }, (_, number) => number)
    .filter((number) => functions.has(names[number]!.slice(0, names[number]!.lastIndexOf(' '))))
    .flatMap(mutantsOf)
    .filter((mutant) => options.only === undefined || describe(mutant).includes(options.only));
  say(`${mutants.length} mutants in ${functions.size} functions\n`);
  let [done, saved] = [0, Date.now()];
  await eachAtOnce(mutants, async (mutant) => {
    await settle(mutant);
    if (++done % 25 === 0) say(`${done}/${mutants.length}\n`);
    if (Date.now() - saved < 10_000) return;
    saved = Date.now();
    keep();
  });
  keep();
  await pool.destroy();
  return report(mutants, kept.mutants, sites, options.json);

  async function settle(mutant: Mutant): Promise<void> {
    const name = nameOf(mutant);
    const known = kept.mutants[name];
    if (known?.by !== undefined) return;
    const tried = new Set(known?.tried);
    for (const asked of inOrder(recordings, kept.reached, names[mutant.site]!)
      .slice(0, options.sample)
      .filter(({ file }) => !tried.has(basename(file)))) {
      let ended: Ended;
      try {
        ended = await run<Ended>({ kind: 'mutant', mutant: name, asked: [asked] });
      } catch (error) {
        if ((error as Error).name !== 'AbortError') throw error;
        ended = { by: asked.file, how: 'hangs' };
      }
      if (ended.by !== undefined) {
        kept.mutants[name] = { by: basename(ended.by), how: ended.how, tried: [] };
        return;
      }
      tried.add(basename(asked.file));
    }
    kept.mutants[name] = { by: undefined, how: '', tried: [...tried] };
  }
}

function keptIn(file: string | undefined): Kept {
  if (file === undefined || !existsSync(file)) return { reached: {}, mutants: {} };
  return JSON.parse(readFileSync(file, 'utf8')) as Kept;
}

/** Recordings that reach a site: in turns those that reach it soonest, and those that reach it most often. */
function inOrder(
  recordings: readonly Asked[],
  reached: Readonly<Record<string, Reached>>,
  site: string,
): Asked[] {
  const all = recordings.flatMap((asked) => {
    const known = reached[asked.file]![site];
    return known === undefined ? [] : [{ asked, count: known[0], first: known[1] }];
  });
  const soonest = [...all].sort((x, y) => x.first - y.first);
  const most = [...all].sort((x, y) => y.count - x.count);
  const order = new Set<Asked>();
  soonest.forEach((one, i) => order.add(one.asked).add(most[i]!.asked));
  return [...order];
}

/** Does something for each, as many at a time as there are CPUs. */
async function eachAtOnce<T>(list: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < list.length) await each(list[next++]!);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
}

function report(
  mutants: readonly Mutant[],
  results: Readonly<Record<string, Result>>,
  sites: ReadonlySet<string>,
  json: boolean,
): number {
  const names = siteNames();
  const list = mutants.map((mutant) => {
    const name = nameOf(mutant);
    const { by, how, tried } = results[name]!;
    return {
      name,
      mutant: describe(mutant),
      kind: kindOf(mutant),
      executed: sites.has(names[mutant.site]!),
      by,
      how,
      tried: tried.length,
    };
  });
  const killed = list.filter(({ by }) => by !== undefined).length;
  const share = list.length === 0 ? 1 : killed / list.length;
  if (json)
    process.stdout.write(`${JSON.stringify({ mutants: list.length, killed, share, list }, null, 2)}\n`);
  else {
    for (const { by, executed, mutant, name, tried } of list)
      if (by === undefined)
        process.stdout.write(`${executed ? `survives ${tried}` : 'not executed'}: ${mutant}\n  ${name}\n`);
    for (const kind of [...new Set(list.map((one) => one.kind))].sort()) {
      const ones = list.filter((one) => one.kind === kind);
      const count = ones.filter(({ by }) => by !== undefined).length;
      const idle = ones.filter(({ executed }) => !executed).length;
      process.stdout.write(
        `${kind.padEnd(26)}${count} of ${ones.length} (${percent(count / ones.length)}), ${idle} not executed\n`,
      );
    }
    process.stdout.write(`${killed} of ${list.length} mutants make the replay fail (${percent(share)})\n`);
  }
  return share >= ENOUGH ? 0 : 1;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
