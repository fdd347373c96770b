// SPDX-License-Identifier: MIT
import { Op } from '../core/ops.js';
import { request, type Path } from '../core/path.js';
import {
  type Built,
  type Expectation,
  type KnobSetting,
  type MatrixLayout,
  type Pass,
  type Scenario,
  UsageError,
  type Variant,
  variantName,
} from '../core/scenario.js';
import type { System } from '../core/system.js';
import { Kernel } from '../linux/kernel.js';
import { srcu_invoke_callbacks } from '../linux/kernel/rcu/srcu.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { worker_thread } from '../linux/kernel/workqueue.js';
import { kswapd } from '../linux/mm/vmscan-direct.js';
import { documentedKnobs, type Knobs, KNOBS, RELEASES } from '../linux/knobs.js';
import type { MachineOptions, TlbFill, TlbFlush } from '../machine/machine.js';
import { lockdep, watchAlways } from '../properties/index.js';
import type { Process } from './setup/process.js';
import { Testbed } from './testbed.js';

/** An agent: a path, or a path with the CPU and the process that it runs on. */
export type AgentSpec =
  | (() => Path<unknown>)
  | { readonly cpu: number; readonly process?: Process | undefined; run(): Path<unknown> };

/** Machine as a scenario states it; what it leaves out has a default. */
export interface MachineSpec {
  readonly cpus: number;
  readonly frames: number;
  readonly memory?: MachineOptions['memory'];
  readonly ptrsPerPte?: number;
  readonly pae?: MachineOptions['pae'];
  readonly pageWalkCache?: boolean;
  /** Pages have contents: one word, or so many. */
  readonly data?: MachineOptions['data'];
  /** How TLBs fill. Default: two passes, on demand and eagerly. */
  readonly fill?: TlbFill;
  readonly hotplug?: boolean;
  /** Slots of the swap area. */
  readonly swapSlots?: number;
  /** Stable nodes of KSM. */
  readonly ksmNodes?: number;
  /** Folios of ptrsPerPte pages, and PMDs that map one. */
  readonly thp?: boolean;
  /** The kernel tracks soft-dirty pages. */
  readonly softDirty?: boolean;
  /** Read faults of anonymous memory map the zero page. It takes one frame. */
  readonly zeroPage?: boolean;
  /** Folios reach the LRU lists, and locks of mlock() are counted, by way of per-CPU batches. Without, there is no mlock(). */
  readonly lruBatches?: boolean;
  /** Pages that a file in memory may have; 0: there are none. */
  readonly shmemPages?: number;
  /** call_rcu() callbacks that may be outstanding. */
  readonly rcuCallbacks?: number;
  /**
   * Even: invalidate_seq of an mm wraps there, so that an endless loop comes back to where it was. Sound while fewer
   * than half as many invalidations hit within one read section. Default: it does not wrap.
   */
  readonly seqModulus?: number;
  /**
   * Any allocation may find memory low. Then it reclaims a page of the LRU list, any, in its own thread, or waits for
   * kswapd to do so. Default: it finds a frame, or there is none.
   */
  readonly reclaim?: 'direct' | 'kswapd' | undefined;
}

/** Values of one knob, the documented protocol first. */
type KnobSpec = Readonly<Record<string, readonly string[]>>;
type Values<K extends KnobSpec> = { readonly [N in keyof K]: K[N][number] } & {
  readonly machine: TlbFlush;
  readonly kernel: string;
};

/** A scenario as its file states it. */
export interface ScenarioSpec<K extends KnobSpec, S> {
  readonly id: string;
  readonly family: string;
  /** A few words. */
  readonly title?: string;
  readonly question: string;
  readonly machine: MachineSpec | ((k: Values<K>) => MachineSpec);
  /** Knobs of the scenario, and knobs of the kernel by their names (linux/knobs.ts). First value: the documented protocol. */
  readonly knobs: K;
  /** The shoot-downs it runs on; default both. The first is the base variant's. */
  readonly machines?: readonly TlbFlush[];
  /** The kernel releases it runs on; default 6.12. */
  readonly kernels?: readonly string[];
  /** Kernel knobs that differ from the documented protocol in every variant, or in those that a knob of the scenario says. */
  readonly kernelKnobs?: Partial<Knobs> | ((k: Values<K>) => Partial<Knobs>);
  /** What is explored, in words: agents and operations. */
  readonly bounds: string;
  setup(m: Testbed, k: Values<K>): S;
  agents(s: S, k: Values<K>, m: Testbed): Record<string, AgentSpec>;
  /**
   * The invariants that the variant is judged by, of those that are always on; default all. For a matrix whose columns are
   * properties: else the first one broken hides the others. What a step itself finds wrong ends the run in any case.
   */
  judges?(k: Values<K>): readonly string[] | undefined;
  readonly sometimes?: readonly string[];
  /** `shootdown matrix`: the knobs that are its rows and columns. */
  readonly matrix?: MatrixLayout;
  readonly expect: Readonly<Record<string, Expectation | 'safe'>>;
  /** Variants of which the specification expected something else: its word. docs/findings.md says why the run stands. */
  readonly differs?: Readonly<Record<string, string>>;
}

const SAFE: Expectation = { verdict: 'safe', property: '', reports: [] };

/** Expected: a violation of `property`. */
export function violates(
  property: string,
  { reports = [] }: { reports?: readonly string[] } = {},
): Expectation {
  return { verdict: 'violation', property, reports: [...reports].sort() };
}
/** Expected: safe, with these reports. */
export function safe({ reports = [] }: { reports?: readonly string[] } = {}): Expectation {
  return { ...SAFE, reports: [...reports].sort() };
}
/** Expected: no agent can go on. */
export function deadlocks({ reports = [] }: { reports?: readonly string[] } = {}): Expectation {
  return { verdict: 'deadlock', property: 'DEADLOCK', reports: [...reports].sort() };
}
/** Expected: a fair cycle without progress. */
export function livelocks({ reports = [] }: { reports?: readonly string[] } = {}): Expectation {
  return { verdict: 'livelock', property: 'PROGRESS', reports: [...reports].sort() };
}
/** Expected: the end state is out of balance. */
export function leaks(property: string, { reports = [] }: { reports?: readonly string[] } = {}): Expectation {
  return { verdict: 'leak', property, reports: [...reports].sort() };
}

const REQUIRED = [
  'id',
  'family',
  'question',
  'machine',
  'knobs',
  'bounds',
  'setup',
  'agents',
  'expect',
] as const;

/** Makes a scenario of its description. Throws a UsageError that says what is wrong with the description. */
export function scenario<const K extends KnobSpec, S>(spec: ScenarioSpec<K, S>): Scenario {
  // A user's file is not type-checked before it runs.
  const missing = REQUIRED.filter((field) => (spec as Partial<typeof spec>)[field] === undefined);
  if (missing.length > 0)
    throw new UsageError(`scenario ${missing.includes('id') ? '?' : spec.id}: has no ${missing.join(', ')}`);
  const knobs: Record<string, readonly string[]> = {
    ...spec.knobs,
    machine: spec.machines ?? ['ipi', 'bcast'],
    kernel: spec.kernels ?? ['6.12'],
  };
  for (const [name, values] of Object.entries(knobs)) {
    if (values.length === 0) throw new UsageError(`${spec.id}: knob ${name} has no values`);
    if (name in KNOBS) {
      for (const value of values) {
        if (!(value in KNOBS[name as keyof typeof KNOBS]))
          throw new UsageError(`${spec.id}: the kernel's knob ${name} has no value ${value}`);
      }
    }
  }
  const variants = Object.entries(spec.expect).map(([name, expect]): Variant => {
    const setting = parseVariant(spec.id, knobs, name);
    const canonical = variantName(knobs, setting);
    if (canonical !== name) throw new UsageError(`${spec.id}: write variant ${name} as ${canonical}`);
    const said = spec.differs?.[name];
    return {
      name,
      knobs: setting,
      expect: expect === 'safe' ? SAFE : expect,
      ...(said === undefined ? {} : { spec: said }),
    };
  });
  return {
    id: spec.id,
    family: spec.family,
    title: spec.title ?? spec.question,
    question: spec.question,
    kind: 'checked',
    knobs,
    variants,
    sometimes: spec.sometimes ?? [],
    ...(spec.matrix === undefined ? {} : { matrix: checkedLayout(spec.id, knobs, spec.matrix) }),
    passes: (setting) => {
      const { fill } = typeof spec.machine === 'function' ? spec.machine(setting as Values<K>) : spec.machine;
      if (fill !== undefined) return [{ name: `TLB fill ${fill}`, settings: { fill } }];
      return [
        { name: 'TLB fill on demand', settings: { fill: 'demand' } },
        { name: 'TLB fill eager', settings: { fill: 'eager' } },
      ];
    },
    build: (setting, pass) => build(spec, setting as Values<K>, pass),
  };
}

/** Throws a UsageError if the layout names a knob or a value that there is not. */
function checkedLayout(
  id: string,
  knobs: Readonly<Record<string, readonly string[]>>,
  matrix: MatrixLayout,
): MatrixLayout {
  for (const knob of [matrix.rows, matrix.columns])
    if (knobs[knob] === undefined) throw new UsageError(`${id}: matrix: no knob ${knob}`);
  const unknown = matrix.order?.find((value) => !knobs[matrix.rows]!.includes(value));
  if (unknown !== undefined)
    throw new UsageError(`${id}: matrix: knob ${matrix.rows} has no value ${unknown}`);
  return matrix;
}

/** Knob values of a variant name. Throws a UsageError for an unknown knob or value. */
export function parseVariant(
  id: string,
  knobs: Readonly<Record<string, readonly string[]>>,
  name: string,
): KnobSetting {
  const setting: Record<string, string> = Object.fromEntries(
    Object.entries(knobs).map(([knob, values]) => [knob, values[0]!]),
  );
  if (name === 'base') return setting;
  for (const part of name.split(',')) {
    const [knob, value] = part.split('=');
    const values = knobs[knob ?? ''];
    if (knob === undefined || values === undefined)
      throw new UsageError(`${id}: no knob ${knob ?? ''}; it has ${Object.keys(knobs).join(', ')}`);
    if (value === undefined || !values.includes(value))
      throw new UsageError(`${id}: knob ${knob} has no value ${value ?? ''}; it has ${values.join(', ')}`);
    setting[knob] = value;
  }
  return setting;
}

function build<K extends KnobSpec, S>(spec: ScenarioSpec<K, S>, setting: Values<K>, pass: Pass): Built {
  const machine = typeof spec.machine === 'function' ? spec.machine(setting) : spec.machine;
  const kernelKnobs: Partial<Knobs> = {
    ...RELEASES[setting.kernel],
    ...(typeof spec.kernelKnobs === 'function' ? spec.kernelKnobs(setting) : spec.kernelKnobs),
    ...pickKernelKnobs(spec.knobs, setting),
  };
  const kernel = new Kernel({
    machine: {
      cpus: machine.cpus,
      tlb: setting.machine,
      fill: pass.settings['fill'] as TlbFill,
      memory:
        ((setting as Record<string, string>)['memory'] as MachineOptions['memory'] | undefined) ??
        machine.memory ??
        'sc',
      frames: machine.frames,
      ptrsPerPte: machine.ptrsPerPte ?? 1,
      pae: machine.pae,
      pageWalkCache: machine.pageWalkCache ?? false,
      data: machine.data ?? false,
    },
    release: setting.kernel,
    knobs: kernelKnobs,
    hotplug: machine.hotplug ?? false,
    swapSlots: machine.swapSlots ?? 0,
    ksmNodes: machine.ksmNodes ?? 0,
    thp: machine.thp ?? false,
    softDirty: machine.softDirty ?? false,
    zeroPage: machine.zeroPage ?? false,
    lruBatches: machine.lruBatches ?? false,
    shmemPages: machine.shmemPages ?? 0,
    rcuCallbacks: machine.rcuCallbacks ?? 1,
    seqModulus: machine.seqModulus ?? 0,
    reclaim: machine.reclaim,
  });
  const m = new Testbed(kernel);
  const state = spec.setup(m, setting);
  const agents = spec.agents(state, setting, m);
  let nextCpu = 0;
  for (const [name, agent] of Object.entries(agents)) {
    if (
      typeof agent !== 'function' &&
      typeof (agent as Partial<typeof agent> | undefined)?.run !== 'function'
    )
      throw new UsageError(`${spec.id}: agent ${name} is not a path: write it as *${name}() { … }`);
    const spelled = typeof agent === 'function' ? { cpu: nextCpu, run: agent, process: undefined } : agent;
    if (spelled.cpu >= machine.cpus)
      throw new UsageError(
        `${spec.id}: agent ${name} runs on CPU ${spelled.cpu}, the machine has ${machine.cpus}`,
      );
    nextCpu = spelled.cpu + 1;
    kernel.addTask({
      name,
      cpu: spelled.cpu,
      daemon: false,
      fair: true,
      mm: spelled.process?.mm ?? kernel.mms[0],
      start: () => spelled.run(),
    });
  }
  if (kernel.options.rcuCallbacks > 0)
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
  const { pgdat } = kernel;
  if (pgdat !== undefined)
    kernel.addTask({ name: 'kswapd', cpu: 0, daemon: true, fair: true, start: () => kswapd(pgdat) });
  for (const domain of kernel.srcu)
    if (domain.heads.length > 0) {
      const start = (): Path => srcu_invoke_callbacks(domain);
      kernel.addTask({ name: 'srcu', cpu: -1, daemon: true, fair: true, atomic: true, start });
    }
  if (kernel.works.length > 0)
    kernel.addTask({ name: 'kworker', cpu: 0, daemon: true, fair: true, start: () => worker_thread() });
  if (kernel.machine.options.fill === 'speculative') {
    kernel.machine.spaces.forEach((space, index) => {
      for (const cpu of space.cpus) {
        const start = (): Path => speculate(kernel, cpu, index);
        kernel.addTask({ name: `walker${cpu}.${space.name}`, cpu: -1, daemon: true, fair: false, start });
      }
    });
  }
  kernel.system.storeBuffers.forEach((buffer, cpu) =>
    kernel.addTask({ name: `drain${cpu}`, cpu: -1, daemon: true, fair: true, start: () => drain(buffer) }),
  );
  const properties = judged(kernel.system, watchAlways(kernel), spec.judges?.(setting));
  return {
    system: kernel.system,
    monitor: (only) => lockdep(kernel.system, only),
    bounds: spec.bounds,
    properties,
  };
}

/** Takes the invariants away that the variant is not judged by; returns the names of the others. */
function judged(
  system: System,
  properties: readonly string[],
  asked: readonly string[] | undefined,
): readonly string[] {
  if (asked === undefined) return properties;
  const kept = system.invariants.filter(({ property }) => asked.includes(property));
  system.invariants.splice(0, system.invariants.length, ...kept);
  return properties.filter((property) => asked.includes(property));
}

/** The speculative walker of one CPU in one address space: hardware, so it may act at any time, or never. */
function* speculate(kernel: Kernel, cpu: number, space: number): Path {
  for (;;) yield* request(kernel.machine.op.speculate, cpu, space);
}

/** tso: moves what waits in a store buffer to memory, at any time. */
function* drain(buffer: number): Path {
  for (;;) yield* request(Op.DRAIN, buffer);
}

/** The kernel's knobs in a setting. What a release has is not undone by a knob that the variant leaves at its first value. */
function pickKernelKnobs(knobs: KnobSpec, setting: KnobSetting): Partial<Knobs> {
  const known = documentedKnobs();
  const release: Partial<Record<string, string>> = RELEASES[setting['kernel']!] ?? {};
  return Object.fromEntries(
    Object.entries(setting).filter(
      ([name, value]) => name in known && !(name in release && value === knobs[name]?.[0]),
    ),
  );
}
