// SPDX-License-Identifier: MIT
import { Straight } from '../src/explore/straight.js';
import { type Runner, Workload } from '../src/litmus/workload.js';

/** The random workload, run straight through. */
export interface StraightFigures {
  readonly name: string;
  readonly operations: number;
  readonly steps: number;
  readonly operationsPerSecond: number;
  readonly stepsPerSecond: number;
}

/** Runs the workload with every invariant after each step and sums after each operation, and without any. */
export function straightFigures(operations = 10_000): StraightFigures[] {
  return (['every invariant', 'no invariant'] as const).map((name) => {
    const watched = name === 'every invariant';
    const workload = new Workload({ seed: 1 });
    const straight = new Straight(workload.kernel.system, {
      choose: (count) => workload.choose(count),
      ...(watched ? { monitor: () => workload.monitor() } : { invariants: 'off' as const }),
    });
    const run: Runner = (agent, path) => straight.run(agent, path);
    const before = process.cpuUsage();
    for (let i = 0; i < operations; i++) {
      workload.step(run);
      straight.settle();
      if (watched) straight.judge();
    }
    workload.finish(run);
    straight.settle();
    straight.judge();
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    return {
      name,
      operations,
      steps: straight.steps,
      operationsPerSecond: Math.round(operations / seconds),
      stepsPerSecond: Math.round(straight.steps / seconds),
    };
  });
}
