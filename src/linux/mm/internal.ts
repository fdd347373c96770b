// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { VM, type Vma } from '../include/mm_types.js';
import { type Pte, pte_soft_dirty } from '../include/pgtable.js';
import { current } from '../kernel.js';

/**
 * Whether a store through the entry has to be noticed: nothing was written since the soft-dirty bits were cleared.
 * @context mmap_lock held
 * @kernel 6.12 mm/internal.h pte_needs_soft_dirty_wp, vma_soft_dirty_enabled: faithful
 */
export function* pte_needs_soft_dirty_wp(vma: Vma, pte: Pte): Path<boolean> {
  if (current.kernel.options.softDirty !== true || pte_soft_dirty(pte)) return false;
  return ((yield* load(vma.vm_flags)) & VM.SOFTDIRTY) === 0;
}
