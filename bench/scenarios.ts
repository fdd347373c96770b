// SPDX-License-Identifier: MIT
import { search, type SearchResult } from '../src/explore/search.js';
import { SCENARIOS } from '../src/scenarios/index.js';
import { rounded } from './compare.js';

/** A built-in scenario as it is checked: its first variant, reduced, the larger of its passes. */
export interface ScenarioFigures {
  readonly id: string;
  readonly states: number;
  readonly statesPerSecond: number;
  readonly bytesPerState: number;
  readonly automatonNodes: number;
}

/** The scenarios with the most states, largest first. */
export function largestScenarios(count: number, progress: (line: string) => void): ScenarioFigures[] {
  const figures = SCENARIOS.filter(({ kind }) => kind === 'checked').map((scenario): ScenarioFigures => {
    progress(scenario.id);
    const { knobs } = scenario.variants[0]!;
    const runs = scenario.passes(knobs).map((pass) => {
      const { system, monitor } = scenario.build(knobs, pass);
      const before = process.cpuUsage();
      const result: SearchResult = search(system, {
        fuse: true,
        symmetry: true,
        deadline: Date.now() + 20_000,
        ...(monitor === undefined ? {} : { monitor }),
      });
      const spent = process.cpuUsage(before);
      return { result, cpu: (spent.user + spent.system) / 1e6 };
    });
    const { result, cpu } = runs.reduce((most, run) => (run.result.states > most.result.states ? run : most));
    return {
      id: scenario.id,
      states: result.states,
      statesPerSecond: Math.round(result.states / cpu),
      bytesPerState: rounded(result.bytes / result.states, 1),
      automatonNodes: result.automatonNodes,
    };
  });
  return figures.sort((x, y) => y.states - x.states).slice(0, count);
}
