// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { load, read } from '../../../core/primitives.js';
import { is_zone_device_page } from '../../include/memremap.js';
import { is_zero_pfn } from '../../include/mm.js';
import { PG, type Page } from '../../include/mm_types.js';

/** @kernel 6.12 include/uapi/linux/kernel-page-flags.h KPF_*: adapted (those that pages here can have) */
export const KPF = {
  LOCKED: 1 << 0,
  REFERENCED: 1 << 2,
  UPTODATE: 1 << 3,
  DIRTY: 1 << 4,
  LRU: 1 << 5,
  WRITEBACK: 1 << 8,
  MMAP: 1 << 11,
  ANON: 1 << 12,
  SWAPCACHE: 1 << 13,
  SWAPBACKED: 1 << 14,
  UNEVICTABLE: 1 << 18,
  HWPOISON: 1 << 19,
  KSM: 1 << 21,
  ZERO_PAGE: 1 << 24,
} as const;

/** Each flag of a page, and what it is called outside of the kernel. */
const COPIED: readonly (readonly [number, number])[] = [
  [PG.referenced, KPF.REFERENCED],
  [PG.uptodate, KPF.UPTODATE],
  [PG.dirty, KPF.DIRTY],
  [PG.lru, KPF.LRU],
  [PG.writeback, KPF.WRITEBACK],
  [PG.anon, KPF.ANON],
  [PG.swapbacked, KPF.SWAPBACKED],
  [PG.unevictable, KPF.UNEVICTABLE],
  [PG.hwpoison, KPF.HWPOISON],
  [PG.ksm, KPF.KSM],
];

/** What /proc/kpageflags says of a page. @kernel 6.12 fs/proc/page.c stable_page_flags: adapted (small folios) */
export function* stable_page_flags(page: Page): Path<number> {
  if (yield* is_zone_device_page(page)) return 0; // KPF_NOPAGE: it is not online
  const k = yield* read(page.flags);
  let u = (yield* load(page._mapcount)) > 0 ? KPF.MMAP : 0;
  for (const [flag, kpf] of COPIED) if (k & flag) u |= kpf;
  const cached = PG.swapbacked | PG.swapcache;
  if ((k & cached) === cached) u |= KPF.SWAPCACHE;
  if (is_zero_pfn(page.pfn)) u |= KPF.ZERO_PAGE;
  if ((yield* read(page.lock)) !== 0) u |= KPF.LOCKED;
  return u;
}

/** What /proc/kpagecount says of a page: how often it is mapped. @kernel 6.12 fs/proc/page.c kpagecount_read: adapted (one page, a small folio) */
export function* kpagecount_read(page: Page): Path<number> {
  if (yield* is_zone_device_page(page)) return 0; // pfn_to_online_page() has none
  return yield* load(page._mapcount);
}
