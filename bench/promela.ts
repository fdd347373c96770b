// SPDX-License-Identifier: MIT
/**
 * The bench model in Promela, for SPIN: one d_step for each request of `model.ts`, so that both explore the same states.
 * No init process: SPIN's states are then exactly the reachable states of the model.
 */
import type { Configuration, Operation } from './model.js';

/** One outcome of a step: what must hold, what it does, and where it goes on (absent: at the next step). */
interface Outcome {
  readonly guard?: string;
  readonly effect?: string;
  readonly to?: string;
}

/** A process as a list of steps. `i` counts the tries of an operation; `s` holds a sequence or a flag, 0 when dead. */
class Process {
  private readonly lines: string[] = [];
  private next = 0;
  private labelled = 0;

  /** Labels that are not placed yet. */
  labels<const Name extends string>(...names: Name[]): Record<Name, string> {
    const number = this.labelled++;
    return Object.fromEntries(names.map((name) => [name, `${name}${number}`])) as Record<Name, string>;
  }
  /** Places a label before the next step. */
  place(label: string): this {
    this.lines.push(`${label}:`);
    return this;
  }
  /** One indivisible step. */
  step(...outcomes: Outcome[]): this {
    const following = `n${this.next++}`;
    const options = outcomes.map(
      ({ guard = 'true', effect = 'skip', to = following }) =>
        `  :: d_step { ${guard} -> ${effect} }; goto ${to}\n`,
    );
    this.lines.push(`  if\n${options.join('')}  fi;\n${following}:`);
    return this;
  }
  acquire(lock: string): this {
    return this.step({ guard: `${lock} == 0`, effect: `${lock} = 1` });
  }
  release(lock: string, andThen = ''): this {
    return this.step({ effect: `${lock} = 0${andThen}` });
  }
  text(name: string): string {
    return `active proctype ${name}() {\n  byte i; byte s;\n${this.lines.join('\n')}\nend: false\n}\n`;
  }
}

/** The last step of a try: begins the next one at `start`, or gives up. */
function nextTry(
  tries: number,
  start: string,
  done: string,
  { guard = 'true', effect = 'skip' }: Outcome,
): Outcome[] {
  return [
    { guard: `(${guard}) && i + 1 < ${tries}`, effect: `${effect}; i++; s = 0`, to: start },
    { guard: `(${guard}) && i + 1 >= ${tries}`, effect: `${effect}; i = 0; s = 0`, to: done },
  ];
}

class Text {
  constructor(private readonly configuration: Configuration) {}

  /** Starts an invalidation and has each driver take its mappings down. */
  private invalidateStart(process: Process): void {
    const { devices } = this.configuration;
    process.step({ effect: 'invalidating++; sequence = (sequence | 1); s = sequence' });
    for (let device = 0; device < devices; device++) {
      process.acquire(`driver_lock[${device}]`);
      process.step({ effect: `device_sequence[${device}] = s` });
      process.step({ effect: `device_pte[${device}] = 0` });
      process.step({ effect: `device_tlb[${device}] = 0` });
      process.release(`driver_lock[${device}]`, device === devices - 1 ? '; s = 0' : '');
    }
  }

  private invalidateEnd(process: Process): void {
    process.step({ effect: 'invalidating--; sequence = (invalidating == 0 -> sequence + 1 : sequence)' });
  }

  private flush(process: Process): void {
    for (let cpu = 0; cpu < this.configuration.cpus; cpu++) process.step({ effect: `tlb[${cpu}] = 0` });
  }

  private access(process: Process, cpu: number): void {
    const tries = this.configuration.accessTries;
    const tlb = `tlb[${cpu}]`;
    const { start, writable, exclusive, done } = process.labels('start', 'writable', 'exclusive', 'done');
    process.place(start);
    process.step({ guard: `${tlb} == RW`, effect: 'i = 0', to: done }, { guard: `${tlb} != RW` });
    process.step(
      { guard: 'pte == NONE', effect: 'i = 0', to: done },
      ...nextTry(tries, start, done, { guard: 'pte == RW', effect: `${tlb} = RW; CHECK` }),
      { guard: 'pte == RO', effect: `${tlb} = RO; CHECK`, to: writable },
      { guard: 'pte == EXCLUSIVE', to: exclusive },
    );
    process.place(writable).acquire('table_lock');
    this.replace(process, 'RO');
    process.step(...nextTry(tries, start, done, { effect: `${tlb} = 0` }));
    process.place(exclusive);
    process.step(...nextTry(tries, start, done, { guard: 'ref == 0' }), {
      guard: 'ref != 0',
      effect: 'ref++',
    });
    process.acquire('page_lock');
    this.invalidateStart(process);
    process.acquire('table_lock');
    this.replace(process, 'EXCLUSIVE');
    this.invalidateEnd(process);
    process.release('page_lock');
    process.step(...nextTry(tries, start, done, { effect: 'ref--; CHECK' }));
    process.place(done);
  }

  /** Under the table lock, which it releases: makes the entry writable if it is `from`. */
  private replace(process: Process, from: string): void {
    const { release } = process.labels('release');
    process.step({ guard: `pte == ${from}` }, { guard: `pte != ${from}`, to: release });
    process.step({ effect: 'pte = RW; CHECK' });
    process.place(release).release('table_lock');
  }

  private munmap(process: Process): void {
    const last = this.configuration.cpus - 1;
    const { put, end } = process.labels('put', 'end');
    this.invalidateStart(process);
    process.acquire('table_lock');
    process.step(
      { guard: 'pte != NONE', effect: 'pte = NONE; s = 1; CHECK' },
      { guard: 'pte == NONE', effect: 's = 0' },
    );
    process.release('table_lock');
    for (let cpu = 0; cpu < last; cpu++) process.step({ effect: `tlb[${cpu}] = 0` });
    process.step(
      { guard: 's == 1', effect: `tlb[${last}] = 0; s = 0`, to: put },
      { guard: 's == 0', effect: `tlb[${last}] = 0`, to: end },
    );
    process.place(put).step({ effect: 'ref--; CHECK' }).place(end);
    this.invalidateEnd(process);
  }

  private fork(process: Process): void {
    const { restore, protect, release } = process.labels('restore', 'protect', 'release');
    this.invalidateStart(process);
    process.acquire('table_lock');
    process.step(
      { guard: 'pte == EXCLUSIVE', to: restore },
      { guard: 'pte == RW', to: protect },
      { guard: 'pte == NONE || pte == RO', to: release },
    );
    process.place(restore);
    process.step(
      { guard: 'page_lock == 0', effect: 'page_lock = 1' },
      { guard: 'page_lock == 1', to: release },
    );
    process.step({ effect: 'pte = RW; CHECK' });
    process.release('page_lock');
    process.place(protect).step({ effect: 'pte = RO; CHECK' }).step({ effect: 'ref++' });
    process.place(release).release('table_lock');
    this.flush(process);
    this.invalidateEnd(process);
  }

  private device(process: Process, device: number): void {
    const tries = this.configuration.deviceTries;
    const { start, gone, protect, exclusive, other, changed, drop, mapped, done } = process.labels(
      'start',
      'gone',
      'protect',
      'exclusive',
      'other',
      'changed',
      'drop',
      'mapped',
      'done',
    );
    const lock = `driver_lock[${device}]`;
    const seen = `device_sequence[${device}]`;
    process.place(start);
    process.step({ guard: `${seen} != sequence`, effect: `s = ${seen}` });
    process.acquire('table_lock');
    process.step({ guard: 'pte == NONE', effect: 's = 0', to: gone }, { guard: 'pte != NONE' });
    process.step({ effect: 'ref++' }).release('table_lock').acquire('page_lock').acquire('table_lock');
    process.step(
      { guard: 'pte == RW', to: protect },
      { guard: 'pte == EXCLUSIVE', to: exclusive },
      { guard: 'pte == NONE || pte == RO', effect: 's = 0', to: other },
    );
    process.place(protect).step({ effect: 'pte = EXCLUSIVE; CHECK' });
    this.flush(process);
    process.place(exclusive).release('table_lock').acquire(lock);
    process.step(
      { guard: `${seen} == s`, effect: 's = 0' },
      { guard: `${seen} != s`, effect: 's = 0', to: changed },
    );
    process.step({ effect: `device_pte[${device}] = 1; CHECK`, to: mapped });

    process.place(gone).step({ effect: 'table_lock = 0; i = 0', to: done });
    process.place(other).step({ effect: 'table_lock = 0', to: drop });
    process.place(changed).release(lock);
    process.place(drop).release('page_lock');
    process.step(...nextTry(tries, start, done, { effect: 'ref--; CHECK' }));

    process.place(mapped).release(lock).release('page_lock').step({ effect: 'ref--; CHECK' });
    process.step(
      { guard: `device_pte[${device}] == 1`, effect: `device_tlb[${device}] = 1; i = 0; CHECK`, to: done },
      ...nextTry(tries, start, done, { guard: `device_pte[${device}] == 0` }),
    );
    process.place(done);
  }

  private operation(process: Process, operation: Operation): void {
    switch (operation.kind) {
      case 'access':
        return this.access(process, operation.cpu);
      case 'munmap':
        return this.munmap(process);
      case 'fork':
        return this.fork(process);
      case 'device':
        return this.device(process, operation.device);
    }
  }

  generate(): string {
    const { cpus, devices, threads } = this.configuration;
    const each = (count: number, text: (i: number) => string, by: string): string =>
      Array.from({ length: count }, (_, i) => text(i)).join(by);
    const mapped = each(devices, (i) => `device_pte[${i}] || device_tlb[${i}]`, ' || ');
    const notWritable = each(cpus, (i) => `tlb[${i}] != RW`, ' && ');
    const empty = each(cpus, (i) => `tlb[${i}] == 0`, ' && ');
    const processes = threads.map((operations, thread) => {
      const process = new Process();
      for (const operation of operations) this.operation(process, operation);
      return process.text(`T${thread}`);
    });
    return `#define NONE 0
#define RW 1
#define RO 2
#define EXCLUSIVE 3
#define CHECK assert((!(${mapped}) || (pte == EXCLUSIVE && ${notWritable})) && (ref != 0 || (${empty})))
byte pte = RW; bit page_lock; byte ref = 1; bit table_lock; byte tlb[${cpus}];
bit device_pte[${devices}]; bit device_tlb[${devices}]; bit driver_lock[${devices}]; byte device_sequence[${devices}] = 1;
byte sequence = 2; byte invalidating;
${processes.join('')}`;
  }
}

/** The configuration as Promela text. */
export function promela(configuration: Configuration): string {
  return new Text(configuration).generate();
}
