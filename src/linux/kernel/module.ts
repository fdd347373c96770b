// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, write } from '../../core/primitives.js';
import type { Cell, Guard, System, ValueType } from '../../core/system.js';

const lifeType: ValueType = { name: 'life', show: (value) => (value === 1 ? 'there' : 'gone') };

/** What a driver has allocated, or its code: DRIVER-LIVE is broken by who uses it when it is gone. */
export function driverLife(system: System, name: string, what = name): { life: Cell; guard: Guard } {
  const life = system.cell(`${name}.life`, 1, { type: lifeType });
  return { life, guard: { cell: life, alive: 1 << 1, what, property: () => 'DRIVER-LIVE' } };
}

/** struct module: a driver that can be unloaded. @kernel 6.12 include/linux/module.h struct module: adapted (whether its code is there) */
export class Module {
  readonly life: Cell;
  readonly text: Cell;

  constructor(system: System, name: string) {
    const { life, guard } = driverLife(system, name, `the code of ${name}`);
    this.life = life;
    this.text = system.cell(`${name}.text`, 0, { guard });
  }
}

/** An instruction of the module is executed. @context any */
export function* executes(module: Module): Path {
  yield* load(module.text);
}

/** The code of a module goes. @context may sleep @kernel 6.12 kernel/module/main.c free_module: adapted (the end of the text, nothing else) */
export function* free_module(module: Module): Path {
  yield* write(module.life, 0);
}
