// SPDX-License-Identifier: MIT
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type Build, build } from './build.js';
import { progress } from './progress.js';

/** The guest has ended, or does not answer: what it had to say is in the message. */
export class GuestError extends Error {}

export interface RunOptions {
  /** Ask for what notifiers are told as well. */
  readonly trace?: boolean;
  /** Milliseconds that it may take. */
  readonly patience?: number;
}

/** A real kernel that executes scripts, one after the other. */
export interface Guest {
  /** What the kernel calls itself. */
  readonly banner: string;
  readonly build: Build;
  /** The answers to a script, as `shootdown ops` prints those of the model, but for how frames are numbered. */
  run(script: string, options?: RunOptions): Promise<string[]>;
  close(): Promise<void>;
}

/** Milliseconds that a guest may take to boot, or for a script: much more than it does. */
const PATIENCE = 300_000;

/**
 * One CPU, emulated; the port of the scripts is what QEMU reads and writes. Its clock counts instructions: on a host with much
 * else to do no time-out of the guest runs out, as that of the test driver, which answers EBUSY after a second.
 */
const MACHINE =
  '-nodefaults -no-user-config -display none -no-reboot -machine q35 -accel tcg -cpu max -smp 1 -m 2G -icount shift=3,sleep=off';
const PORT =
  '-chardev stdio,id=scripts,signal=off -device virtio-serial-pci -device virtserialport,chardev=scripts';
const PARAMETERS = [
  'console=ttyS0 quiet loglevel=1 oops=panic panic=-1 norandmaps',
  // Memory for the devices with coherent memory: a chunk of the test driver for each, which the kernel must leave alone.
  'memmap=512M$0x40000000 test_hmm.spm_addr_dev0=0x40000000 test_hmm.spm_addr_dev1=0x50000000',
  // A disk in memory that is done with a request when it has taken it: nothing depends on when a disk answers.
  'null_blk.nr_devices=1 null_blk.gb=1 null_blk.memory_backed=1 null_blk.irqmode=0',
];

type Qemu = ChildProcessByStdio<Writable, Readable, Readable>;

function startQemu({ kernel, initramfs }: Build, log: string): Qemu {
  const image = ['-kernel', kernel, '-initrd', initramfs, '-append', PARAMETERS.join(' ')];
  const args = [...MACHINE.split(' '), ...image, '-serial', `file:${log}`, ...PORT.split(' ')];
  // It ends with this process, however that ends.
  const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args];
  return spawn('setpriv', command, { stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Boots a guest, and waits until it takes scripts. */
export async function startGuest(): Promise<Guest> {
  const built = await build();
  progress('the guest boots');
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-guest-'));
  const log = join(folder, 'console');
  const qemu = startQemu(built, log);
  const lines = createInterface({ input: qemu.stdout });
  let complaints = '';
  qemu.stderr.on('data', (data: Buffer) => (complaints += data.toString()));
  qemu.stdin.on('error', () => {}); // it has ended: `ended` says so

  /** Who waits for lines: gets each, and the error that ends them. */
  let listener: { line(line: string): void; end(error: Error): void } | undefined;
  let ended: Error | undefined;
  const end = (what: string): void => {
    if (ended !== undefined) return;
    let tail = '';
    try {
      tail = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-40).join('\n');
    } catch {
      // It has not come so far.
    }
    ended = new GuestError([what, complaints.trimEnd(), tail].filter((text) => text !== '').join('\n'));
    listener?.end(ended);
  };
  const clean = (): void => rmSync(folder, { recursive: true, force: true });
  const kill = (): void => {
    qemu.kill('SIGKILL');
    clean();
  };
  process.once('exit', kill);
  const gone = new Promise<void>((resolve) => {
    qemu.on('error', (error) => {
      end(`the guest can't be started: ${error.message}`);
      resolve();
    });
    qemu.on('close', () => {
      end('the guest has ended');
      process.off('exit', kill);
      clean();
      resolve();
    });
  });
  lines.on('line', (line) => listener?.line(line));

  /** All lines up to the first for which `last` holds, without it. */
  const until = (last: (line: string) => boolean, patience = PATIENCE): Promise<string[]> =>
    new Promise((resolve, reject) => {
      const found: string[] = [];
      const timer = setTimeout(() => end(`the guest has not answered in ${patience / 1000} s`), patience);
      const finish = (): void => {
        clearTimeout(timer);
        listener = undefined;
      };
      listener = {
        line(line) {
          if (!last(line)) return void found.push(line);
          finish();
          resolve(found);
        },
        end(error) {
          finish();
          reject(
            new GuestError(
              error.message +
                (found.length === 0
                  ? ''
                  : `\nit had answered to ${found.findLast((line) => line.startsWith('>')) ?? 'nothing'}`),
              { cause: error },
            ),
          );
        },
      };
      if (ended !== undefined) listener.end(ended);
    });

  let banner = '';
  let number = 0;
  const guest: Guest = {
    get banner() {
      return banner;
    },
    build: built,
    async run(script, { trace = false, patience } = {}) {
      const sync = `sync ${++number}`;
      const answered = until((line) => line === sync, patience);
      qemu.stdin.write(`begin\n${trace ? 'trace\n' : ''}${script.trimEnd()}\n${sync}\n`);
      const answer = await answered;
      const odd = answer.find((line) => line.startsWith('?'));
      if (odd !== undefined) throw new GuestError(`the agent has not executed a line: ${odd}`);
      return answer;
    },
    async close() {
      qemu.kill('SIGKILL');
      await gone;
    },
  };
  try {
    await until((line) => {
      if (!line.startsWith('Linux version')) return false;
      banner = line;
      return true;
    });
  } catch (error) {
    await guest.close();
    throw error;
  }
  return guest;
}
