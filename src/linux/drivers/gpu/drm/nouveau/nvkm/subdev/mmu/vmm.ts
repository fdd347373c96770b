// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../../../../../../core/path.js';
import { type Device, deviceErase, deviceMap } from '../../../../../../../../machine/machine.js';
import { ENOMEM } from '../../../../../../../include/errno.js';
import { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } from '../../../../../../../include/gfp_types.js';
import { PAGE_SIZE } from '../../../../../../../include/pgtable.js';
import { knob } from '../../../../../../../kernel.js';
import { kmalloc } from '../../../../../../../mm/slub.js';

const FLAGS = { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } as const;

/** What a GPU's address space has: a page table for its addresses, which an earlier fault has left there, or none yet. */
export interface NvkmVmm {
  readonly device: Device;
  readonly hasPgt: boolean;
}

/** Knob nouveau.pgt: the GPU's page table is allocated before the mutex is taken. @context may sleep */
export function* preallocatePgt(vmm: NvkmVmm): Path<number> {
  if (vmm.hasPgt || knob('nouveau.pgt') !== 'preallocated') return 0;
  return (yield* kmalloc(1, GFP_KERNEL)) ? 0 : -ENOMEM;
}

/**
 * Enters a page in the page table of the GPU, which may have to be made; 0 takes off what is there.
 * @context svmm->mutex held; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nvkm/subdev/mmu/vmm.c nvkm_vmm_pfn_map: adapted (one page; one level; -ENOMEM instead of a PFN that is not valid any more; vmm->mutex folded into svmm->mutex)
 */
export function* nvkm_vmm_pfn_map(vmm: NvkmVmm, addr: number, entry: number): Path<number> {
  const { device, hasPgt } = vmm;
  if (entry === 0) {
    yield* deviceErase(device, addr, addr + PAGE_SIZE); // nvkm_vmm_ptes_unmap_put()
    return 0;
  }
  const pgt = knob('nouveau.pgt');
  // nvkm_vmm_pgt_new()
  if (!hasPgt && pgt !== 'preallocated' && !(yield* kmalloc(1, FLAGS[pgt]))) return -ENOMEM;
  yield* deviceMap(device, addr, entry);
  return 0;
}
