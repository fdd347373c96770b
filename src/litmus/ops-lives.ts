// SPDX-License-Identifier: MIT
import type { OpsLine } from './ops-language.js';

/** An open device file; forked children share it. */
export interface DeviceFile {
  readonly device: number;
  /** The place of the process that opened it, whose memory it mirrors to the end. */
  readonly place: number;
  /** Which of the mirrors that the place has on that device. */
  readonly slot: number;
  /** Processes that have it. */
  count: number;
}

/** The file of the GUP test driver: {@link Pins} knows who shares it. */
export const GUP_TEST_FILE = 'gup_test';
type OpenFile = DeviceFile | typeof GUP_TEST_FILE;

/** A process that lives. */
interface Life {
  readonly place: number;
  /** By device. */
  readonly files: (DeviceFile | undefined)[];
  /** All open files, by descriptor: a new one gets the lowest that is free. */
  readonly descriptors: (OpenFile | undefined)[];
}

/**
 * Which processes of a script live, in which places, and what device files they have. A place is an mm: a file that is
 * still open keeps that of a process that has exited, and then the next process of that number gets another.
 */
export class Lives {
  private readonly lives: (Life | undefined)[] = [{ place: 0, files: [], descriptors: [] }];
  /** The files that mirror each place. */
  private readonly mirrors: DeviceFile[][] = [];

  constructor(private readonly processes: number) {}

  /** The place of a process that lives. */
  place(process: number): number | undefined {
    return this.lives[process]?.place;
  }

  file(process: number, device: number): DeviceFile | undefined {
    return this.lives[process]?.files[device];
  }

  /** Returns the place of the child, which has all files of its parent. */
  fork(parent: number, child: number): number {
    const used = new Set(this.lives.map((life) => life?.place));
    const free = (place: number): boolean => !used.has(place) && (this.mirrors[place] ?? []).length === 0;
    let place = child;
    for (let next = this.processes; !free(place); next++) place = next;
    const files = [...this.lives[parent]!.files];
    for (const file of files) if (file !== undefined) file.count++;
    this.lives[child] = { place, files, descriptors: [...this.lives[parent]!.descriptors] };
    return place;
  }

  /**
   * Returns the files that nobody has any more, and that of the GUP test driver, in the order in which they are released:
   * exit_files() closes them by descriptor, and task_work_run() begins with the last of them.
   */
  exit(process: number): OpenFile[] {
    const { descriptors } = this.lives[process]!;
    const closed = descriptors
      .map((file) => (file === undefined || file === GUP_TEST_FILE ? file : this.close(process, file.device)))
      .reverse();
    this.lives[process] = undefined;
    return closed.filter((file) => file !== undefined);
  }

  /** The process has the GUP test driver's file from now on, if it had it not. */
  openGupTest(process: number): void {
    const { descriptors } = this.lives[process]!;
    if (!descriptors.includes(GUP_TEST_FILE)) descriptors[lowestFree(descriptors)] = GUP_TEST_FILE;
  }

  open(process: number, device: number): DeviceFile {
    const { place, files, descriptors } = this.lives[process]!;
    const mirrors = (this.mirrors[place] ??= []);
    let slot = 0;
    while (mirrors.some((file) => file.device === device && file.slot === slot)) slot++;
    const file = { device, place, slot, count: 1 };
    mirrors.push(file);
    files[device] = file;
    descriptors[lowestFree(descriptors)] = file;
    return file;
  }

  /** Returns the file if nobody has it any more. */
  close(process: number, device: number): DeviceFile | undefined {
    const { files, descriptors } = this.lives[process]!;
    const file = files[device];
    if (file === undefined) return undefined;
    files[device] = undefined;
    descriptors[descriptors.indexOf(file)] = undefined;
    if (--file.count > 0) return undefined;
    this.mirrors[file.place] = this.mirrors[file.place]!.filter((other) => other !== file);
    return file;
  }

  /** All that live, from the highest number down. */
  living(): number[] {
    return [...this.lives.keys()].filter((process) => this.lives[process] !== undefined).reverse();
  }

  /** P0 begins anew; nobody lives. */
  begin(): void {
    this.lives[0] = { place: 0, files: [], descriptors: [] };
  }
}

/** What a new file gets. */
function lowestFree(descriptors: readonly unknown[]): number {
  const free = descriptors.indexOf(undefined);
  return free < 0 ? descriptors.length : free;
}

/** What a script needs of processes and mirrors. */
export interface Needs {
  /** Places, P0 to P7 first. */
  readonly places: number;
  /** Every mirror that is opened, once. */
  readonly mirrors: readonly Pick<DeviceFile, 'device' | 'place' | 'slot'>[];
}

/** Goes through a script for who lives when: nothing but the script decides that. */
export function needsOf(lines: readonly OpsLine[], processes: number): Needs {
  const lives = new Lives(processes);
  let places = processes;
  const mirrors = new Map<string, DeviceFile>();
  for (const { process, name, words } of lines) {
    if (process === undefined) {
      if (name !== 'reset') continue;
      for (const living of lives.living()) lives.exit(living);
      lives.begin();
    } else if (lives.place(process) === undefined) continue;
    else if (name === 'fork') {
      const child = words[0]!;
      if (child !== 0 && lives.place(child) === undefined)
        places = Math.max(places, lives.fork(process, child) + 1);
    } else if (name === 'exit') lives.exit(process);
    else if (name === 'close') lives.close(process, words[0]!);
    else if (name === 'open') {
      lives.close(process, words[0]!);
      const file = lives.open(process, words[0]!);
      mirrors.set(`${file.device} ${file.place} ${file.slot}`, file);
    }
  }
  return { places, mirrors: [...mirrors.values()] };
}
