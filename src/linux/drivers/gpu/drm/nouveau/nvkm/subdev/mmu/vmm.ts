// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../../../../../../core/path.js';
import { type Device, deviceMap } from '../../../../../../../../machine/machine.js';
import { ENOMEM } from '../../../../../../../include/errno.js';
import { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } from '../../../../../../../include/gfp_types.js';
import { knob } from '../../../../../../../kernel.js';
import { kmalloc } from '../../../../../../../mm/slub.js';

const FLAGS = { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } as const;

/** Knob nouveau.pgt: what the GPU's page table is allocated with, before the mutex is taken. @context may sleep */
export function* preallocatePgt(): Path<number> {
  if (knob('nouveau.pgt') !== 'preallocated') return 0;
  return (yield* kmalloc(1, GFP_KERNEL)) ? 0 : -ENOMEM;
}

/**
 * Enters a page in the page table of the GPU, which may have to be made.
 * @context svmm->mutex held; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nvkm/subdev/mmu/vmm.c nvkm_vmm_pfn_map: adapted (one page; one level, of which knob nouveau.pgt says whether it is there; vmm->mutex folded into svmm->mutex)
 */
export function* nvkm_vmm_pfn_map(device: Device, addr: number, entry: number): Path<number> {
  const pgt = knob('nouveau.pgt');
  // nvkm_vmm_pgt_new()
  if (pgt !== 'present' && pgt !== 'preallocated' && !(yield* kmalloc(1, FLAGS[pgt]))) return -ENOMEM;
  yield* deviceMap(device, addr, entry);
  return 0;
}
