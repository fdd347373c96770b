// SPDX-License-Identifier: MIT
import { type KnobSetting, type Scenario, UsageError, type Variant, variantName } from '../core/scenario.js';
import { type Knobs, KNOBS, RELEASES } from '../linux/knobs.js';
import type { TlbFlush } from '../machine/machine.js';
import { nearest } from './near.js';

/** What `--variant`, `--machine`, `--kernel` and `--set` ask for. */
export interface Wanted {
  /** `base`, or knob values. Absent: not asked. */
  readonly variant?: string;
  readonly settings: KnobSetting;
}

/** Splits `knob=value`. Throws a UsageError if it is malformed. */
export function parseSetting(text: string, option: string): [knob: string, value: string] {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1) throw new UsageError(`${option} ${text}: expected knob=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Makes one request of the options. Two different values of one knob are an error. */
export function wanted(options: {
  variant?: string | undefined;
  machine?: string | undefined;
  kernel?: string | undefined;
  set?: readonly string[] | undefined;
}): Wanted {
  const settings: Record<string, string> = {};
  const add = (knob: string, value: string, option: string): void => {
    if (settings[knob] !== undefined && settings[knob] !== value)
      throw new UsageError(`${option}: ${knob} is asked to be ${settings[knob]} and ${value}`);
    settings[knob] = value;
  };
  if (options.variant !== undefined && options.variant !== 'base') {
    for (const part of options.variant.split(',')) add(...parseSetting(part, '--variant'), '--variant');
  }
  for (const text of options.set ?? []) add(...parseSetting(text, '--set'), '--set');
  if (options.machine !== undefined) add('machine', options.machine, '--machine');
  if (options.kernel !== undefined) add('kernel', options.kernel, '--kernel');
  return { settings, ...(options.variant === undefined ? {} : { variant: options.variant }) };
}

/** A scenario's variants that will be checked. */
export interface Selection {
  readonly scenario: Scenario;
  readonly variants: readonly Variant[];
}

/**
 * What is asked for filters the declared variants of all scenarios; a `--variant` that is a declared name means that
 * one alone. Where nothing matches it makes a variant of its own in each scenario that can, of which nothing is declared.
 */
export function selectVariants(scenarios: readonly Scenario[], asked: Wanted): Selection[] {
  const filtered = scenarios
    .map((scenario) => ({ scenario, variants: declared(scenario, asked) }))
    .filter(({ variants }) => variants.length > 0);
  if (filtered.length > 0) return filtered;
  const able = scenarios.filter((scenario) => faultOf(scenario, asked.settings) === undefined);
  const fault = scenarios[0] === undefined ? undefined : faultOf(scenarios[0], asked.settings);
  if (able.length === 0) throw new UsageError(fault);
  return able.map((scenario) => ({ scenario, variants: [ownVariant(scenario, asked.settings)] }));
}

function declared(scenario: Scenario, { variant, settings }: Wanted): readonly Variant[] {
  if (variant !== undefined) {
    const { name } = ownVariant(scenario, settings);
    const exact = scenario.variants.find((one) => one.name === name);
    if (exact !== undefined) return [exact];
    if (variant === 'base') return [];
  }
  return scenario.variants.filter(({ knobs }) =>
    Object.entries(settings).every(([knob, value]) => knobs[knob] === value),
  );
}

/** The variant of that name, declared or not. Throws a UsageError for an unknown knob or value. */
export function variantNamed(scenario: Scenario, name: string): Variant {
  const { settings } = wanted({ variant: name });
  const fault = faultOf(scenario, settings);
  if (fault !== undefined) throw new UsageError(fault);
  const own = ownVariant(scenario, settings);
  return scenario.variants.find((one) => one.name === own.name) ?? own;
}

/** The knobs of the scenario at their first values, but for `settings`. */
function ownVariant(scenario: Scenario, settings: KnobSetting): Variant {
  const first = Object.fromEntries(
    Object.entries(scenario.knobs).map(([knob, values]) => [knob, values[0]!]),
  );
  const knobs = { ...first, ...settings };
  // A knob that the scenario does not have differs from its first value whatever it is: the name says it.
  const named = {
    ...Object.fromEntries(Object.keys(settings).map((knob) => [knob, ['']])),
    ...scenario.knobs,
  };
  return { name: variantName(named, knobs), knobs, expect: undefined };
}

/** What is wrong with `settings` for the scenario: an unknown knob or value. */
function faultOf(scenario: Scenario, settings: KnobSetting): string | undefined {
  for (const [knob, value] of Object.entries(settings)) {
    const values = valuesOf(scenario, knob);
    if (values === undefined) {
      const own = Object.keys(scenario.knobs);
      const near = nearest(knob, [...own, ...Object.keys(KNOBS)]);
      const hint = near.length > 0 ? `; near it: ${near.join(', ')}` : '';
      return `${scenario.id}: no knob ${knob}${hint}; it has ${own.join(', ')}, and any knob of the kernel`;
    }
    if (values.includes(value)) continue;
    const what =
      knob === 'machine' || knob === 'kernel' ? `no ${knob} ${value}` : `knob ${knob} has no value ${value}`;
    return `${scenario.id}: ${what}; there is ${values.join(', ')}`;
  }
  return undefined;
}

/** Knobs of the kernel that are asked for, where there is no scenario. Throws a UsageError for an unknown knob or value. */
export function kernelKnobs({ settings: { kernel = '6.12', ...settings } }: Wanted): Partial<Knobs> {
  const release = Object.hasOwn(RELEASES, kernel) ? RELEASES[kernel] : undefined;
  if (release === undefined)
    throw new UsageError(`no kernel ${kernel}; there is ${Object.keys(RELEASES).join(', ')}`);
  for (const [knob, value] of Object.entries(settings)) {
    const values = Object.hasOwn(KNOBS, knob) ? Object.keys(KNOBS[knob as keyof typeof KNOBS]) : undefined;
    if (values === undefined) {
      const near = nearest(knob, Object.keys(KNOBS));
      throw new UsageError(`no knob ${knob}${near.length > 0 ? `; near it: ${near.join(', ')}` : ''}`);
    }
    if (!values.includes(value))
      throw new UsageError(`knob ${knob} has no value ${value}; there is ${values.join(', ')}`);
  }
  return { ...release, ...(settings as Partial<Knobs>) };
}

/** A scenario may declare fewer values than there are: all can be asked for. */
function valuesOf({ knobs }: Scenario, knob: string): readonly string[] | undefined {
  const own = Object.hasOwn(knobs, knob) ? knobs[knob]! : undefined;
  const all = Object.hasOwn(ALL, knob) ? ALL[knob]! : undefined;
  return own === undefined && all === undefined ? undefined : [...new Set([...(own ?? []), ...(all ?? [])])];
}

const ALL: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(Object.entries(KNOBS).map(([knob, values]) => [knob, Object.keys(values)])),
  machine: ['ipi', 'bcast'] satisfies TlbFlush[],
  kernel: Object.keys(RELEASES),
};
