// SPDX-License-Identifier: MIT
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { counting, folder, root, shootdown } from './shootdown.js';

/** The line that begins with `text` when trimmed, counted from 1. */
function lineOf(source: string, text: string): number {
  return source.split(/\r?\n/).findIndex((line) => line.trim().startsWith(text)) + 1;
}

describe.concurrent('a scenario file of the user', () => {
  test('runs from a directory without node_modules, with a space in its path', async () => {
    const cwd = folder({ 'my scenario.ts': counting() });
    const { code, out, err } = await shootdown(['check', './my scenario.ts'], { cwd });
    expect(err).toContain('[1/1] T-1 base: safe');
    expect(out).toContain('1 of 1 as declared');
    expect(code).toBe(0);
  });

  test('may have CRLF line ends, a BOM and relative imports, which may hold paths', async () => {
    const part = `import { add, type Cell, type Path } from 'shootdown';
export function* twice(c: Cell): Path {
  yield* add(c, 1);
  yield* add(c, 1);
}
`;
    const text = counting({ imports: "import { twice } from './parts/twice.ts';", body: 'yield* twice(c);' });
    const cwd = folder({
      'a.mts': `\uFEFF${text.replaceAll('\n', '\r\n')}`,
      'parts/twice.ts': part.replaceAll('\n', '\r\n'),
    });
    const { code, out } = await shootdown(['check', 'a.mts'], { cwd });
    expect(out).toContain('1 of 1 as declared');
    expect(code).toBe(0);
  });

  test('may be JavaScript, and may export several scenarios', async () => {
    const both = ['A-1', 'A-2'].map((id) =>
      counting({ id })
        .replaceAll(/: string|: Record<string, string>/g, '')
        .replace(/^import .*/, ''),
    );
    const text = `import { add, scenario } from 'shootdown';\nconst name = 'c';\nexport default [${both
      .map((one) => /scenario\(\{[^]*\}\)/.exec(one)![0])
      .join(', ')}];\n`;
    const cwd = folder({ 'a.js': text });
    const all = await shootdown(['check', 'a.js', '--json'], { cwd });
    const { results } = JSON.parse(all.out) as { results: { id: string; family: string }[] };
    expect(results.map(({ id, family }) => [id, family])).toEqual([
      ['A-1', 'test'],
      ['A-2', 'test'],
    ]);
    const one = await shootdown(['check', 'a.js#A-2'], { cwd });
    expect(one.out).toContain('1 of 1 as declared');
    const unclear = await shootdown(['show', 'a.js'], { cwd });
    expect(unclear).toMatchObject({ code: 2, out: '' });
    expect(unclear.err).toBe('shootdown: a.js: has several scenarios; say which: a.js#A-1, a.js#A-2\n');
  });

  test('is shown and replayed with its own TypeScript lines', async () => {
    const source = counting({
      body: `
      type Unused = { gone: true };
      const seen = yield* read(c);
      yield* claim(seen === 0, 'FIRST', 'somebody was here before');
      yield* write(c, 1);`,
      rest: "expect: { base: violates('FIRST') },",
    });
    const cwd = folder({ 'a.ts': source });
    const shown = await shootdown(['show', 'a.ts', '--json', '--out', 't.json'], {
      cwd,
    });
    expect(shown.err).toBe('');
    const trace = JSON.parse(shown.out) as {
      token: string;
      source: string;
      steps: { stack: { at: string }[] }[];
    };
    expect(trace.source).toBe('a.ts');
    expect(trace.steps[0]!.stack[0]!.at).toBe(`a.ts:${lineOf(source, 'const seen')}`);
    const replayed = await shootdown(['replay', 't.json', '--json'], { cwd });
    expect(replayed).toMatchObject({ code: 0, err: '' });
    const byToken = await shootdown(['replay', `a.ts#${trace.token}`, '--json'], { cwd });
    expect(byToken).toEqual(replayed);
  });

  test('the example runs as the README says', async () => {
    const cwd = folder({});
    copyFileSync(join(root, 'examples', 'own-driver.ts'), join(cwd, 'own-driver.ts'));
    const { code, out } = await shootdown(['check', './own-driver.ts'], { cwd });
    expect(out).toContain('5 of 5 as declared');
    expect(code).toBe(0);
    const shown = await shootdown(['show', './own-driver.ts'], { cwd });
    expect(shown.out).toContain('violation: FRAME-REUSE');
    expect(shown.out).toContain('./own-driver.ts#OWN-1@release=put-then-clear:');
  });
});

const forgotten = counting({ body: 'add(c, 1);' });
const bareYield = counting({ body: 'yield add(c, 1);' });
const thrown = counting({ setup: "if (name) throw new Error('no such device');" });
const misspelt = counting({ setup: '(m as any).proces("P");' });
const inPath = counting({ body: 'yield* add((c as any).cell.at, 1);' });

describe.concurrent('one line, with file and line, and exit code 2:', () => {
  test.each<[what: string, source: string, line: RegExp]>([
    ['a syntax error', counting({ setup: 'const = 1;' }), /^a\.ts:\d+:\d+: Expected identifier/],
    ['nothing exported', "import 'shootdown';\n", /^a\.ts: exports no scenario; it must say: export default/],
    ['something else exported', 'export default 42;\n', /^a\.ts: the default export is not a scenario/],
    [
      'one of several is no scenario',
      'export default [{}];\n',
      /^a\.ts: element 0 of the default export is not/,
    ],
    ['an empty array', 'export default [];\n', /^a\.ts: its default export is an empty array/],
    [
      'a forgotten yield*',
      forgotten,
      new RegExp(`^T-1 base: a\\.ts:${lineOf(forgotten, 'add(c')}: add\\(\\) is a path: .*without yield\\*`),
    ],
    [
      'a bare yield',
      bareYield,
      new RegExp(`^a\\.ts:${lineOf(bareYield, 'yield add')}: a path makes its accesses`),
    ],
    [
      'a set-up that throws',
      thrown,
      new RegExp(`^T-1 base: a\\.ts:${lineOf(thrown, 'if (name)')}: no such device$`),
    ],
    [
      'a set-up that calls what is not there',
      misspelt,
      new RegExp(`^T-1 base: a\\.ts:${lineOf(misspelt, '(m as')}: TypeError: m\\.proces is not a function$`),
    ],
    [
      'a path that throws',
      inPath,
      new RegExp(`^T-1 base: a\\.ts:${lineOf(inPath, 'yield* add')}: TypeError: Cannot read`),
    ],
    ['a file that throws', "throw new Error('not today');\n", /^a\.ts:1: not today$/],
    [
      'a wrong import',
      counting({ imports: "import { munmapp } from 'shootdown/linux'; munmapp;" }),
      /^a\.ts: shootdown\/linux has no export munmapp; near it: munmap$/,
    ],
    [
      'a wrong entry of the package',
      counting({ imports: "import 'shootdown/windows';" }),
      /^a\.ts: there is no shootdown\/windows; import from shootdown or shootdown\/linux$/,
    ],
    [
      'a missing file',
      counting({ imports: "import './b.ts';" }),
      /^a\.ts:2:\d+: Could not resolve "\.\/b\.ts"/,
    ],
    [
      'a variant of an unknown knob',
      counting({ rest: "expect: { 'x=y': 'safe' }," }),
      /^a\.ts:4: T-1: no knob x; it has machine, kernel$/,
    ],
    [
      'a variant of an unknown value',
      counting({ knobs: "x: ['a', 'b']", rest: "expect: { 'x=c': 'safe' }," }),
      /^a\.ts:4: T-1: knob x has no value c; it has a, b$/,
    ],
    [
      'a scenario without its parts',
      "import { scenario } from 'shootdown';\nexport default (scenario as any)({ id: 'T-1', machine: {} });\n",
      /^a\.ts:2: scenario T-1: has no family, question, knobs, bounds, setup, agents, expect$/,
    ],
    [
      'an agent that is no path',
      counting().replace('*one()', 'one: 5, *three()'),
      /^T-1 base: agent one is not a path: write it as \*one\(\)/,
    ],
    [
      'an agent that is no generator',
      counting()
        .replace('*one() {', 'one() { return; function* x() {')
        .replace('},\n    *two', '}},\n    *two'),
      /^T-1 base: agent one is not a path: write it as \*one\(\)/,
    ],
    [
      'a machine that is too small',
      counting({ setup: "m.process('P', { pages: 3 }).mmap({ pages: 3, touched: true });" }),
      /^T-1 base: a\.ts:\d+: expected a free frame at set-up/,
    ],
    [
      'two scenarios with one id',
      counting().replace('export default', 'const one =') + 'export default [one, { ...one }];\n',
      /^two scenarios have the id T-1: in a\.ts$/,
    ],
  ])('%s', async (_what, source, line) => {
    const { code, out, err } = await shootdown(['check', 'a.ts'], { cwd: folder({ 'a.ts': source }) });
    const [first, ...others] = err.trimEnd().split('\n');
    expect(first!.replace(/^shootdown: /, '')).toMatch(line);
    expect(others).toEqual([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });
});
