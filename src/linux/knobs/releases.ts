// SPDX-License-Identifier: GPL-2.0-only
import type { Knobs } from '../knobs.js';

/** Releases, as what differs from 6.12. */
export const RELEASES: Readonly<Record<string, Partial<Knobs>>> = {
  '6.12': {},
  ...deviceExclusiveReleases(),
};

/** The versions of device-exclusive memory; what else changed between these releases is not here. */
function deviceExclusiveReleases(): Record<string, Partial<Knobs>> {
  const v6_3: Partial<Knobs> = {};
  const v5_14: Partial<Knobs> = {
    'restore.folio_ref': 'none',
    'cow.reuse': 'page-count',
  };
  const v8: Partial<Knobs> = {
    ...v5_14,
    'make.tail': 'accepted',
    'restore.find': 'rmap-walk',
    'restore.event': 'clear',
    'restore.rmap': 'set-rmap',
    'fork.exclusive': 'restore-sleep',
  };
  const posted2025: Partial<Knobs> = {
    'make.walk': 'folio-walk',
    'make.notifier': 'none',
    'exclusive.entry': 'single',
    'exclusive.mapcount': 'kept',
    'zap.exclusive_rmap': 'removed',
    'pvmw.exclusive': 'normal',
    'ksm.nonpresent': 'refused',
    'try_to_migrate.nonpresent': 'known',
    'mkclean.nonpresent': 'skipped',
  };
  return {
    v2: { ...v8, 'make.walk': 'own-walk', 'fork.exclusive': 'copy' },
    v5: { ...v8, 'make.npages': 'unsigned', 'make.anon_only': 'off', 'fork.exclusive': 'copy' },
    v8,
    '5.14': v5_14,
    '6.3': v6_3,
    '2025-v1': posted2025,
    '6.15': {
      ...posted2025,
      'make.notifier': 'exclusive',
      'make.folio_lock': 'killable',
      'make.mismatch': 'retry',
      'restore.event': 'clear',
    },
  };
}
