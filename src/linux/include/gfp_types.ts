// SPDX-License-Identifier: GPL-2.0-only
/** What an allocation may do to get memory. @kernel 6.12 include/linux/gfp_types.h gfp_t: adapted (the flags that a path here looks at) */
export const __GFP = {
  HIGH: 1 << 0,
  IO: 1 << 1,
  FS: 1 << 2,
  DIRECT_RECLAIM: 1 << 3,
  KSWAPD_RECLAIM: 1 << 4,
  NOWARN: 1 << 5,
} as const;

const RECLAIM = __GFP.DIRECT_RECLAIM | __GFP.KSWAPD_RECLAIM;
/** Does not sleep, and may have some of the reserves. */
export const GFP_ATOMIC = __GFP.HIGH | __GFP.KSWAPD_RECLAIM;
export const GFP_KERNEL = RECLAIM | __GFP.IO | __GFP.FS;
/** Does not sleep. */
export const GFP_NOWAIT = __GFP.KSWAPD_RECLAIM | __GFP.NOWARN;
export const GFP_NOIO = RECLAIM;
export const GFP_NOFS = RECLAIM | __GFP.IO;

/** @kernel 6.12 include/linux/gfp.h gfpflags_allow_blocking: faithful */
export const gfpflags_allow_blocking = (gfp_flags: number): boolean =>
  (gfp_flags & __GFP.DIRECT_RECLAIM) !== 0;
