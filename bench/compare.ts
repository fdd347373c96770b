// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Measurement } from './measure.js';
import { CONFIGURATIONS } from './model.js';
import { promela } from './promela.js';
import { spinMissing, Verifier, type PeerRun } from './spin.js';

export type Mode = 'exact' | 'fingerprint' | 'reduced';

const MODES: readonly Mode[] = ['exact', 'fingerprint', 'reduced'];

/** One model in one mode, beside SPIN with whole states. The peer's fields are null where SPIN is not installed. */
export interface Comparison {
  readonly model: string;
  readonly mode: Mode;
  readonly states: number;
  readonly transitions: number;
  readonly peer: 'spin';
  readonly peerStates: number | null;
  readonly peerCpu: number | null;
  readonly ourCpu: number;
  readonly ratio: number | null;
  readonly bytesPerState: number;
  readonly peerBytesPerState: number | null;
  readonly automatonNodes: number;
}

/** Searches in a process of its own. */
export function measure(model: string, mode: Mode): Measurement {
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const register = new URL('register.mjs', import.meta.url).href;
  const output = execFileSync(process.execPath, ['--import', register, here('measure.ts'), model, mode], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const measurement = JSON.parse(output) as Measurement;
  if (measurement.findings.length > 0)
    throw new Error(`${model}: expected no findings, got ${measurement.findings.join(', ')}`);
  return measurement;
}

/** Smallest CPU time of several runs. */
export function fastest<T extends { readonly cpu: number }>(runs: readonly T[]): T {
  return runs.reduce((best, run) => (run.cpu < best.cpu ? run : best));
}

/** Runs the models in all modes and SPIN in turn, `rounds` times, and keeps the fastest of each. */
export function compare(
  models: readonly string[],
  rounds: number,
  progress: (line: string) => void,
): Comparison[] {
  const missing = spinMissing();
  if (missing !== undefined) progress(`SPIN is skipped: ${missing}`);
  return models.flatMap((model) => {
    const verifier = missing === undefined ? new Verifier(promela(CONFIGURATIONS[model]!)) : undefined;
    const peerRuns: PeerRun[] = [];
    const runs = new Map<Mode, Measurement[]>(MODES.map((mode) => [mode, []]));
    try {
      for (let round = 1; round <= rounds; round++) {
        progress(`${model}: round ${round} of ${rounds}`);
        if (verifier !== undefined) peerRuns.push(verifier.run());
        for (const mode of MODES) runs.get(mode)!.push(measure(model, mode));
      }
    } finally {
      verifier?.dispose();
    }
    const peer = peerRuns.length === 0 ? undefined : fastest(peerRuns);
    return MODES.map((mode): Comparison => {
      const ours = fastest(runs.get(mode)!);
      if (peer !== undefined && mode !== 'reduced' && ours.states !== peer.states)
        throw new Error(`${model}: expected SPIN's ${peer.states} states, got ${ours.states} (${mode})`);
      return {
        model,
        mode,
        states: ours.states,
        transitions: ours.transitions,
        peer: 'spin',
        peerStates: peer?.states ?? null,
        peerCpu: peer?.cpu ?? null,
        ourCpu: rounded(ours.cpu, 3),
        ratio: peer === undefined ? null : rounded(ours.cpu / peer.cpu, 2),
        bytesPerState: rounded(ours.bytes / ours.states, 1),
        peerBytesPerState: peer?.bytesPerState ?? null,
        automatonNodes: ours.automatonNodes,
      };
    });
  });
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
