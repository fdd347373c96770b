// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';
import { UsageError } from '../src/core/scenario.js';

/** What a guest boots. */
export interface Build {
  readonly kernel: string;
  readonly initramfs: string;
  /** SHA-256 of the kernel's configuration. */
  readonly config: string;
}

/** What went wrong has been said. */
export class Told extends UsageError {}

/** Builds kernel and agent, if they are not there yet: the first time that takes minutes. */
export async function build(): Promise<Build> {
  const script = fileURLToPath(new URL('kernel/build.sh', import.meta.url));
  // A session of its own: what it has started ends with it.
  const child = spawn(script, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const stop = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid);
  };
  process.once('exit', stop);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => reject(new UsageError(`${script}: ${error.message}`, { cause: error })));
    child.once('close', resolve);
  });
  const printed = text(child.stdout);
  const status = await ended.finally(() => process.off('exit', stop));
  if (status === 2) throw new Told();
  if (status !== 0) throw new UsageError(`${script} has failed (${status ?? 'killed'})`);
  const [kernel = '', initramfs = '', config = ''] = (await printed).split('\n');
  return { kernel, initramfs, config: createHash('sha256').update(readFileSync(config)).digest('hex') };
}
