// SPDX-License-Identifier: MIT
/** What a step does, in the words of a kernel developer. */
import type { Trace, TraceLine } from '../explore/trace.js';

/** What a cell is called in a diagram. */
export function cellName(trace: Trace, cell: string): string {
  const label = trace.cells[cell]?.label;
  if (label !== undefined) return label;
  return cell
    .replace(/^f(\d+)\.(pte|pte_high)\[(\d+)\]$/, '$2[f$1][$3]')
    .replace(/^cpu(\d+)\.tlb\[(.*)\]$/, 'CPU$1 TLB $2')
    .replace(/^cpu(\d+)\.pwc\[(.*)\]$/, 'CPU$1 walk cache $2');
}

/** Cells whose every change is worth a line, whoever made it: page tables, TLBs, reference counts. */
export function alwaysMatters(trace: Trace, cell: string): boolean {
  const type = trace.cells[cell]?.type;
  return type === 'pte' || type === 'pmd' || type === 'refcount';
}

/** What a step that looks at a cell saw there, if it is one: `f1,W`, `not f1,W`. */
export function sawThere(step: TraceLine): string | undefined {
  switch (step.op) {
    case 'load':
    case 'read':
    case 'xchg':
      return step.value;
    case 'eq':
      return step.observed === 1 ? step.operands![0] : `not ${step.operands![0]!}`;
    case 'test':
      return `${step.observed === 1 ? 'with' : 'without'} ${step.operands![0]!}`;
    case 'cmpxchg':
      return step.observed === 1 ? step.operands![0] : `not ${step.operands![0]!}`;
    case 'add_unless':
      return step.observed === 1 ? `not ${step.operands![1]!}` : step.operands![1];
    case 'sub_and_test':
      return step.changes.find(({ cell }) => cell === step.cell)?.to;
    default:
      return undefined;
  }
}

/** Lines that say what a step did; none if it says nothing of itself. `again`: the agent saw the same value before. */
export function effects(trace: Trace, step: TraceLine, again = false): string[] {
  const lines: string[] = [];
  const described = step.cell === undefined ? step.text : basic(trace, step, again);
  if (described !== undefined) lines.push(described);
  if (step.op === 'drain')
    return step.changes
      .filter(({ cell }) => !isBuffer(cell))
      .map(({ cell, from, to }) => `store buffer: ${changed(trace, cell, from, to)}`);
  for (const { cell, from, to } of step.changes) {
    if (cell === step.cell || trace.cells[cell]?.ghost === true || !alwaysMatters(trace, cell)) continue;
    if (step.text?.startsWith('free ') === true && from === 'none') continue;
    if (step.text?.startsWith(`${cell} = `) === true) continue; // it says so itself
    const device = /^(\w+): pages? .*(unmapped|flushed)/.exec(step.text ?? '')?.[1];
    if (device !== undefined && to === 'none' && cell.startsWith(`${device}.`)) continue; // so it does
    lines.push(changed(trace, cell, from, to));
  }
  return lines;
}

/** `pte x: f1,W -> none`, `f1._refcount 1 -> 0`. */
export function changed(trace: Trace, cell: string, from: string, to: string): string {
  const name = cellName(trace, cell);
  return `${name}${/^-?\d+$/.test(from) && /^-?\d+$/.test(to) ? '' : ':'} ${from} -> ${to}`;
}

function basic(trace: Trace, step: TraceLine, again: boolean): string {
  const cell = step.cell!;
  const name = cellName(trace, cell);
  const change = step.changes.find((one) => one.cell === cell);
  const [b, c] = step.operands!;
  const is = again ? 'is still' : 'is';
  const plain = step.plain === true ? ' (plain)' : '';
  switch (step.op) {
    case 'load':
    case 'read':
      return `${name} ${is} ${step.value}${plain}`;
    case 'eq':
      return step.observed === 1 ? `${name} ${is} ${b!}` : `${name} is no longer ${b!}`;
    case 'test':
      return `${name} has ${step.observed === 1 ? '' : 'no '}${b!}`;
    case 'cmpxchg':
      if (change === undefined) return `${name} is not ${b!}: not changed to ${c!}`;
      break;
    case 'add_unless':
      if (change === undefined) return `${name} is ${c!}: not changed`;
      break;
    case 'lock':
    case 'bit_lock':
      return `${name} taken`;
    case 'trylock':
      return step.observed === 1 ? `${name} taken` : `${name} is taken: fails`;
    case 'unlock':
      return `${name} released`;
    case 'await_eq':
      return `${name} is ${b!} at last`;
    case 'await_clear':
      return `${name} has no ${b!} at last`;
  }
  if (change !== undefined) return changed(trace, cell, change.from, change.to) + plain;
  if (step.op === 'store' || step.op === 'write') {
    const how = inBuffer(step) ? 'in the store buffer' : 'as it was';
    return `${name} = ${b!}, ${how}${plain}`;
  }
  return `${name} unchanged`;
}

/** A store that waits in a store buffer. */
export function inBuffer({ op, changes }: TraceLine): boolean {
  return (op === 'store' || op === 'write' || op === 'unlock') && changes.some(({ cell }) => isBuffer(cell));
}

/** An entry of a store buffer. */
function isBuffer(cell: string): boolean {
  return /^cpu\d+\.sb\[/.test(cell);
}

/** What an agent waits for at the end of a run: `waits for b_lock, held by right`. */
export function waitsFor(
  trace: Trace,
  { op, cell, operands, writes, reads }: Trace['pending'][number],
): string {
  const at = cell ?? writes[0] ?? reads[0];
  if (at === undefined) return `waits in ${op}`;
  const name = cellName(trace, at);
  if (op === 'await_eq') return `waits for ${name} = ${operands![0]!}`;
  const now = trace.steps.flatMap(({ changes }) => changes).findLast((change) => change.cell === at)?.to;
  if (now === undefined) return `waits for ${name}`;
  return `waits for ${name}, ${now.startsWith('held by ') ? now : `which is ${now}`}`;
}

/** One of two accesses that race: `writes x, plain`. */
export function racesWith(trace: Trace, { cell, plain, writes, reads }: Trace['pending'][number]): string {
  const name = cellName(trace, cell ?? writes[0] ?? reads[0] ?? '');
  return `${writes.length === 0 ? 'reads' : 'writes'} ${name}, ${plain === true ? 'plain' : 'marked'}`;
}
