// SPDX-License-Identifier: MIT
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { counting, folder, root, shootdown } from './shootdown.js';

describe.concurrent('one line on stderr, nothing on stdout, exit code 2:', () => {
  test.each<[args: string, line: RegExp]>([
    ['check G-02x', /^no scenario G-02x; near it: G-0/],
    ['check zebra', /^no scenario zebra; shootdown list shows all$/],
    ['check ./nowhere.ts', /^\.\/nowhere\.ts: no such file$/],
    ['check nowhere.ts', /^nowhere\.ts: no such file$/],
    ['check ./src', /^\.\/src: not a file$/],
    ['check ./README.md', /^\.\/README\.md: expected a \.ts, \.mts, \.js or \.mjs file$/],
    ['check ./examples/own-driver.ts#X-1', /own-driver\.ts: no scenario X-1; it has OWN-1$/],
    ['check --family nothing', /^no family nothing; there is gup-fast/],
    [
      'check G-01 --set gup.zero_bial=off',
      /^G-01: no knob gup\.zero_bial; near it: gup\.zero_bail; it has gup/,
    ],
    [
      'check G-01 --set gup.zero_bail=maybe',
      /^G-01: knob gup\.zero_bail has no value maybe; there is on, off$/,
    ],
    ['check G-01 --set gup.zero_bail', /^--set gup\.zero_bail: expected knob=value$/],
    ['check G-01 --set gup.zero_bail=', /^--set gup\.zero_bail=: expected knob=value$/],
    ['check G-01 --set =on', /^--set =on: expected knob=value$/],
    ['check G-01 --variant nonsense', /^--variant nonsense: expected knob=value$/],
    ['check G-01 --variant machine=vax', /^G-01: no machine vax; there is ipi, bcast$/],
    ['check G-01 --machine vax', /^G-01: no machine vax; there is ipi, bcast$/],
    ['check G-01 --kernel 2.6', /^G-01: no kernel 2\.6; there is .*6\.12/],
    ['check G-01 --machine ipi --set machine=bcast', /^--machine: machine is asked to be bcast and ipi$/],
    [
      'check G-01 --strategy luck',
      /^option '--strategy <name>' argument 'luck' is invalid\. Allowed choices are/,
    ],
    [
      'check G-01 --max-states many',
      /'--max-states <n>' argument 'many' is invalid\. Expected a whole number/,
    ],
    ['check G-01 --max-states 0', /'--max-states <n>' argument '0' is invalid/],
    [
      'check G-01 --timeout soon',
      /'--timeout <s>' argument 'soon' is invalid\. Expected a number of seconds/,
    ],
    ['check G-01 --timeout 0', /'--timeout <s>' argument '0' is invalid/],
    ['check G-01 --seed lucky', /'--seed <n>' argument 'lucky' is invalid/],
    ['check G-01 --schedules 0', /'--schedules <n>' argument '0' is invalid/],
    ['check G-01 --workers 1.5', /'--workers <n>' argument '1\.5' is invalid/],
    ['check G-01 --colour', /^unknown option '--colour'/],
    [
      'check G-01 --junit ./no/such/folder/x.xml',
      /^--junit \.\/no\/such\/folder\/x\.xml: can't be written \(ENOENT\)$/,
    ],
    ['chekc', /^unknown command 'chekc' \(Did you mean check\?\)$/],
    ['show', /^missing required argument 'ID\|FILE'$/],
    ['show G-02x', /^no scenario G-02x; near it: G-0/],
    ['show G-01 --witness fell', /^G-01: no witness fell; near it: fell back$/],
    ['show G-01 --report DATA-RACES', /^G-01: no report DATA-RACES; near it: DATA-RACE$/],
    ['show G-01 --out ./no/such/folder/x.json', /^--out \.\/no\/such\/folder\/x\.json: can't be written/],
    ['matrix', /^missing required argument 'ID\|FAMILY\|FILE'$/],
    ['matrix gup-fats', /^no scenario or family gup-fats; near it: gup-fast$/],
    ['replay', /^missing required argument/],
    ['replay ./nowhere.json', /^\.\/nowhere\.json: no such file$/],
    ['replay G-01', /^token: expected ID@VARIANT:RUN/],
    ['replay G-01@base:0*x', /^token: expected AGENT.*got "0\*x"$/],
    ['replay G-02x@base:0', /^no scenario G-02x/],
    ['replay G-01@zero=1:0', /^G-01: no knob zero/],
    ['ops', /^missing required argument 'FILE'$/],
    ['ops ./nowhere.txt', /^\.\/nowhere\.txt: no such file$/],
    ['ops ./src', /^\.\/src: not a file$/],
    ['ops README.md', /^README\.md:3: expected Pn and an operation, or autoobs, obs, reset; found /],
    ['ops README.md --set cow.ordr=x', /^no knob cow\.ordr; near it: cow\.order$/],
    [
      'ops README.md --set cow.order=x',
      /^knob cow\.order has no value x; there is clear-flush-set, set-flush$/,
    ],
    ['ops README.md --kernel 1.0', /^no kernel 1\.0; there is /],
  ])('shootdown %s', async (args, line) => {
    const { code, out, err } = await shootdown(args.split(' '));
    const [first, ...others] = err.trimEnd().split('\n');
    expect(first!.replace(/^shootdown: /, '')).toMatch(line);
    expect(others).toEqual([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  test('two files with the same id', async () => {
    const cwd = folder({ 'a.ts': counting(), 'b.ts': counting() });
    const { code, err } = await shootdown(['check', 'a.ts', 'b.ts'], { cwd });
    expect(err).toBe('shootdown: two scenarios have the id T-1: in a.ts and in b.ts\n');
    expect(code).toBe(2);
  });

  test.each<[what: string, change: (text: string) => string, line: RegExp]>([
    ['is cut off', (text) => text.slice(0, text.length / 2), /^t\.json: not JSON: /],
    ['is no trace', () => '{"steps":[]}', /^t\.json: not a trace file of shootdown/],
    [
      'is of another version',
      (text) => text.replace('"version": 1', '"version": 99'),
      /^t\.json: trace version 99/,
    ],
    [
      'has a broken token',
      (text) => text.replace(/"token": ".*?"/, '"token": "what"'),
      /^t\.json: token: expected/,
    ],
    [
      'names a file that is gone',
      (text) => text.replace('"source": "a.ts"', '"source": "b.ts"'),
      /^t\.json: was made from b\.ts, which is not there/,
    ],
  ])('a trace file that %s', async (_what, change, line) => {
    const cwd = folder({ 'a.ts': failing() });
    const { out } = await shootdown(['show', 'a.ts', '--json'], { cwd });
    const { code, err } = await shootdown(['replay', 't.json'], { cwd: folder({ 't.json': change(out) }) });
    expect(err.replace(/^shootdown: /, '')).toMatch(line);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
  });
});

function failing(): string {
  return counting({
    body: "yield* claim((yield* read(c)) === 0, 'FIRST', 'somebody was here before'); yield* write(c, 1);",
    rest: "expect: { base: violates('FIRST') },",
  });
}

describe.concurrent('help', () => {
  test('goes to stdout when asked for, and names the exit codes', async () => {
    const { code, out, err } = await shootdown(['--help']);
    expect(out).toMatch(/Commands:\n {2}list/);
    expect(out).toMatch(/2 {3}wrong usage or input/);
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('lists only commands that work', async () => {
    const { out } = await shootdown(['--help']);
    const commands = [...out.matchAll(/^ {2}([a-z]+) .*/gm)].map(([, name]) => name!);
    expect(commands).toEqual(['list', 'check', 'show', 'replay', 'matrix', 'ops']);
  });

  test('goes to stderr when no command is given: exit code 2', async () => {
    const { code, out, err } = await shootdown([]);
    expect(err).toContain('Usage: shootdown');
    expect(err).not.toContain('shootdown: ');
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  test('--version is that of the package', async () => {
    const { out } = await shootdown(['--version']);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

test('a bug of ours says so, with a stack, and exit code 70', async () => {
  const bug = 'process.stdout.write = () => { throw new Error("boom"); };';
  const { code, err } = await shootdown(['list'], { node: ['--import', `data:text/javascript,${bug}`] });
  expect(err).toMatch(/^internal error: please report this[^]*Error: boom\n {4}at /);
  expect(code).toBe(70);
});

test('so does one that nobody waits for', async () => {
  const bug =
    'setInterval(() => { if (process.listenerCount("uncaughtException")) throw new Error("late"); }, 1);';
  const { code, err } = await shootdown(['check', 'G-01'], {
    node: ['--import', `data:text/javascript,${bug}`],
  });
  expect(err).toMatch(/internal error: please report this[^]*Error: late\n {4}at /);
  expect(code).toBe(70);
});

test('list is quick', async () => {
  const began = performance.now();
  const { out } = await shootdown(['list'], { cwd: join(root, 'test') });
  expect(out).toMatch(/^gup-fast\n {2}G-01 /);
  expect(performance.now() - began).toBeLessThan(3000); // 0.1 s where nothing else runs
});
