// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import { request } from '../core/path.js';
import { claim } from '../core/primitives.js';
import { frameRef, type Cell } from '../core/system.js';
import type { Kernel } from '../linux/kernel.js';
import type { Mm, Page } from '../linux/include/mm_types.js';
import { Use } from '../machine/machine.js';
import { pfnOf, PTE } from '../machine/pte.js';
import { frameCell } from '../machine/machine.js';

/** What the ghost knows of a frame during a call: bits. */
const MAPPED = 1; // was mapped at some instant of the call and not freed, reused or frozen since
const HELD = 2; // the caller holds a reference it took in this call
const RIGHT = 4; // both at one instant
const WEAK = 8; // MAPPED when the reference was taken

/**
 * PIN-RIGHT and PIN-WEAK: ghost state beside one call that looks up `addr`. PIN-RIGHT: at one instant of the call the
 * address maps the page with the permission asked, and the caller already holds its reference. PIN-WEAK: the address
 * mapped it at some instant of the call, and the frame was not freed, reused or frozen between then and the reference.
 */
export class PinWatch {
  private readonly ghost: Cell[];
  private readonly open: Cell;
  private readonly count: Cell[];
  private readonly ops: { begin: number; judge: number; end: number };

  constructor(
    kernel: Kernel,
    readonly name: string,
    mm: Mm,
    addr: number,
    write: boolean,
  ) {
    const { system, machine } = kernel;
    this.open = system.cell(`${name}.open`);
    this.ghost = machine.frames.map((frame) => frameCell(system, frame.number, `${name}.ghost`));
    this.count = machine.frames.map((frame) => frameCell(system, frame.number, `${name}.refs_seen`));
    const needed = PTE.PRESENT | PTE.USER | (write ? PTE.RW : 0);
    const maps = (): number => {
      const entry = machine.leaf(mm.space, addr);
      return (entry & needed) === needed ? pfnOf(entry) : -1;
    };
    const update = (agent: number): void => {
      const owner = this.open.value - 1;
      if (owner < 0) return;
      const mapped = maps();
      for (const page of kernel.mem_map) {
        const cell = this.ghost[page.pfn]!;
        const refs = page._refcount.value;
        const seen = this.count[page.pfn]!.value;
        let bits = cell.value;
        if (agent === owner && refs > seen) bits |= HELD | (bits & MAPPED ? WEAK : 0);
        if (agent === owner && refs < seen) bits &= ~(HELD | WEAK | RIGHT);
        if (page.frame.use.value !== Use.DATA || refs === 0) bits &= ~MAPPED;
        if (page.pfn === mapped) bits |= MAPPED | (bits & HELD ? RIGHT | WEAK : 0);
        system.set(cell.at, bits);
        system.set(this.count[page.pfn]!.at, refs);
      }
    };
    system.monitors.push({
      cells: [
        this.open,
        ...machine.leafCells(mm.space, addr),
        ...kernel.mem_map.flatMap((page) => [page._refcount, page.frame.use]),
      ],
      update,
    });
    const touches = (
      _a: number,
      _b: number,
      _c: number,
      _agent: number,
      access: { writes: number[] },
    ): void => void access.writes.push(this.open.at);
    this.ops = {
      begin: system.op({
        name: `${name}_begin`,
        exec: (_a, _b, _c, agent) => {
          for (const page of kernel.mem_map) {
            system.set(this.ghost[page.pfn]!.at, 0);
            system.set(this.count[page.pfn]!.at, page._refcount.value);
          }
          system.set(this.open.at, agent + 1);
          return 0;
        },
        touches,
      }),
      /** Observes RIGHT | WEAK of frame a - 1. */
      judge: system.op({
        name: `${name}_judge`,
        exec: (a) => this.ghost[a - 1]!.value & (RIGHT | WEAK),
        args: [frameRef, 'plain', 'plain'],
        touches,
      }),
      end: system.op({
        name: `${name}_end`,
        exec: () => {
          for (const page of kernel.mem_map) {
            system.set(this.ghost[page.pfn]!.at, 0);
            system.set(this.count[page.pfn]!.at, 0);
          }
          system.set(this.open.at, 0);
          return 0;
        },
        touches,
      }),
    };
  }

  /** Right before the call. */
  *begin(): Path {
    yield* request(this.ops.begin);
  }

  /** Right after the call: `page` is what it returned for the address, undefined if nothing. */
  *judge(page: Page | undefined, property: 'PIN-RIGHT' | 'PIN-WEAK' = 'PIN-RIGHT'): Path {
    const seen = page === undefined ? RIGHT | WEAK : yield* request(this.ops.judge, page.pfn + 1);
    yield* request(this.ops.end);
    if (property === 'PIN-RIGHT')
      yield* claim(
        (seen & RIGHT) !== 0,
        'PIN-RIGHT',
        `${this.name}: the returned page was never mapped here while the caller held its reference`,
      );
    else
      yield* claim(
        (seen & WEAK) !== 0,
        'PIN-WEAK',
        `${this.name}: the returned page was not mapped here during the call, or was freed before the reference`,
      );
  }
}
