// SPDX-License-Identifier: GPL-2.0-only
/** The GPU's page table, and the list of what is mapped in it: what of it is missing is allocated under svmm->mutex. */
import type { Path } from '../../../../../../../../core/path.js';
import { equals } from '../../../../../../../../core/primitives.js';
import {
  type Device,
  deviceErase,
  deviceFlush,
  deviceMap,
  deviceUnmap,
} from '../../../../../../../../machine/machine.js';
import { ENOMEM } from '../../../../../../../include/errno.js';
import { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } from '../../../../../../../include/gfp_types.js';
import { PAGE_SIZE } from '../../../../../../../include/pgtable.js';
import { knob } from '../../../../../../../kernel.js';
import { kmalloc } from '../../../../../../../mm/slub.js';
import type { NouveauSvmm } from '../../../nouveau_svm.js';

const FLAGS = { GFP_KERNEL, GFP_NOFS, GFP_NOWAIT } as const;

/** Knob nouveau.gfp: what mapping a page will need is allocated before the mutex is taken. @context may sleep */
export function* preallocate({ allocates }: NouveauSvmm): Path<number> {
  if (!allocates || knob('nouveau.gfp') !== 'preallocated') return 0;
  return (yield* kmalloc(1, GFP_KERNEL)) ? 0 : -ENOMEM;
}

/** What has not been allocated before. Returns whether it is there. @context svmm->mutex held; may sleep, as knob nouveau.gfp says */
function* allocate({ allocates }: NouveauSvmm): Path<boolean> {
  const gfp = knob('nouveau.gfp');
  return !allocates || gfp === 'preallocated' || (yield* kmalloc(1, FLAGS[gfp]));
}

/**
 * Enters a page in the page table of the GPU, which may have to be made (nvkm_mmu_ptc_get()); 0 takes off what is there.
 * @context svmm->mutex held; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nvkm/subdev/mmu/vmm.c nvkm_vmm_pfn_map: adapted (one page; one level, that has to be made where set-up says so; -ENOMEM instead of a PFN that is not valid any more; vmm->mutex folded into svmm->mutex)
 */
export function* nvkm_vmm_pfn_map(svmm: NouveauSvmm, addr: number, entry: number): Path<number> {
  if (entry === 0) {
    yield* deviceErase(svmm.device, addr, addr + PAGE_SIZE); // nvkm_vmm_ptes_unmap_put()
    return 0;
  }
  if (!(yield* allocate(svmm))) return -ENOMEM;
  yield* deviceMap(svmm.device, addr, entry);
  return 0;
}

/** Whether pages on both sides of [start, limit) are mapped. @context svmm->mutex held */
function* isInside({ pte }: Device, start: number, limit: number): Path<boolean> {
  const [before, behind] = [pte[start - 1], pte[limit]];
  if (before === undefined || behind === undefined || (yield* equals(before, 0))) return false;
  return !(yield* equals(behind, 0));
}

/**
 * Takes pages off the page table of the GPU, and waits until the GPU is done with them. What is mapped in a row is one
 * entry of a list: if the middle of it goes it becomes two, for which nvkm_vma_new() allocates. At an end of it only
 * the border moves.
 * @context svmm->mutex held, in a callback as well; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nvkm/subdev/mmu/vmm.c nvkm_vmm_pfn_unmap: adapted (one row; allocates where set-up says so; the list is not kept: a split that fails is without consequence)
 */
export function* nvkm_vmm_pfn_unmap(svmm: NouveauSvmm, start: number, limit: number): Path {
  const { device, allocates } = svmm;
  yield* deviceUnmap(device, start, limit); // nvkm_vmm_ptes_unmap_put()
  yield* deviceFlush(device, start, limit);
  if (allocates && (yield* isInside(device, start, limit))) yield* allocate(svmm); // nvkm_vmm_pfn_split_merge()
}
