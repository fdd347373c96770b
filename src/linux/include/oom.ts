// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { testBits } from '../../core/primitives.js';
import { MMF_UNSTABLE, type Mm } from './mm_types.js';

/**
 * Whether the OOM reaper has taken pages of the mm: what a fault would find in their place is nothing that anybody may
 * see. Not a step where the mm can't be a victim.
 * @context any
 * @kernel 6.12 include/linux/oom.h check_stable_address_space: adapted (false stands for VM_FAULT_SIGBUS)
 */
export function* check_stable_address_space(mm: Mm): Path<boolean> {
  return !mm.oom_victim || !(yield* testBits(mm.flags, MMF_UNSTABLE));
}
