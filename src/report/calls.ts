// SPDX-License-Identifier: MIT
/** The calls of a run as a tree for each agent, and which of them a diagram names. */
import type { Trace, TraceFrame, TraceLine } from '../explore/trace.js';

/** One call of a function, from its first step to its return. */
export interface Call {
  readonly fn: string;
  readonly parent: Call | undefined;
  /** Steps that are shown and that it makes itself, not through another call. */
  readonly steps: TraceLine[];
  /** Calls that hold a step that is shown. */
  readonly calls: Call[];
  /** Different things that it does itself, shown or not. */
  readonly does: Set<string>;
  /** Index of the step after which it returned. */
  returnedAt?: number;
  value?: string;
  named: boolean;
}

/** By step index: the innermost call that makes the step. */
export type Calls = ReadonlyMap<number, Call>;

/** Calls nested deeper than this are not named: what they do stands under the one around them. */
export const DEEPEST = 3;

/** Builds the trees. `shown` says which steps the diagram shows, `deepest` how many calls in each other are named. */
export function callsOf(trace: Trace, shown: (step: TraceLine) => boolean, deepest = DEEPEST): Calls {
  const calls = new Map<number, Call>();
  const roots = trace.agents.map((_, agent) => newCall(`agent ${agent}`, undefined));
  const open: Call[][] = roots.map((root) => [root]);
  for (const step of trace.steps) {
    const stack = open[step.agent]!;
    step.stack.forEach((frame, depth) => {
      const call = (stack[depth] ??= newCall(functionName(step.stack[depth - 1], frame), stack[depth - 1]));
      call.does.add(frame.callee);
    });
    stack.length = Math.max(1, step.stack.length);
    const innermost = stack.at(-1)!;
    calls.set(step.index, innermost);
    if (shown(step)) {
      innermost.steps.push(step);
      for (
        let call = innermost;
        call.parent !== undefined && !call.parent.calls.includes(call);
        call = call.parent
      )
        call.parent.calls.push(call);
    }
    for (const { depth, value } of step.returned) {
      const call = stack[depth + 1];
      if (call === undefined || call.returnedAt !== undefined) continue;
      call.returnedAt = step.index;
      if (value !== undefined) call.value = value;
    }
    const outermost = Math.min(...step.returned.map(({ depth }) => depth));
    stack.length = Math.min(stack.length, outermost + 1);
  }
  for (const root of roots) for (const entry of root.calls) name(entry, deepest);
  return calls;
}

/** The calls around a step that the diagram names, outermost first. */
export function namedCalls(call: Call): Call[] {
  const around: Call[] = [];
  for (let at: Call | undefined = call; at !== undefined; at = at.parent) if (at.named) around.push(at);
  return around.reverse();
}

/** A call that shows one step only, through however many others. */
export function wraps(call: Call): boolean {
  let at = call;
  while (at.steps.length === 0 && at.calls.length === 1) at = at.calls[0]!;
  return at.steps.length === 1 && at.calls.length === 0;
}

function newCall(fn: string, parent: Call | undefined): Call {
  return { fn, parent, steps: [], calls: [], does: new Set(), named: false };
}

/** `gpu.map` where it was called so, `invalidate` where it was called through something. */
function functionName(caller: TraceFrame | undefined, { fn }: TraceFrame): string {
  const spelled = caller?.callee ?? fn;
  return /^(?!this\.)[A-Za-z_]\w*\.\w+$/.test(spelled) && spelled.endsWith(`.${fn}`) ? spelled : fn;
}

/** Names an entry. If all it does is call on, what it calls is not named, but what that calls. */
function name(entry: Call, deepest: number): void {
  entry.named = true;
  let last = entry;
  while (!branches(last) && last.calls.length === 1) last = last.calls[0]!;
  if (branches(last)) last.calls.forEach((call) => nameChain(call, deepest));
  else if (entry.calls.length === 1) nameChain(entry.calls[0]!, deepest);
}

/**
 * In a chain of wrappers names the one call that says most: the one at which the chain branches, or else the one that
 * does most.
 */
function nameChain(first: Call, levels: number): void {
  if (levels === 0) return;
  const chain = [first];
  let last = first;
  while (!branches(last) && last.calls.length === 1) chain.push((last = last.calls[0]!));
  if (branches(last)) {
    last.named = true;
    last.calls.forEach((call) => nameChain(call, levels - 1));
    return;
  }
  // The innermost is an accessor (ptep_get_and_clear, page_ref_add_unless): it only speaks where it stands alone.
  const candidates = chain.length === 1 ? chain : chain.slice(0, -1);
  candidates.reduce((best, call) => (call.does.size > best.does.size ? call : best)).named = true;
}

function branches(call: Call): boolean {
  return call.steps.length + call.calls.length > 1;
}
