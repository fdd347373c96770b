// SPDX-License-Identifier: GPL-2.0-only
/** mm/interval_tree.c: VMAs by the page offsets that they map, of a file or of an anon_vma. */
import type { Access } from '../../core/ops.js';
import { request, type Path } from '../../core/path.js';
import type { Inode, Vma } from '../include/mm_types.js';
import { current, type Kernel } from '../kernel.js';
import { VMA } from './vma-tree.js';

/** Bits of a page offset in what {@link pageOffsets} makes. */
const OFFSET_BITS = 15;

/** The page offsets from `first` to `last`, as one argument. */
export const pageOffsets = (first: number, last: number): number => (first << OFFSET_BITS) | last;

/** The trees: a look for the next VMA is one step. */
export function defineIntervalTreeOps(kernel: Kernel) {
  const { system, mms } = kernel;
  /**
   * The VMA that comes after number c (counted over all mms, from 1; 0: the first) in a walk over those that may map one of
   * the page offsets b (see {@link pageOffsets}) and that `linked` accepts; 0 for none. Where there are chains the order is
   * that of the interval tree.
   */
  const next = (b: number, c: number, tree: 'i_mmap' | 'anon', linked: (vma: Vma) => boolean): number => {
    const vmas = mms.flatMap((mm) => mm.vmas);
    const [first, last] = [b >> OFFSET_BITS, b & ((1 << OFFSET_BITS) - 1)];
    const maps = (vma: Vma): boolean => {
      const from = vma.vm_pgoff.value;
      return from <= last && first < from + vma.vm_end.value - vma.vm_start.value && linked(vma);
    };
    if (kernel.anon_vma_pool === undefined) return vmas.findIndex((vma, i) => i >= c && maps(vma)) + 1;
    const walked = vmas
      .filter(maps)
      .sort((x, y) => x.vm_pgoff.value - y.vm_pgoff.value || x.rb![tree].value - y.rb![tree].value);
    const found = walked[c === 0 ? 0 : walked.indexOf(vmas[c - 1]!) + 1];
    return found === undefined ? 0 : vmas.indexOf(found) + 1;
  };
  const readsVmas = (_a: number, _b: number, _c: number, _agent: number, access: Access): void => {
    for (const mm of mms)
      for (const vma of mm.vmas)
        access.reads.push(vma.anon_vma.at, vma.vm_file.at, vma.vm_start.at, vma.vm_end.at, vma.vm_pgoff.at);
  };
  return {
    /** With chains: the next VMA that is linked to anon_vma a. */
    anonVmaNext: system.op({
      name: 'anon_vma_interval_tree',
      exec: (a, b, c) =>
        next(b, c, 'anon', (vma) =>
          vma.anon_vma_chain!.anon_vma.some(
            (link, i) => i < vma.anon_vma_chain!.length.value && link.value === a,
          ),
        ),
      touches: readsVmas,
    }),
    /** The next VMA that maps inode a. */
    iMmapNext: system.op({
      name: 'vma_interval_tree',
      exec: (a, b, c) =>
        next(b, c, 'i_mmap', (vma) => vma.attached.value !== VMA.FREE && vma.vm_file.value === a),
      touches: readsVmas,
    }),
  };
}

/**
 * The VMA after `vma` that maps pages of a file from `first` to `last`; the first one after none. Undefined at the end.
 * @context i_mmap_rwsem held
 * @kernel 6.12 mm/interval_tree.c vma_interval_tree_iter_next: faithful
 */
export function* vma_interval_tree_iter_next(
  file: Inode,
  vma: Vma | undefined,
  first: number,
  last: number,
): Path<Vma | undefined> {
  const vmas = current.kernel.mms.flatMap((mm) => mm.vmas);
  const after = vma === undefined ? 0 : vmas.indexOf(vma) + 1;
  const found = yield* request(current.kernel.op.iMmapNext, file.number, pageOffsets(first, last), after);
  return vmas[found - 1];
}
