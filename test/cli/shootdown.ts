// SPDX-License-Identifier: MIT
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');

const folders: string[] = [];
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL'); // of tests that timed out
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of node itself. */
  readonly node?: readonly string[];
  /** Called with what stderr says so far. */
  onError?(err: string, kill: (signal: NodeJS.Signals) => void): void;
}

/** Runs the built command line as a user does. */
export function shootdown(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  if (!existsSync(main)) throw new Error('expected dist/cli/main.js: run `npm run build` first');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...(options.node ?? []), main, ...args], {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      options.onError?.(err, (signal) => child.kill(signal));
    });
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, out, err });
    });
  });
}

/** A directory far from the package, with a space in its path, holding `files`. Goes away after the tests of the file. */
export function folder(files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'shootdown cli '));
  folders.push(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

/** A scenario file: two threads that count in one cell. `body` is what each does. */
export function counting({
  id = 'T-1',
  imports = '',
  setup = '',
  body = 'yield* add(c, 1);',
  knobs = '',
  rest = "sometimes: [], expect: { base: 'safe' },",
  machines = "'ipi'",
}: {
  id?: string;
  imports?: string;
  setup?: string;
  body?: string;
  knobs?: string;
  rest?: string;
  machines?: string;
} = {}): string {
  return `import { add, claim, read, scenario, see, store, violates, write } from 'shootdown';
${imports}
const name: string = 'c';
export default scenario({
  id: '${id}', family: 'test', question: 'Does it count?', bounds: 'two threads',
  machine: { cpus: 2, frames: 2 }, machines: [${machines}],
  knobs: { ${knobs} },
  setup(m) {
    ${setup}
    return m.kernel.system.cell(name);
  },
  agents: (c, k: Record<string, string>) => ({
    *one() {
      ${body}
    },
    *two() {
      ${body}
    },
  }),
  ${rest}
});
`;
}
