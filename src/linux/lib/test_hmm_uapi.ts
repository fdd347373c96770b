// SPDX-License-Identifier: GPL-2.0-only
/** What programs share with the test driver: its commands, and what they say and hear. */

/**
 * What a command is about: pages [addr, addr + npages) of the mirrored process. Pages and faults are counted by commands
 * that succeed only.
 * @kernel 6.12 lib/test_hmm_uapi.h struct hmm_dmirror_cmd: adapted (one word for each page)
 */
export interface HmmDmirrorCmd {
  readonly addr: number;
  readonly npages: number;
  /** The caller's buffer, by page: what is stored, what was loaded, or what SNAPSHOT saw. */
  readonly ptr: number[];
  cpages: number;
  faults: number;
}

/** @kernel 6.12 lib/test_hmm_uapi.h HMM_DMIRROR_*: faithful */
export const HMM_DMIRROR = {
  READ: 0,
  WRITE: 1,
  MIGRATE_TO_DEV: 2,
  MIGRATE_TO_SYS: 3,
  SNAPSHOT: 4,
  EXCLUSIVE: 5,
  CHECK_EXCLUSIVE: 6,
  RELEASE: 7,
} as const;

/** What SNAPSHOT says of a page. @kernel 6.12 lib/test_hmm_uapi.h HMM_DMIRROR_PROT_*: faithful */
export const HMM_DMIRROR_PROT = {
  ERROR: 0xff,
  NONE: 0,
  READ: 1,
  WRITE: 2,
  PMD: 4,
  PUD: 8,
  ZERO: 0x10,
  DEV_PRIVATE_LOCAL: 0x20,
  DEV_PRIVATE_REMOTE: 0x30,
  DEV_COHERENT_LOCAL: 0x40,
  DEV_COHERENT_REMOTE: 0x50,
} as const;

/** What the memory of a device is; 0 is no type. @kernel 6.12 lib/test_hmm_uapi.h HMM_DMIRROR_MEMORY_DEVICE_*: faithful */
export const HMM_DMIRROR_MEMORY_DEVICE = { PRIVATE: 1, COHERENT: 2 } as const;
