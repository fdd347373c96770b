// SPDX-License-Identifier: MIT
import type { OpDefinition } from '../core/ops.js';
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
const LATE = 16; // the permission was taken away before the reference was taken
const FREED = 32; // was mapped during the call, and then freed

/** What may be asked of the page that a call returned. */
export type PinProperty = 'PIN-RIGHT' | 'PIN-WEAK' | 'PIN-PERM';
const ASKED: Record<PinProperty, { seen: number; wanted: number; wrong: string }> = {
  'PIN-RIGHT': {
    seen: RIGHT,
    wanted: RIGHT,
    wrong: 'the returned page was never mapped here while the caller held its reference',
  },
  'PIN-WEAK': {
    seen: WEAK,
    wanted: WEAK,
    wrong: 'the returned page was not mapped here during the call, or was freed before the reference',
  },
  'PIN-PERM': {
    seen: LATE,
    wanted: 0,
    wrong: 'the reference was taken after the permission had been taken away for good',
  },
};

/**
 * PIN-RIGHT and PIN-WEAK: ghost state beside one call that looks up `addr`. PIN-RIGHT: at one instant of the call the
 * address maps the page with the permission asked, and the caller already holds its reference. PIN-WEAK: the address
 * mapped it at some instant of the call, and the frame was not freed, reused or frozen between then and the reference.
 * PIN-PERM: the reference was not taken after `revoked()`. The references of a large folio are counted at its head.
 */
export class PinWatch {
  private readonly ghost: Cell[];
  private readonly open: Cell;
  private readonly late: Cell;
  private readonly count: Cell[];
  private readonly ops: { begin: number; judge: number; end: number; revoked: number };

  constructor(
    kernel: Kernel,
    readonly name: string,
    mm: Mm,
    addr: number,
    write: boolean,
    reuse: boolean,
  ) {
    const { system, machine } = kernel;
    this.open = system.cell(`${name}.open`);
    this.late = system.cell(`${name}.late`);
    this.ghost = machine.frames.map((frame) => frameCell(system, frame.number, `${name}.ghost`));
    this.count = machine.frames.map((frame) => frameCell(system, frame.number, `${name}.refs_seen`));
    const needed = PTE.PRESENT | PTE.USER | (write ? PTE.RW : 0);
    const maps = (): number => {
      const entry = machine.leaf(mm.space, addr);
      return (entry & needed) === needed ? pfnOf(entry) : -1;
    };
    const headOf = (page: Page): number => {
      const head = kernel.options.thp ? page.compound_head.value : 0;
      return head === 0 ? page.pfn : head - 1;
    };
    const update = (agent: number): void => {
      const owner = this.open.value - 1;
      if (owner < 0) return;
      const mapped = maps();
      for (const page of kernel.mem_map) {
        const head = kernel.mem_map[headOf(page)]!;
        const cell = this.ghost[page.pfn]!;
        const refs = head._refcount.value;
        const seen = this.count[head.pfn]!.value;
        let bits = cell.value;
        if (agent === owner && refs > seen)
          bits |= HELD | (bits & MAPPED ? WEAK : 0) | (bits & HELD || this.late.value === 0 ? 0 : LATE);
        if (agent === owner && refs < seen) bits &= ~(HELD | WEAK | RIGHT | LATE);
        if (reuse && bits & MAPPED && refs === 0) bits |= FREED;
        if (page.frame.use.value !== Use.DATA || refs === 0) bits &= ~MAPPED;
        if (page.pfn === mapped) bits |= MAPPED | (bits & HELD ? RIGHT | WEAK : 0);
        system.set(cell.at, bits);
      }
      for (const page of kernel.mem_map) system.set(this.count[page.pfn]!.at, page._refcount.value);
    };
    system.monitors.push({
      cells: [
        this.open,
        this.late,
        ...this.ghost,
        ...this.count,
        ...machine.leafCells(mm.space, addr),
        ...kernel.mem_map.flatMap((page) => [page._refcount, page.frame.use]),
        ...(kernel.options.thp ? kernel.mem_map.map((page) => page.compound_head) : []),
      ],
      update,
    });
    const touches: OpDefinition['touches'] = (_a, _b, _c, _agent, access) => {
      access.writes.push(this.open.at);
      for (const cell of [...this.ghost, ...this.count]) access.silent.push(cell.at);
      for (const { _refcount } of kernel.mem_map) access.silent.push(_refcount.at);
    };
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
      /** Observes what the ghost knows of frame a - 1. */
      judge: system.op({
        name: `${name}_judge`,
        exec: (a, b) => this.ghost[a - 1]!.value & b,
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
      revoked: system.op({
        name: `${name}_revoked`,
        exec: () => {
          system.set(this.late.at, 1);
          return 0;
        },
        touches: (_a, _b, _c, _agent, access) => void access.writes.push(this.late.at),
      }),
    };
  }

  /** Right before the call. */
  *begin(): Path {
    yield* request(this.ops.begin);
  }

  /** Whether the page, which the call returned, was freed during the call and came back. Before `judge`, with `reuse`. */
  *cameBack(page: Page | undefined): Path<boolean> {
    return page !== undefined && (yield* request(this.ops.judge, page.pfn + 1, FREED)) !== 0;
  }

  /** Right after the call that took the permission away returned. */
  *revoked(): Path {
    yield* request(this.ops.revoked);
  }

  /** Right after the call: `page` is what it returned for the address, undefined if nothing. */
  *judge(page: Page | undefined, property: PinProperty = 'PIN-RIGHT'): Path {
    const { seen, wanted, wrong } = ASKED[property];
    const got = page === undefined ? wanted : yield* request(this.ops.judge, page.pfn + 1, seen);
    yield* request(this.ops.end);
    yield* claim(got === wanted, property, `${this.name}: ${wrong}`);
  }
}
