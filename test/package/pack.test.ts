// SPDX-License-Identifier: MIT
/** What a driver author gets: the package as npm packs it, installed in an empty directory, and the example in it. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const MINUTES = 60_000;
const top = mkdtempSync(join(tmpdir(), 'shootdown packed '));
const home = join(top, 'an empty directory');
afterAll(() => rmSync(top, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(cwd: string, command: string, ...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', npm_config_update_notifier: 'false' },
    maxBuffer: 2 ** 26,
  });
  return { code: status, out: stdout, err: stderr };
}

/** Installs the tarball with npm; without a way to its dependencies, unpacks it and links those that are here. */
function install(tarball: string): void {
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0', '--loglevel=error'];
  const installed = run(home, 'npm', 'install', ...quiet, tarball);
  if (installed.code === 0) return;
  expect(installed.err).toMatch(/ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|ENOTCACHED|network/);
  const modules = join(home, 'node_modules');
  rmSync(modules, { recursive: true, force: true });
  mkdirSync(join(modules, '.bin'), { recursive: true });
  expect(run(modules, 'tar', '-xzf', tarball)).toMatchObject({ code: 0 });
  cpSync(join(modules, 'package'), join(modules, 'shootdown'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    const to = join(modules, name);
    if (!name.startsWith('.') && !existsSync(to)) symlinkSync(join(root, 'node_modules', name), to);
  }
  symlinkSync('../shootdown/dist/cli/main.js', join(modules, '.bin', 'shootdown'));
}

const shootdown = (...args: string[]): Ended =>
  run(home, process.execPath, join('node_modules', '.bin', 'shootdown'), ...args);

beforeAll(() => {
  mkdirSync(home);
  const packed = run(root, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', top);
  if (packed.code !== 0) throw new Error(packed.err);
  const [tarball] = readdirSync(top).filter((name) => name.endsWith('.tgz'));
  install(join(top, tarball!));
  cpSync(join(home, 'node_modules', 'shootdown', 'examples', 'my-mirror'), join(home, 'my-mirror'), {
    recursive: true,
  });
}, 3 * MINUTES);

const MISTAKES = ['no-set-seq', 'retry-unlocked', 'begin-late', 'no-retry'];

describe('the packed tarball, installed in an empty directory', () => {
  test('brings what the guide speaks of', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(shootdown('--version').out.trim()).toBe(version);
    for (const file of ['docs/driver-guide.md', 'examples/my-mirror/README.md', 'dist/litmus/index.d.ts'])
      expect(existsSync(join(home, 'node_modules', 'shootdown', file)), file).toBe(true);
  });

  test(
    'the example ends as it declares: safe, and each of the four mistakes found',
    () => {
      const { code, out, err } = shootdown('check', 'my-mirror/scenario.ts', '--json');
      expect(code, err).toBe(0);
      const { results } = JSON.parse(out) as {
        results: { variant: string; verdict: string; property: string; asExpected: boolean }[];
      };
      const found = new Map(results.map((result) => [result.variant, result]));
      expect(found.get('base')).toMatchObject({ verdict: 'safe', asExpected: true });
      for (const mistake of MISTAKES)
        expect(found.get(`mistake=${mistake}`)).toMatchObject({
          verdict: 'violation',
          property: 'SPTE-COHERENT',
          asExpected: true,
        });
    },
    2 * MINUTES,
  );

  test.each(MISTAKES)(
    '%s, where the reader takes it for safe: exit code 1, and a counterexample that can be replayed',
    (mistake) => {
      const directory = join(home, mistake);
      cpSync(join(home, 'my-mirror'), directory, { recursive: true });
      const path = join(directory, 'scenario.ts');
      const text = readFileSync(path, 'utf8').replaceAll(/violates\(.*\),$/gm, "'safe',");
      writeFileSync(path, text);
      const file = `${mistake}/scenario.ts`;
      const checked = shootdown('check', file, '--variant', `mistake=${mistake}`);
      expect(checked.out).toContain('0 of 1 as declared');
      expect(checked.code).toBe(1);
      const shown = shootdown('show', file, '--variant', `mistake=${mistake}`);
      expect(shown.out).toContain('violation: SPTE-COHERENT');
      expect(shown.out).toMatch(/deviceMap\(\)[^]*\(!!\)/);
      expect(shown.code).toBe(0);
      const token = /Replay: npx shootdown replay \\?\s*'?([^']*)'?\s*$/.exec(shown.out)![1]!;
      const replayed = shootdown('replay', token.replaceAll(/\\\n/g, ''));
      expect(replayed.out).toContain('violation: SPTE-COHERENT');
    },
    2 * MINUTES,
  );

  test('what the package exports has types for an editor', () => {
    const installed = join(home, 'node_modules', 'shootdown');
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      exports: Record<string, { types?: string }>;
    };
    for (const entry of ['.', './linux']) {
      const types = join(installed, exports[entry]!.types!);
      expect(existsSync(types), types).toBe(true);
      expect(dirname(types)).toContain('dist');
    }
  });
});
