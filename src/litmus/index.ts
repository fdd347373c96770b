// SPDX-License-Identifier: MIT
/** What a scenario file touches: `import { scenario, see, violates } from 'shootdown'`. */
export type { Path } from '../core/path.js';
export {
  add,
  awaitValue,
  choose,
  claim,
  equals,
  load,
  lock,
  progress,
  read,
  see,
  store,
  testAndSetBits,
  testBits,
  trylock,
  unlock,
  write,
} from '../core/primitives.js';
export type { Expectation, Scenario } from '../core/scenario.js';
export type { Cell } from '../core/system.js';
export { PTE } from '../machine/pte.js';
export {
  deadlocks,
  leaks,
  livelocks,
  safe,
  scenario,
  violates,
  type AgentSpec,
  type MachineSpec,
  type ScenarioSpec,
} from './scenario.js';
export { dmaRead, dmaWrite } from './dma.js';
/** What a device with an MMU does (load, store, atomic), and what its driver does to it: map, unmap, flush, erase. */
export {
  type Device,
  deviceAtomicAdd,
  deviceErase,
  deviceFlush,
  deviceLoad,
  deviceMap,
  deviceStore,
  deviceUnmap,
} from '../machine/machine.js';
export { Process, type MapOptions, type Region } from './setup/process.js';
export { Testbed } from './testbed.js';
