// SPDX-License-Identifier: MIT
import { type DeviceName, isDeviceName, type OperationName } from '../src/litmus/ops-language.js';
import { Chance, type Weights } from './chance.js';
import { type Mix, MIXES, type MixName } from './mixes.js';
import { World } from './world.js';

export interface GenerateOptions {
  readonly seed: number;
  /** Operations in all, or a few more; resets and observations are none. */
  readonly ops: number;
  readonly mix: MixName;
  /** For a recording of what notifiers are told: each process has some from its beginning on. */
  readonly trace?: boolean;
}

const PROTS: Weights<'rw' | 'r' | 'n'> = { rw: 8, r: 3, n: 1 };
const PIN_FLAGS: Weights<'0' | '1' | '2' | '3' | '4'> = { 0: 8, 1: 8, 2: 4, 3: 4, 4: 1 };
/** Of a hundred so many are made wrong on purpose: nothing to be done, a dead process, a child that lives. */
const WRONG = 2;
/** The devices from here on have memory that CPUs reach. */
const FIRST_COHERENT = 2;
/** What processes open to have notifiers in mixes that have no device. */
const LISTENER = 0;
/** Of a hundred so many go to the page that the operation before went to. */
const AGAIN = 45;
/** Of a hundred so many are done by the process that did the one before. */
const SAME_PROCESS = 40;
/** Of a hundred so many are a motif, where the mix has some. */
const MOTIF = 30;

/** A script, the same for the same options. */
export function generate({ seed, ops, mix, trace = false }: GenerateOptions): string {
  const generator = new Generator(new Chance(seed), MIXES[mix], trace);
  let left = ops;
  while (left > 0) left -= generator.episode(left);
  return `${generator.lines.join('\n')}\n`;
}

interface Range {
  readonly region: number;
  readonly page: number;
  readonly pages: number;
}

class Generator {
  readonly lines: string[];
  private world = new World();
  private value = 0x10000;
  /** Operations so far. */
  private added = 0;
  private last = { process: 0, region: 0, page: 0 };
  /** Where all operations go while a motif is on. */
  private aimed: Range | undefined;
  /** Each process opens a device as soon as it lives, and does nothing else with it. */
  private readonly listens: boolean;

  constructor(
    private readonly chance: Chance,
    private readonly mix: Mix,
    trace: boolean,
  ) {
    this.listens = trace && mix.operations.open === undefined;
    this.lines = [`autoobs R0 0 ${mix.pages}`];
  }

  /** From a fresh process to the last one's end, at most `most` operations; returns how many. */
  episode(most: number): number {
    const { chance, mix, lines } = this;
    if (lines.length > 1) lines.push('reset');
    this.world = new World();
    this.last = { process: 0, region: 0, page: 0 };
    const end = this.added + Math.min(most, chance.between(...mix.episode));
    const begun = this.added;
    if (this.listens) this.add(0, `open ${LISTENER}`);
    this.add(0, this.operation('mmap', 0)!);
    for (const text of this.opening()) this.add(0, text);
    while (this.added < end && this.world.living().length > 0) this.one();
    return this.added - begun;
  }

  /** What often comes first, so that there is something to work on: pages with contents, an open device. */
  private opening(): string[] {
    const { chance, mix, world } = this;
    const first: string[] = [];
    const [region] = world.regions(0);
    if (region === undefined) return first;
    const mapped = world.mapped(0, region);
    if (chance.percent(30))
      first.push(`madvise R${region} 0 ${chance.between(1, mapped.length)} populate_write`);
    else if (chance.percent(60))
      for (const page of mapped) if (chance.percent(70)) first.push(`w R${region} ${page} ${this.fresh()}`);
    if ((mix.operations.open ?? 0) > 0 && chance.percent(70)) {
      const device = chance.of(mix.devices);
      world.open(0, device);
      first.push(`open ${device}`);
    }
    return first;
  }

  /** Adds the operations of a motif, but for those that make no sense now. */
  private motif(motifs: readonly (readonly string[])[], beginning: number): void {
    const { world, chance } = this;
    let [process, child] = [beginning, beginning];
    const steps = chance.of(motifs);
    if (steps.some(isDeviceName) && world.devices(process).length === 0) {
      const opening = this.operation('open', process);
      if (opening !== undefined) this.add(process, opening);
    }
    this.aimed = this.range(process);
    for (const step of steps) {
      if (step === 'child') process = child;
      if (step === 'child' || !world.has(process)) continue;
      const [name, argument] = step.split(' ') as [OperationName, string?];
      const text =
        argument === undefined ? this.operation(name, process) : `${name} ${show(this.aimed)} ${argument}`;
      if (text === undefined) continue;
      if (name === 'pin') world.pin(process);
      this.add(process, text);
      if (name === 'fork') child = world.living().at(-1)!;
    }
    this.aimed = undefined;
  }

  /** Adds an operation, unless the one that was drawn makes no sense now. */
  private one(): void {
    const { chance, mix, world } = this;
    const living = world.living();
    const again = world.has(this.last.process) && chance.percent(SAME_PROCESS);
    const process = again ? this.last.process : chance.of(living);
    if (mix.motifs !== undefined && chance.percent(MOTIF)) return this.motif(mix.motifs, process);
    const name = chance.weighed<OperationName>(mix.operations);
    if (chance.percent(WRONG) && chance.percent(10)) {
      const dead = chance.below(mix.processes);
      if (!world.has(dead)) return this.add(dead, 'exit');
    }
    const text = this.operation(name, process);
    if (text === undefined) return;
    this.add(process, text);
    const child = world.living()[living.length];
    if (this.listens && child !== undefined) this.add(child, `open ${LISTENER}`);
  }

  /** Adds the line, and looks at what no automatic observation shows. */
  private add(process: number, text: string): void {
    const { lines, mix, chance, world } = this;
    this.added++;
    lines.push(`P${process} ${text}`);
    for (const [, region] of text.matchAll(/ R([1-9]\d*)/g))
      for (const living of world.living())
        if (living === process || chance.percent(30)) lines.push(`obs P${living} R${region} 0 ${mix.pages}`);
  }

  /** The text of an operation that a process may try; undefined if there is no sense in it now. */
  private operation(name: OperationName, process: number): string | undefined {
    const { chance, mix, world } = this;
    if (isDeviceName(name)) return this.command(name, process);
    switch (name) {
      case 'mmap':
        return this.mmap(process);
      case 'munmap': {
        const range = this.range(process);
        if (range.pages > 2 && chance.percent(70)) return undefined; // or nothing is left to work on
        world.unmap(process, range.region, range.page, range.pages);
        return `munmap ${show(range)}`;
      }
      case 'mprotect': {
        const range = this.range(process);
        return `mprotect ${show(range)} ${chance.weighed(PROTS)}`;
      }
      case 'madvise':
        return this.madvise(process);
      case 'mremap':
        return this.mremap(process);
      case 'mlock':
        return `mlock ${show(this.range(process))} ${chance.percent(70) ? 1 : 0}`;
      case 'r':
      case 'w': {
        const { region, page } = this.range(process);
        return `${name} R${region} ${page}${name === 'r' ? '' : ` ${this.fresh()}`}`;
      }
      case 'fork':
        return this.fork(process);
      case 'exit':
        if (world.living().length === 1 && !chance.percent(WRONG)) return undefined;
        world.exit(process);
        return 'exit';
      case 'pin':
        return this.pin(process);
      case 'unpin':
        if (!(world.pinned && world.canPinread(process)) && !chance.percent(5 * WRONG)) return undefined;
        world.pinned = false;
        return 'unpin';
      case 'pinread':
        if (!world.canPinread(process) && !chance.percent(5 * WRONG)) return undefined;
        return `pinread ${chance.percent(WRONG) ? 0 : chance.between(1, mix.pages)}`;
      case 'open': {
        const device = chance.of(mix.devices);
        if (world.devices(process).includes(device) && !chance.percent(20)) return undefined;
        if (world.migrated.has(device) && world.mirrors(device, process) > 0) return undefined;
        world.open(process, device);
        return `open ${device}`;
      }
      case 'close': {
        const device = this.device(process);
        if (device === undefined) return undefined;
        world.close(process, device);
        return `close ${device}`;
      }
      default:
        return name satisfies never;
    }
  }

  private mmap(process: number): string | undefined {
    const { chance, mix, world } = this;
    const empty = [...Array(mix.regions).keys()].filter(
      (region) => world.mapped(process, region).length === 0,
    );
    if (empty.length === 0 && !chance.percent(15)) return undefined;
    const region = empty.length > 0 && !chance.percent(10) ? chance.of(empty) : chance.below(mix.regions);
    const pages = chance.percent(WRONG) ? 0 : chance.percent(70) ? mix.pages : chance.between(1, mix.pages);
    const kind = chance.weighed(mix.kinds);
    const prot = chance.percent(85) ? 'rw' : chance.weighed(PROTS);
    if (world.mapped(process, region).every((page) => page >= pages)) world.map(process, region, pages);
    return `mmap R${region} ${pages} ${prot} ${kind}`;
  }

  private madvise(process: number): string {
    const { chance, mix } = this;
    const range = this.range(process);
    const advice = chance.weighed(mix.advice);
    // What is locked or shared stays: who wants a page out has often written to it just before.
    if (advice === 'pageout' && chance.percent(50))
      this.add(process, `w R${range.region} ${range.page} ${this.fresh()}`);
    return `madvise ${show(range)} ${advice}`;
  }

  private pin(process: number): string | undefined {
    const { chance, world } = this;
    if (world.pinned && !chance.percent(5 * WRONG)) return undefined;
    const range = this.range(process);
    if (chance.percent(40)) this.add(process, `w R${range.region} ${range.page} ${this.fresh()}`);
    world.pin(process);
    return `pin ${show(range)} ${chance.weighed(PIN_FLAGS)}`;
  }

  private mremap(process: number): string {
    const { chance, mix, world } = this;
    const from = this.range(process);
    const region = chance.below(mix.regions);
    const page = chance.below(mix.pages - from.pages + 1);
    world.move(process, [from.region, from.page], from.pages, [region, page]);
    return `mremap ${show(from)} R${region} ${page}`;
  }

  private fork(process: number): string | undefined {
    const { chance, mix, world } = this;
    const free = [...Array(mix.processes).keys()].filter((other) => other > 0 && !world.has(other));
    if (free.length === 0 || chance.percent(WRONG))
      return chance.percent(5 * WRONG) ? `fork P${chance.of(world.living())}` : undefined;
    const child = chance.of(free);
    world.fork(process, child);
    return `fork P${child}`;
  }

  private command(name: DeviceName, process: number): string | undefined {
    const { chance, world } = this;
    const device = this.device(process);
    if (device === undefined) return undefined;
    const coherent = device >= FIRST_COHERENT;
    if (name === 'todev') {
      if (world.mirrors(device) > 1 || (coherent && world.exclusive)) return undefined;
      world.migrated.add(device);
      world.coherent ||= coherent;
    }
    if (name === 'excl') {
      if (world.coherent) return undefined;
      world.exclusive = true;
    }
    const range = this.range(process);
    if ((name === 'todev' || name === 'excl') && chance.percent(40))
      this.add(process, `w R${range.region} ${range.page} ${this.fresh()}`);
    const value = name === 'dwrite' ? ` ${chance.percent(WRONG) ? '0xffffffffffffffff' : this.fresh()}` : '';
    return `${name} ${device} ${show(range)}${value}`;
  }

  /** A device that the process has open; now and then one that it may not have. */
  private device(process: number): number | undefined {
    const { chance, mix, world } = this;
    const open = world.devices(process);
    if (chance.percent(open.length === 0 ? 3 * WRONG : WRONG)) return chance.of(mix.devices);
    return open.length === 0 ? undefined : chance.of(open);
  }

  /** Where an operation of a process goes: mostly to what is mapped, often to where the one before went. */
  private range(process: number): Range {
    const { chance, mix, world, aimed } = this;
    if (aimed !== undefined) return aimed;
    const regions = world.regions(process);
    const astray = regions.length === 0 || chance.percent(mix.astray);
    const region =
      !astray && regions.includes(this.last.region) && chance.percent(AGAIN)
        ? this.last.region
        : astray
          ? chance.below(mix.regions)
          : chance.of(regions);
    const mapped = astray ? [] : world.mapped(process, region);
    let page = mapped.length === 0 ? chance.below(mix.pages) : chance.of(mapped);
    if (mapped.includes(this.last.page) && chance.percent(AGAIN)) page = this.last.page;
    this.last = { process, region, page };
    const end = astray ? mix.pages : endOf(mapped, page);
    const pages = Math.min(end - page, chance.of([1, 1, 1, 2, 2, 3, 4, mix.pages]));
    return { region, page, pages: chance.percent(WRONG) ? 0 : pages };
  }

  /** Another value than all before, now and then 0. */
  private fresh(): string {
    this.value += 16;
    return this.chance.percent(WRONG) ? '0x0' : `0x${this.value.toString(16)}`;
  }
}

const show = ({ region, page, pages }: Range): string => `R${region} ${page} ${pages}`;

/** The end of what is mapped from `page` on. */
function endOf(mapped: readonly number[], page: number): number {
  let end = page + 1;
  while (mapped.includes(end)) end++;
  return end;
}
