// SPDX-License-Identifier: MIT
import { anonTests } from './anon.js';
import { exclusiveTests } from './exclusive.js';
import { fileTests } from './file.js';
import type { HmmTest } from './harness.js';
import { migrateTests } from './migrate.js';
import { pinTests } from './pins.js';
import { snapshotTests } from './snapshot.js';

const all: Record<string, HmmTest> = {
  ...anonTests,
  ...fileTests,
  ...migrateTests,
  ...snapshotTests,
  ...exclusiveTests,
  ...pinTests,
};

/** In the order of the kernel's file. */
const NAMES = [
  'open_close',
  'anon_read',
  'anon_read_prot',
  'anon_write',
  'anon_write_prot',
  'anon_write_child',
  'anon_write_child_shared',
  'anon_write_huge',
  'anon_write_hugetlbfs',
  'file_read',
  'file_write',
  'migrate',
  'migrate_file_private',
  'migrate_fault',
  'migrate_release',
  'migrate_shared',
  'migrate_mixed',
  'migrate_multiple',
  'anon_read_multiple',
  'anon_teardown',
  'mixedmap',
  'snapshot',
  'compound',
  'double_map',
  'exclusive',
  'exclusive_mprotect',
  'exclusive_cow',
  'hmm_gup_test',
  'hmm_cow_in_device',
] as const;

export const TESTS: ReadonlyMap<string, HmmTest> = new Map(NAMES.map((name) => [name, all[name]!]));
