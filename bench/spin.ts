// SPDX-License-Identifier: MIT
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What SPIN's verifier says about one exhaustive run. */
export interface PeerRun {
  readonly states: number;
  readonly transitions: number;
  /** User and system time of the verifier. */
  readonly cpu: number;
  /** A stored state with its overhead, without the hash table. */
  readonly bytesPerState: number;
}

/** Why SPIN can't be run here; undefined if it can. */
export function spinMissing(): string | undefined {
  for (const [command, version, comes] of [
    ['spin', '-V', 'Debian package spin'],
    ['gcc', '--version', 'Debian package gcc'],
  ] as const) {
    if (spawnSync(command, [version], { stdio: 'ignore' }).error !== undefined)
      return `${command} is not installed (${comes})`;
  }
  return undefined;
}

/** `Spin Version 6.5.2 -- 6 December 2019` -> 6.5.2 */
export function spinVersion(): string {
  return /Version (\S+)/.exec(execFileSync('spin', ['-V'], { encoding: 'utf8' }))?.[1] ?? '';
}

/** What SPIN's verifier says about all states, whatever it finds wrong. */
export interface Judgement {
  readonly states: number;
  readonly transitions: number;
  /** The assertions that failed, in SPIN's words, each as often as it failed. */
  readonly failed: readonly string[];
}

/** The number in what pan prints. */
function numberIn(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`expected ${String(pattern)} in what pan prints, got:\n${output}`);
  return Number(found);
}

/** A compiled verifier, in a directory of its own. */
export class Verifier {
  private readonly directory = mkdtempSync(join(tmpdir(), 'shootdown-spin-'));

  /** `flags` for gcc. */
  constructor(promela: string, flags: readonly string[] = ['-O2']) {
    try {
      writeFileSync(join(this.directory, 'model.pml'), promela);
      this.execute('spin', ['-o2', '-a', 'model.pml']); // what is only written is part of a state, too
      // Safety only, whole states. Partial-order reduction removes nothing (every step touches a global) and costs time.
      this.execute('gcc', [...flags, '-DSAFETY', '-DNOREDUCE', '-o', 'pan', 'pan.c']);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Goes on after each error. */
  judge(): Judgement {
    const output = this.execute('sh', ['-c', './pan -m200000 -c0 -e 2>&1']);
    const failed = [...output.matchAll(/^pan:\d+: (.*) \(at depth \d+\)$/gm)].map(([, what]) => what!);
    if (numberIn(output, /errors: (\d+)/) !== failed.length || /too small|out of memory/.test(output))
      throw new Error(`expected pan to search everything and to name each error, got:\n${output}`);
    return {
      states: numberIn(output, /(\d+) states, stored/),
      transitions: numberIn(output, /(\d+) transitions/),
      failed,
    };
  }

  run(): PeerRun {
    // The shell's `times` is the portable way to the CPU time of a child: last line, user and system.
    const output = this.execute('sh', ['-c', './pan -m200000 2>&1; times']);
    const number = (pattern: RegExp): number => numberIn(output, pattern);
    if (number(/errors: (\d+)/) !== 0 || /too small|out of memory/.test(output))
      throw new Error(`expected pan to search everything and to find no error, got:\n${output}`);
    const [user, system] = output
      .trimEnd()
      .split('\n')
      .at(-1)!
      .split(' ')
      .map((text) => /^(\d+)m([\d.]+)s$/.exec(text))
      .map((found) => Number(found?.[1]) * 60 + Number(found?.[2]));
    return {
      states: number(/(\d+) states, stored/),
      transitions: number(/(\d+) transitions/),
      cpu: user! + system!,
      bytesPerState: number(/as stored = (\d+) byte/) + number(/as stored = \d+ byte \+ (\d+) byte overhead/),
    };
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  private execute(command: string, args: readonly string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      cwd: this.directory,
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: Infinity,
    });
    if (error !== undefined) throw error;
    if (status !== 0)
      throw new Error(`${command} failed (${status}): ${(stdout + stderr).trim().slice(-500)}`);
    return stdout;
  }
}
