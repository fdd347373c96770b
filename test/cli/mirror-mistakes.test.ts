// SPDX-License-Identifier: MIT
/** What a driver author gets wrong at first: one clear line each, with file and line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { folder, root, shootdown } from './shootdown.js';

const example = (name: string): string => readFileSync(join(root, 'examples', 'my-mirror', name), 'utf8');
const driver = example('driver.ts');
const scenario = example('scenario.ts');

function replaced(text: string, from: string, to: string): string {
  expect(text).toContain(from);
  return text.replace(from, to);
}
const inDriver = (from: string, to: string) => (): Record<string, string> => ({
  'driver.ts': replaced(driver, from, to),
  'scenario.ts': scenario,
});
const inScenario = (from: string, to: string) => (): Record<string, string> => ({
  'driver.ts': driver,
  'scenario.ts': replaced(scenario, from, to),
});

const callback = '*invalidate(sub, range, cur_seq) {';
const unmap = 'yield* deviceUnmap(gpu, range.start, range.end);';

describe.concurrent('one line, with file and line, and exit code 2:', () => {
  test.each<[what: string, files: () => Record<string, string>, line: RegExp]>([
    [
      'yield* forgotten',
      inDriver('yield* mutex_unlock(lock);', 'mutex_unlock(lock);'),
      /^MIRROR-1 base: driver\.ts:\d+: mutex_unlock\(\) is a path: it does nothing without yield\*$/,
    ],
    [
      'a name that is not there',
      inDriver('hmm_range_fault(range)', 'hmm_range_snapshot(range)'),
      /^MIRROR-1 base: driver\.ts:\d+: ReferenceError: hmm_range_snapshot is not defined$/,
    ],
    [
      'an import that is not there',
      () => ({
        'driver.ts': driver.replaceAll('hmm_range_fault', 'hmm_range_fualt'),
        'scenario.ts': scenario,
      }),
      /^scenario\.ts: shootdown\/linux has no export hmm_range_fualt; near it: hmm_range_fault$/,
    ],
    [
      'a callback that returns nothing',
      inDriver('      return true;\n', ''),
      /^MIRROR-1 base: scenario\.ts:\d+: invalidate\(\) of sub0 returned undefined: it must return true, or false/,
    ],
    [
      'a callback that is no generator',
      inDriver(callback, 'invalidate: (sub, range) => true, *other(sub: any, range: any, cur_seq: any) {'),
      /^MIRROR-1 base: scenario\.ts:\d+: invalidate\(\) is not a path: write it as \*invalidate\(…\) \{ … \}$/,
    ],
    [
      'an async callback',
      inDriver(callback, `async ${callback}`),
      /^MIRROR-1 base: scenario\.ts:\d+: invalidate\(\) is async, which a path can't wait for: write it as \*invalidate/,
    ],
    [
      'a cell that is read behind the explorer’s back',
      inDriver(unmap, `if (lock.value === 0) ${unmap}`),
      /^MIRROR-1 base: driver\.ts:\d+: a path reads gpu0\.lock with a request \(yield\* read …\), not through \.value$/,
    ],
    [
      'a die',
      inDriver(unmap, `if (Math.random() < 0.5) ${unmap}`),
      /^MIRROR-1 base: scenario\.ts:\d+: a path may not ask Math\.random\(\): use choose|^MIRROR-1 base: driver\.ts:\d+: a path may not ask Math\.random\(\): use choose/,
    ],
    [
      'a clock',
      inDriver('for (;;) {', 'while (Date.now() > 0) {'),
      /^MIRROR-1 base: driver\.ts:\d+: a path may not ask Date\.now\(\): use choose/,
    ],
    [
      'a counter of the module',
      inDriver('for (;;) {', 'for (;;) {\n    faults++;').bind(undefined),
      /^driver\.ts:\d+: a path may not write faults, which is declared outside of it: keep it in a cell$/,
    ],
    [
      'a value that the knob does not have',
      inScenario("'mistake=no-retry'", "'mistake=noretry'"),
      /^scenario\.ts:\d+: MIRROR-1: knob mistake has no value noretry; it has none, no-set-seq/,
    ],
    [
      'a device that mirrors nobody',
      inDriver(', { mirrors: p }', ''),
      /^MIRROR-1 base: driver\.ts:\d+: device gpu0: say whose memory it mirrors: m\.device\('gpu0', \{ mirrors: p \}\)$/,
    ],
    [
      'a subscription to no range',
      inDriver('intervalNotifier(range, ', 'intervalNotifier('),
      /^MIRROR-1 base: driver\.ts:\d+: P\.intervalNotifier\(range, ops\): ops needs \*invalidate/,
    ],
    [
      'no default export',
      inScenario('export default scenario', 'export const mine = scenario'),
      /^scenario\.ts: exports no scenario; it must say: export default/,
    ],
  ])('%s', async (_what, files, line) => {
    const written = files();
    if (written['driver.ts']!.includes('faults++'))
      written['driver.ts'] = written['driver.ts']!.replace('/** Ways to', 'let faults = 0;\n/** Ways to');
    const { code, out, err } = await shootdown(['check', 'scenario.ts', '--variant', 'base'], {
      cwd: folder(written),
    });
    const [first, ...others] = err.trimEnd().split('\n');
    expect(first!.replace(/^shootdown: /, '')).toMatch(line);
    expect(others).toEqual([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });
});

test('a witness that is never seen: vacuous, and what was seen instead is said', async () => {
  const cwd = folder(inScenario("sometimes: ['mapped']", "sometimes: ['maped']")());
  const { code, out } = await shootdown(['check', 'scenario.ts', '--variant', 'base'], { cwd });
  expect(out.replace(/\s+/g, ' ')).toMatch(
    /vacuous .* Never seen in base: maped\. Seen, and not declared: (no page any more, mapped|mapped, no page any more)\./,
  );
  expect(code).toBe(1);
});
