// SPDX-License-Identifier: MIT
import { fastest, measure, rounded } from './compare.js';
import { kernelSized } from './kernel.js';

/** One exhaustive search of the kernel-sized case, reduced as `check` does it. */
export interface KernelSizedFigures {
  readonly machine: string;
  /** How the TLBs are filled: `check` searches with both. */
  readonly fill: string;
  readonly states: number;
  readonly cpu: number;
  readonly bytesPerState: number;
  readonly automatonNodes: number;
}

/** The kernel-sized case on each machine, the fastest of several runs. */
export function kernelSizedFigures(rounds: number, progress: (line: string) => void): KernelSizedFigures[] {
  return kernelSized.variants.flatMap(({ knobs }) =>
    kernelSized.passes(knobs).map(({ settings }): KernelSizedFigures => {
      const machine = knobs['machine']!;
      const fill = settings['fill']!;
      const runs = Array.from({ length: rounds }, (_, round) => {
        progress(`kernel-sized ${machine} ${fill}: round ${round + 1} of ${rounds}`);
        return measure(`kernel-sized ${machine} ${fill}`, 'reduced');
      });
      const { states, cpu, bytes, automatonNodes } = fastest(runs);
      return {
        machine,
        fill,
        states,
        cpu: rounded(cpu, 2),
        bytesPerState: rounded(bytes / states, 1),
        automatonNodes,
      };
    }),
  );
}
