// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { PathError } from '../../src/core/live.js';
import { audit } from '../../src/explore/audit.js';
import { search } from '../../src/explore/search.js';
import { instrument, TransformError } from '../../src/transform/index.js';
import { compile } from './compile.js';

/** Another agent gives the path under test different things to observe. */
const OTHER = '*other() { for (const v of [1, 2, 0]) { yield* write(x, v); yield* write(y, v); } }';
const beside = (path: string, helpers = ''): string => `${helpers}\nreturn { *path() {${path}}, ${OTHER} };`;

/** A path in each way of keeping a value across a request. `keeps`: the local that must be recorded. */
const PATHS: Record<string, { path: string; helpers?: string; keeps: readonly string[] }> = {
  'a value used later': {
    path: 'const v = yield* read(x); yield* read(y); yield* write(z, v);',
    keeps: ['v'],
  },
  'a value used in the next round of a loop': {
    path: 'let v = 0; for (let i = 0; i < 2; i++) { if (v) yield* write(z, v); v = yield* read(x); yield* read(y); }',
    keeps: ['v', 'i'],
  },
  'two locals of one name in two blocks': {
    path: '{ const v = yield* read(x); yield* read(y); yield* write(z, v); } { const v = yield* read(x); yield* read(y); yield* write(z, v + 3); }',
    keeps: ['v'],
  },
  'the position of a for…of': {
    path: 'for (const cell of [x, x]) yield* read(cell);',
    keeps: ['$i0'],
  },
  'what a for…of iterates over': {
    path: 'for (const v of yield* collect()) yield* write(z, v);',
    helpers:
      'function* collect() { const one = yield* read(x); const two = yield* read(y); return [1, one, two]; }',
    keeps: ['$of0'],
  },
  'what a for…of iterated over before the local changed': {
    path: 'let n = yield* read(x); for (const v of [0, n]) { n = 0; yield* read(y); yield* write(z, v); }',
    keeps: ['$of0'],
  },
  'entries of an array': {
    path: 'for (const [i, v] of [0, yield* read(x)].entries()) { yield* read(y); yield* write(z, v + 3 * i); }',
    keeps: ['$of0'],
  },
  'a labelled loop': {
    path: 'outer: for (const cell of [x, x]) { for (;;) { const v = yield* read(cell); yield* read(y); if (v) continue outer; yield* write(z, v + 1); break; } }',
    keeps: ['$i0', 'v'],
  },
  'a switch that falls through': {
    path: 'const v = yield* read(x); switch (v) { case 1: case 2: yield* read(y); case 0: yield* write(z, v); break; default: yield* read(y); }',
    keeps: ['v'],
  },
  'a finally': {
    path: 'const v = yield* read(x); try { if (yield* equals(y, 1)) return; yield* read(y); } finally { yield* write(z, v); }',
    keeps: ['v'],
  },
  'a caught value': {
    path: 'const v = yield* read(x); try { throw v; } catch (e) { yield* read(y); yield* write(z, e); }',
    keeps: ['e'],
  },
  destructuring: {
    path: 'let a = yield* read(x); let b = yield* read(y); [a, b] = [b, a + 3]; yield* read(y); const { c } = { c: a }; yield* write(z, c); yield* write(z, b);',
    keeps: ['a', 'b'],
  },
  'a default of a parameter': {
    path: 'yield* put(yield* read(x));',
    helpers: 'function* put(a, b = a + 3) { yield* read(y); yield* write(z, b); }',
    keeps: ['b'],
  },
  'a closure that captures a local': {
    path: 'const v = yield* read(x); const twice = () => 2 * v; yield* read(y); yield* write(z, twice());',
    keeps: ['v'],
  },
  'a closure of a loop head': {
    path: 'for (let i = 0; i < 2; i++) { const get = () => i; yield* read(y); yield* write(z, get()); }',
    keeps: ['i'],
  },
  'the condition of a do…while': {
    path: 'let n = 0; do { n++; yield* write(z, n); } while (n < 3 && (yield* equals(x, 1)));',
    keeps: ['n'],
  },
  'the update of a loop': {
    path: 'for (let n = 0; n < 3; n += (yield* equals(x, 1)) ? 2 : 1) yield* write(z, n);',
    keeps: ['n'],
  },
  'an operand of the same expression': {
    path: 'const v = yield* read(x); const sum = v + (yield* read(y)); yield* write(z, sum);',
    keeps: ['v'],
  },
  "a caller's local": {
    path: 'const v = yield* read(x); yield* twice(); yield* write(z, v);',
    helpers: 'function* twice() { yield* read(y); yield* read(y); }',
    keeps: ['v'],
  },
  'a nested path': {
    path: 'const v = yield* read(x); const inner = function* (w) { yield* read(y); yield* write(z, v + w); }; yield* inner(1);',
    keeps: ['v'],
  },
  'a method': {
    path: 'yield* new Pair(yield* read(x)).put();',
    helpers:
      'class Pair { constructor(v) { this.v = [v]; } *put() { yield* read(y); yield* write(z, this.v[0]); } }',
    keeps: ['this'],
  },
  'a record': {
    path: 'const r = { a: [yield* read(x)] }; yield* read(y); r.a.push(3); yield* read(y); yield* write(z, r.a[0] + r.a.length);',
    keeps: ['r'],
  },
  'optional chaining': {
    path: 'const v = yield* read(x); const list = v ? [v] : undefined; yield* read(y); yield* write(z, list?.slice(0).length ?? 3);',
    keeps: ['list'],
  },
};

describe.each(Object.entries(PATHS))('%s', (_, { path, helpers, keeps }) => {
  test('the audit finds nothing wrong', () => {
    expect(audit(compile(beside(path, helpers))())).toBeUndefined();
  });

  test.each(keeps)('without %s the audit finds where it is missed', (local) => {
    const planted = compile(beside(path, helpers), { drop: (_site, name) => name === local });
    expect(audit(planted())?.stack.at(-1)?.file).toBe('paths.ts');
  });
});

describe('merging', () => {
  const nodes = (source: string): number => search(compile(source)()).automatonNodes;

  test('folds an endless retry into a cycle', () => {
    const retry = 'for (;;) { const v = yield* read(y); if (v !== 1) return; }';
    expect(search(compile(beside(retry))())).toMatchObject({ complete: true, cyclic: true });
  });
  test('a counter in a local of an endless loop is reported with the agent', () => {
    const source = 'return { *counter() { for (let n = 0; ; n++) yield* write(x, n % 2); } };';
    expect(() => search(compile(source)(), { nodeLimit: 100 })).toThrow(
      'agent counter has more than 100 different continuations: is there a counter in a local of an endless loop?',
    );
  });
  test('a local that is not needed any more makes no difference', () => {
    const used = 'const v = yield* read(x); yield* read(y); yield* read(y); yield* write(z, v);';
    const unused = 'const v = yield* read(x); yield* read(y); yield* read(y); yield* write(z, 1);';
    expect(nodes(beside(unused))).toBeLessThan(nodes(beside(used)));
  });
  test('the pending request tells nodes apart, its arguments are evaluated', () => {
    const path = 'let n = 0; while (n < 4) { yield* write(z, n++); n += yield* read(x); }';
    expect(audit(compile(beside(path))())).toBeUndefined();
  });
});

describe('what the recorded frames would not show is refused', () => {
  const bad: Record<string, [path: string, message: RegExp]> = {
    'a pending value': ['(yield* read(x)) + (yield* read(y))', /two yield\* in one expression/],
    'a pending argument': ['yield* write(x, Math.max(yield* read(x), yield* read(y)))', /two yield\*/],
    'a pending object': ['(yield* f())[yield* read(x)]', /two yield\*/],
    'a pending target': ['const b = []; b[yield* read(x)] = yield* read(y)', /two yield\*/],
    'a pending left side': ['const b = []; b[0] += yield* read(y)', /the left side is read before/],
    'a yield in a pattern': ['const { v = yield* read(x) } = {}', /destructuring/],
    'a yield in a case label': ['switch (1) { case yield* read(x): }', /case label/],
    'a captured variable that is written': ['count = yield* read(x)', /may not write count/],
    'an outer object that is changed': ['state.n++', /may not change state/],
    'this that is changed': ['this.n = 1', /may not change `this`/],
    'a local that a closure writes': [
      'let n = 0; [1].forEach(() => { n++; }); yield* write(x, n)',
      /closure may not write n/,
    ],
    'a shadowed local': [
      'let v = 1; { let v = yield* read(x); yield* read(y); yield* write(z, v); } yield* write(z, v)',
      /v is declared twice/,
    ],
    'for…in': ['for (const k in {}) yield* read(x)', /for…in/],
    'a bare yield': ['yield 1', /bare yield/],
    var: ['var v = 1; yield* read(x); yield* write(x, v)', /let or const/],
    arguments: ['yield* read(arguments[0])', /arguments/],
    'a local of another case': [
      'switch (1) { case 1: const v = 1; case 2: yield* read(x); yield* write(x, v); }',
      /another case/,
    ],
  };
  test.each(Object.entries(bad))('%s', (_, [path, message]) => {
    const source = `let count = 0;\nconst state = { n: 0 };\n\nfunction* f() {\n${path};\n}`;
    expect(() => instrument(source, { file: 'bad.ts', live: 'live' })).toThrow(TransformError);
    expect(() => instrument(source, { file: 'bad.ts', live: 'live' })).toThrow(message);
    expect(() => instrument(source, { file: 'bad.ts', live: 'live' })).toThrow(/^bad\.ts:[45]: /);
  });

  const wrong: Record<string, [source: string, message: RegExp]> = {
    'a forgotten yield*': [
      'return { *path() {\nyield* read(x);\nwrite(x, 1); } };',
      /^paths\.ts:3: write\(\) is a path: it does nothing without yield\*$/,
    ],
    'a forgotten yield* in an argument': [
      'return { *path() { yield* write(x,\nread(y)); } };',
      /^paths\.ts:2: read\(\) is a path/,
    ],
    'a forgotten yield* behind ?.': [
      'const o = { f: read }; return { *path() {\no?.f(x); yield* read(x); } };',
      /^paths\.ts:2: f\(\) is a path/,
    ],
    'a Map in a local': [
      'return { *path() { const m = new Map();\nyield* read(x); m.clear(); } };',
      /^paths\.ts:2: path\(\) keeps a Map in a local/,
    ],
    'a handle that changes': [
      'class Batch { n = 0; } return { *path() { const b = new Batch(); for (;;) {\nyield* write(x, b.n % 2); b.n++; } } };',
      /^paths\.ts:2: path\(\) keeps a Batch that changes in a local/,
    ],
    'a record that contains itself': [
      'return { *path() { const r = {}; r.self = r;\nyield* read(x); r.self = 1; } };',
      /nested without end/,
    ],
  };
  test.each(Object.entries(wrong))('%s', (_, [source, message]) => {
    expect(() => search(compile(source)())).toThrow(PathError);
    expect(() => search(compile(source)())).toThrow(message);
  });

  test('a choice between two paths is no forgotten yield*', () => {
    const source = 'return { *path() { yield* ((yield* equals(x, 1)) ? read(y) : read(z)); } };';
    expect(search(compile(source)()).complete).toBe(true);
  });
  test('what throws through a path leaves no frames behind', () => {
    const helpers = 'function* fails() { const v = yield* read(x); yield* read(y); throw v; }';
    const path =
      'const v = yield* read(y); try { yield* fails(); } catch (e) { yield* write(z, e); } yield* write(z, v);';
    expect(audit(compile(beside(path, helpers))())).toBeUndefined();
  });
});
