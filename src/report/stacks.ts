// SPDX-License-Identifier: MIT
/** Call stacks on one line, as kernel developers write them: innermost first. */
import type { TraceFrame } from '../explore/trace.js';

/**
 * `mutex_lock in invalidate <- mn_itree_invalidate <- ... <- madvise_dontneed`: the innermost functions that `room`
 * allows, `least` of them at least, and the outermost if there is room. The agent's own function is left out, unless there is no other.
 */
export function stackText(stack: readonly TraceFrame[], room = 0, least = 3): string {
  const names = stack
    .slice(1)
    .filter((frame) => !isOurs(frame))
    .map(({ fn }) => fn)
    .reverse();
  if (names.length === 0) return stack[0]?.callee ?? 'its start';
  const first = (count: number): string => {
    const shown = count >= names.length - 1 ? names : [...names.slice(0, count), '...', names.at(-1)!];
    return shown.length === 1 ? shown[0]! : `${shown[0]!} in ${shown.slice(1).join(' <- ')}`;
  };
  for (let count = names.length; count > 1; count--) {
    const text = first(count);
    if (text.length <= room) return text;
    if (count === least) return first(2).length <= room ? first(2) : text;
  }
  for (let count = names.length - 1; count > 1; count--) {
    const inner = `${names[0]!} in ${names.slice(1, count).join(' <- ')} <- ...`;
    if (inner.length <= room) return inner;
  }
  return first(1);
}

/** The innermost function that is not one of ours; undefined: the agent's own. */
export function innermostOf(stack: readonly TraceFrame[]): string | undefined {
  return stack.slice(1).findLast((frame) => !isOurs(frame))?.fn;
}

/** A helper in a kernel path that the kernel does not have: it would not be found there. */
function isOurs({ fn, at }: TraceFrame): boolean {
  return /[A-Z]/.test(fn) && at.startsWith('src/linux/');
}
