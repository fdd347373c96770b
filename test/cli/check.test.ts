// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { counting, folder, root, shootdown } from './shootdown.js';

/** To the first column, and erase. */
const CLEAR = '\r\u001B[K';

interface Row {
  id: string;
  variant: string;
  machine: string;
  verdict: string;
  property: string;
  expected: string | null;
  asExpected: boolean | null;
  seconds: number;
  witnesses: Record<string, boolean>;
  trace: null | { steps: unknown[]; token: string };
}
interface CheckDocument {
  results: Row[];
  summary: { total: number; asExpected: number; incomplete: number; vacuous: number; seconds: number };
}

async function checkJson(
  args: readonly string[],
  cwd?: string,
): Promise<CheckDocument & { code: number | null }> {
  const { code, out, err } = await shootdown(['check', ...args, '--json'], cwd === undefined ? {} : { cwd });
  expect(err).toBe('');
  return { ...(JSON.parse(out) as CheckDocument), code };
}

/** Two threads of which each looks whether it is the first, and that wrongly, if k.guard is `none`. */
const FIRST = {
  body: `
      if (k['guard'] === 'none') yield* claim((yield* read(c)) === 0, 'FIRST', 'somebody was here before');
      yield* write(c, 1);
      if (k['guard'] === 'never') see('other');
      see('wrote');`,
  knobs: "guard: ['none', 'all', 'never']",
};

/** The same on two machines, with a second knob that changes nothing. */
const GRID = counting({
  ...FIRST,
  knobs: `${FIRST.knobs}, order: ['up', 'down']`,
  machines: "'ipi', 'bcast'",
  rest: `sometimes: ['wrote'],
  expect: {
    base: violates('FIRST'),
    'guard=all': 'safe',
    'guard=all,machine=bcast': 'safe',
    'order=down,machine=bcast': violates('FIRST'),
  },`,
});

describe.concurrent('check', () => {
  test('answers in one table, and in the JSON shape that scripts read', async () => {
    const { code, results, summary } = await checkJson(['a.ts'], folder({ 'a.ts': GRID }));
    expect(Object.keys(results[0]!)).toEqual(
      expect.arrayContaining(
        'id family variant machine kernel memory verdict property expected asExpected reports states transitions depth seconds reductions witnesses trace'.split(
          ' ',
        ),
      ),
    );
    expect(results).toMatchObject([
      {
        id: 'T-1',
        family: 'test',
        variant: 'base',
        machine: 'ipi',
        kernel: '6.12',
        memory: 'sc',
        verdict: 'violation',
        property: 'FIRST',
        expected: 'violation',
        asExpected: true,
        witnesses: { wrote: true },
      },
      { variant: 'guard=all', verdict: 'safe', property: '', expected: 'safe', trace: null },
      { variant: 'guard=all,machine=bcast', machine: 'bcast' },
      { variant: 'order=down,machine=bcast', asExpected: true },
    ]);
    expect(results[3]!.trace!.token).toMatch(/^T-1@order=down,machine=bcast:/);
    expect(summary).toMatchObject({ total: 4, asExpected: 4, incomplete: 0, vacuous: 0 });
    expect(code).toBe(0);
  });

  test('prints the same bytes with one worker and with three, but for seconds', async () => {
    const cwd = folder({ 'a.ts': GRID });
    const [one, three] = await Promise.all(
      ['1', '3'].map((workers) => shootdown(['check', 'a.ts', 'G-03', '--workers', workers], { cwd })),
    );
    const timeless = (text: string): string => text.replace(/ *\d+\.\d+( s)?/g, ' S');
    expect(timeless(one!.out)).toBe(timeless(three!.out));
    expect(timeless(one!.err)).toBe(timeless(three!.err));
    expect(one!.out).toMatch(/^(\d+) of \1 as declared/m);
    expect(one!.err).toMatch(/^\[1\/\d+\] T-1 base: violation FIRST, [\d,]+ states, \d+\.\d s\n\[2\/\d+\] /);
  });

  test.each<[args: string, names: string[]]>([
    ['--variant guard=all', ['guard=all']],
    ['--set guard=all', ['guard=all', 'guard=all,machine=bcast']],
    ['--set guard=all --machine bcast', ['guard=all,machine=bcast']],
    ['--variant guard=all --machine bcast', ['guard=all,machine=bcast']],
    ['--variant order=down', ['order=down,machine=bcast']],
    ['--variant base', ['base']],
    ['--kernel 6.12 --machine ipi', ['base', 'guard=all']],
  ])('%s selects declared variants', async (args, names) => {
    const { code, results } = await checkJson(['a.ts', ...args.split(' ')], folder({ 'a.ts': GRID }));
    expect(results.map(({ variant }) => variant)).toEqual(names);
    expect(results.every(({ asExpected }) => asExpected === true)).toBe(true);
    expect(code).toBe(0);
  });

  test('knob values that no variant declares make one of which nothing is declared', async () => {
    const cwd = folder({ 'a.ts': GRID });
    const safe = await checkJson(['a.ts', '--set', 'guard=all', '--set', 'gup.zero_bail=off'], cwd);
    expect(safe.results).toMatchObject([
      { variant: 'guard=all,gup.zero_bail=off', verdict: 'safe', expected: null, asExpected: null },
    ]);
    expect(safe.code).toBe(0);
    const broken = await checkJson(['a.ts', '--variant', 'base', '--machine', 'bcast'], cwd);
    expect(broken.results).toMatchObject([
      { variant: 'machine=bcast', verdict: 'violation', asExpected: null },
    ]);
    expect(broken.code).toBe(1);
  });

  test('exit 1 where a verdict differs, with the command that shows it', async () => {
    const cwd = folder({
      'a b.ts': counting({ ...FIRST, rest: "expect: { base: 'safe', 'guard=all': 'safe' }," }),
    });
    const { code, out, err } = await shootdown(['check', 'a b.ts', '--junit', 'out.xml'], { cwd });
    expect(err).toContain('base: violation FIRST');
    expect(out).toContain('1 of 2 as declared');
    const line = out.split('\n').find((one) => one.startsWith('(!) '))!;
    expect(line).toBe("(!) npx shootdown show 'a b.ts#T-1' --variant base");
    expect(code).toBe(1);
    const shown = await shootdown(['show', 'a b.ts#T-1', '--variant', 'base'], { cwd });
    expect(shown.out).toContain('violation: FIRST');
    const xml = readFileSync(join(cwd, 'out.xml'), 'utf8');
    expect(xml).toMatch(/<testsuites tests="2" failures="1" errors="0"/);
    expect(xml).toMatch(/<failure type="violation" message="violation FIRST, declared: safe/);
  });

  test('exit 1 where a witness is never seen', async () => {
    const cwd = folder({
      'a.ts': counting({ ...FIRST, rest: "sometimes: ['wrote', 'other'], expect: { 'guard=all': 'safe' }," }),
    });
    const { code, results, summary } = await checkJson(['a.ts'], cwd);
    expect(results).toMatchObject([{ verdict: 'vacuous', witnesses: { wrote: true, other: false } }]);
    expect(summary.vacuous).toBe(1);
    expect(code).toBe(1);
  });

  test('exit 3 where a bound was hit, and 1 where both', async () => {
    const incomplete = await checkJson(['G-01', '--variant', 'base', '--max-states', '100']);
    expect(incomplete.results).toMatchObject([
      { verdict: 'incomplete', bound: '100 states', asExpected: false },
    ]);
    expect(incomplete.summary.incomplete).toBe(1);
    expect(incomplete.code).toBe(3);
    const cwd = folder({ 'a.ts': counting({ ...FIRST, rest: "expect: { base: 'safe' }," }) });
    const both = await checkJson(['a.ts', 'G-01', '--max-states', '100'], cwd);
    expect(both.code).toBe(1);
  });

  test('--strategy bfs and dfs, and --exact, have the same verdicts', async () => {
    const verdicts = await Promise.all(
      ['reduced', 'bfs', 'dfs', 'bfs --exact', 'dfs --exact'].map(async (strategy) => {
        const args = ['a.ts', '--strategy', ...strategy.split(' ')];
        return (await checkJson(args, folder({ 'a.ts': GRID }))).results.map(({ verdict, property }) => [
          verdict,
          property,
        ]);
      }),
    );
    for (const other of verdicts) expect(other).toEqual(verdicts[0]);
  });

  test('--strategy random and pct find what is there, prove nothing, and do the same with the same seed', async () => {
    const cwd = folder({ 'a.ts': GRID });
    for (const strategy of ['random', 'pct']) {
      const args = ['a.ts', '--machine', 'ipi', '--strategy', strategy, '--seed', '7', '--schedules', '50'];
      const [first, again] = await Promise.all([checkJson(args, cwd), checkJson(args, cwd)]);
      expect(first.results).toMatchObject([
        { variant: 'base', verdict: 'violation', property: 'FIRST', asExpected: true },
        { variant: 'guard=all', verdict: 'incomplete', bound: `50 ${strategy} schedules, seed 7` },
      ]);
      expect(first.code).toBe(3);
      const tokens = [first, again].map(({ results }) => results[0]!.trace!.token);
      expect(tokens[0]).toBe(tokens[1]);
    }
  });

  test('--timeout ends a variant', async () => {
    const { code, out } = await shootdown(
      ['check', 'big.ts', '--variant', 'size=large', '--timeout', '0.5'],
      {
        cwd: folder({ 'big.ts': BIG }),
      },
    );
    expect(out).toContain('incomplete: size=large stopped at time');
    expect(code).toBe(3);
  });

  test('--timeout ends a path that never comes to a request, too', async () => {
    const source = counting({ setup: 'for (;;);' }).replace('return m.kernel.system.cell(name);', '');
    const { code, out } = await shootdown(['check', 'a.ts', '--timeout', '0.2'], {
      cwd: folder({ 'a.ts': source }),
    });
    expect(out).toContain('incomplete: base stopped at time, in a path that makes no request');
    expect(code).toBe(3);
  });

  test('a path that needs more memory than there is ends as incomplete', async () => {
    const hog = counting({
      setup: 'const hog: unknown[] = []; for (;;) hog.push(new Array(1e6).fill(hog.length));',
    });
    const { code, out } = await shootdown(['check', 'a.ts'], {
      cwd: folder({ 'a.ts': hog }),
      env: { NODE_OPTIONS: '--max-old-space-size=100' },
    });
    expect(out).toContain('incomplete: base stopped at memory');
    expect(code).toBe(3);
  });

  test('Ctrl-C prints the table so far, exit code 130', async () => {
    let once = false;
    const { code, out, err } = await shootdown(['check', 'big.ts'], {
      cwd: folder({ 'big.ts': BIG }),
      onError: (text, kill) => {
        if (once || !text.includes('[1/2] BIG base: safe')) return;
        once = true;
        kill('SIGINT');
      },
    });
    expect(out).toMatch(/^base +safe/m);
    expect(out).not.toMatch(/size=large/);
    expect(err).toContain('shootdown: interrupted: 1 of 2 variants were checked');
    expect(code).toBe(130);
  });

  test('on a terminal shows one progress line and takes it away', async () => {
    const { out, err } = await shootdown(['check', 'big.ts', '--timeout', '0.8', '--workers', '1'], {
      cwd: folder({ 'big.ts': BIG }),
      node: ['--import', 'data:text/javascript,process.stderr.isTTY = true; process.stderr.columns = 60;'],
    });
    expect(err.split(CLEAR)).toContainEqual(
      expect.stringMatching(/^\[1\/2\] \d+ s {2}BIG size=large: [\d,]+ states/),
    );
    expect(err.endsWith(CLEAR)).toBe(true);
    expect(err).not.toContain('\n');
    for (const line of err.split(CLEAR)) expect(line.length).toBeLessThan(60);
    expect(out).toContain('1 of 2 as declared');
  });
});

/** Small in its base variant, too large to end in the other. */
const BIG = counting({
  id: 'BIG',
  knobs: "size: ['small', 'large']",
  body: 'for (let n = 0; n < (k.size === "large" ? 1e6 : 2); n++) yield* add(c, 1);',
  rest: "expect: { base: 'safe', 'size=large': 'safe' },",
});

describe.concurrent('list', () => {
  test('--json has the shape that scripts read', async () => {
    const { out, err } = await shootdown(['list', '--json']);
    const { scenarios } = JSON.parse(out) as { scenarios: Record<string, unknown>[] };
    const g01 = scenarios.find(({ id }) => id === 'G-01')!;
    expect(g01).toMatchObject({ family: 'gup-fast', kind: 'checked' });
    expect(Object.keys(g01)).toEqual(
      expect.arrayContaining(['id', 'family', 'title', 'question', 'kind', 'variants']),
    );
    expect(g01['variants']).toContainEqual({
      name: 'gup.pte_recheck=before-ref',
      expect: 'violation',
      property: 'PIN-RIGHT',
      reports: [],
    });
    expect(err).toBe('');
  });
});

describe.concurrent('show', () => {
  test('draws the first variant that is declared to go wrong', async () => {
    const { code, out, err } = await shootdown(['show', 'G-01']);
    expect(out).toMatch(/^G-01 gup\.\S+\s+violation: PIN-RIGHT/);
    expect(out).toMatch(/^Replay: npx shootdown replay \\$/m);
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('--json names the lines of the TypeScript source', async () => {
    const { out } = await shootdown(['show', 'G-01', '--json']);
    const { steps } = JSON.parse(out) as { steps: { stack: { callee: string; at: string }[] }[] };
    const frames = steps.flatMap(({ stack }) => stack);
    expect(frames.length).toBeGreaterThan(50);
    for (const { callee, at } of frames) {
      const [, file, line] = /^(.*):(\d+)$/.exec(at)!;
      expect(readFileSync(join(root, file!), 'utf8').split('\n')[Number(line) - 1]).toContain(callee);
    }
  });

  test('its replay command draws the same', async () => {
    const { out } = await shootdown(['show', 'G-01', '--set', 'gup.zero_bail=off', '--machine', 'bcast']);
    const token = /Replay: npx shootdown replay ([^]*)$/.exec(out)![1]!.replace(/[\\\n]/g, '');
    const replayed = await shootdown(['replay', token]);
    expect(replayed).toEqual({ code: 0, err: '', out });
  });

  test('prints one line for a safe variant', async () => {
    const { code, out } = await shootdown(['show', 'G-01', '--variant', 'base']);
    expect(out).toMatch(/^G-01 base: safe, \d+ states\n$/);
    expect(code).toBe(0);
    const json = await shootdown(['show', 'G-01', '--variant', 'base', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ id: 'G-01', verdict: 'safe', trace: null });
  });

  test('--witness draws a run to it', async () => {
    const { code, out } = await shootdown(['show', 'G-01', '--variant', 'base', '--witness', 'fell back']);
    expect(out).toMatch(/^G-01 base +witness: fell back/);
    expect(code).toBe(0);
  });

  test('--report draws a run to it; exit 1 where there is none', async () => {
    const cwd = folder({ 'a.ts': counting({ body: 'yield* store(c, 1);' }) });
    const race = await shootdown(['show', 'a.ts', '--variant', 'base', '--report', 'DATA-RACE'], { cwd });
    expect(race.out).toMatch(/report: DATA-RACE/);
    expect(race.code).toBe(0);
    const none = await shootdown(['show', 'a.ts', '--variant', 'base', '--report', 'CTX'], { cwd });
    expect(none).toEqual({
      code: 1,
      out: '',
      err: 'shootdown: T-1 base: there is no report CTX in any run\n',
    });
  });

  test('a trace whose code has changed says at which step', async () => {
    const source = counting({ ...FIRST, rest: "expect: { base: violates('FIRST') }," });
    const cwd = folder({ 'a.ts': source });
    await shootdown(['show', 'a.ts', '--out', 't.json'], { cwd });
    const changed = folder({
      'a.ts': source.replace("=== 'none') yield*", "=== 'none') yield* add(c, 0); yield*"),
      't.json': readFileSync(join(cwd, 't.json'), 'utf8'),
    });
    const { code, out } = await shootdown(['replay', 't.json'], { cwd: changed });
    expect(out).toMatch(/Diverged: step 1: recorded one: read c .*; now one: add c/);
    expect(code).toBe(1);
  });
});

test('matrix puts the machines side by side', async () => {
  const cwd = folder({ 'a.ts': GRID });
  const { code, out } = await shootdown(['matrix', 'a.ts'], { cwd });
  expect(out).toMatch(/^variant +ipi +bcast$/m);
  expect(out).toMatch(/^guard=all +safe +safe$/m);
  expect(out).toMatch(/^order=down +\. +FIRST$/m);
  expect(code).toBe(0);
  const json = await shootdown(['matrix', 'a.ts', '--json'], { cwd });
  expect(json.err).toBe('');
  const { matrix, results } = JSON.parse(json.out) as { matrix: unknown; results: Row[] };
  expect(matrix).toMatchObject({ columns: ['ipi', 'bcast'] });
  expect(results).toHaveLength(4);
});
