// SPDX-License-Identifier: MIT
/** An open device file, which forked children share. */
interface File {
  count: number;
}

/** What a generator believes of a process. */
interface Process {
  /** By region, by page: is something mapped there? */
  readonly pages: boolean[][];
  readonly devices: Map<number, File>;
  pins: boolean;
}

/**
 * A rough idea of which processes live and what they have mapped where, so that most operations mean something. No operation
 * is expected to fail in it: it says what a script aims at, not what comes of it.
 */
export class World {
  private readonly processes = new Map<number, Process>([
    [0, { pages: [], devices: new Map(), pins: false }],
  ]);
  /** By device: all files that were opened. */
  private readonly files: File[][] = [];
  /**
   * Pages may be in coherent memory of a device, and devices may have pages for themselves. Not both: whatever migrates a page
   * of both kinds leaks it, and who takes that memory away then waits for ever.
   */
  coherent = false;
  exclusive = false;
  /**
   * Devices to whose memory pages may have gone. While they do so only one mirror is open: each ignores what any mirror of the
   * device migrates, only one is told, and the driver then reads pages that are free.
   */
  readonly migrated = new Set<number>();
  /** Somebody has pinned pages. */
  pinned = false;

  living(): number[] {
    return [...this.processes.keys()];
  }

  has(process: number): boolean {
    return this.processes.has(process);
  }

  /** The regions that a process has something in. */
  regions(process: number): number[] {
    return this.of(process).pages.flatMap((pages, region) => (pages.some(Boolean) ? [region] : []));
  }

  /** The pages of a region that are mapped. */
  mapped(process: number, region: number): number[] {
    const pages = this.of(process).pages[region] ?? [];
    return [...pages.keys()].filter((page) => pages[page]);
  }

  devices(process: number): number[] {
    return [...this.of(process).devices.keys()];
  }

  canPinread(process: number): boolean {
    return this.of(process).pins;
  }

  map(process: number, region: number, count: number): void {
    this.set(process, [region, 0], count, true);
  }

  unmap(process: number, region: number, first: number, count: number): void {
    this.set(process, [region, first], count, false);
  }

  move(process: number, from: readonly [number, number], count: number, to: readonly [number, number]): void {
    const pages = this.pages(process, from[0]);
    // What is not all mapped stays where it is.
    for (let page = from[1]; page < from[1] + count; page++) if (!pages[page]) return;
    this.set(process, from, count, false);
    this.set(process, to, count, true);
  }

  /** How many mirrors of processes are open on a device, but for the one that this process would close by opening it again. */
  mirrors(device: number, reopening?: number): number {
    const own = reopening === undefined ? undefined : this.of(reopening).devices.get(device);
    return (this.files[device] ?? []).filter(({ count }) => count > 0).length - (own?.count === 1 ? 1 : 0);
  }

  open(process: number, device: number): void {
    this.close(process, device);
    const file = { count: 1 };
    this.of(process).devices.set(device, file);
    (this.files[device] ??= []).push(file);
  }

  close(process: number, device: number): void {
    const { devices } = this.of(process);
    const file = devices.get(device);
    if (file !== undefined) file.count--;
    devices.delete(device);
  }

  pin(process: number): void {
    this.of(process).pins = true;
    this.pinned = true;
  }

  fork(process: number, child: number): void {
    const { pages, devices, pins } = this.of(process);
    for (const file of devices.values()) file.count++;
    this.processes.set(child, {
      pages: pages.map((ofRegion) => [...ofRegion]),
      devices: new Map(devices),
      pins,
    });
  }

  exit(process: number): void {
    for (const device of this.devices(process)) this.close(process, device);
    this.processes.delete(process);
  }

  private of(process: number): Process {
    return this.processes.get(process)!;
  }

  private set(
    process: number,
    [region, first]: readonly [number, number],
    count: number,
    mapped: boolean,
  ): void {
    const pages = this.pages(process, region);
    for (let page = first; page < first + count; page++) pages[page] = mapped;
  }

  private pages(process: number, region: number): boolean[] {
    return (this.of(process).pages[region] ??= []);
  }
}
