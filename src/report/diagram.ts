// SPDX-License-Identifier: MIT
/** A trace as text for a plain-text mail: one column for each agent, as kernel developers draw races. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { accountLines } from './accounts.js';
import { LEVELS, tiers } from './brief.js';
import { because } from './because.js';
import { DEEPEST } from './calls.js';
import { Columns, WIDTH } from './columns.js';
import { Drawing } from './drawing.js';
import { hostsOf } from './hosts.js';
import { isTold, loudSteps } from './loud.js';
import { raceOf } from './racing.js';
import { firstRound } from './rounds.js';
import { wrap } from './text.js';
import { waitLines } from './waits.js';

export interface DiagramOptions {
  /** Show every step, quiet ones too. */
  readonly all?: boolean;
  /** How the command is called. */
  readonly command?: string;
}

/** Lines that a diagram should not have more of: what a mail reader sees at once. */
const LONGEST = 39;

/**
 * The diagram, lines joined with newlines, one at the end. Plain ASCII, at most 76 columns but for the replay token. One
 * that gets too long is drawn again without the steps that say least.
 */
export function diagram(whole: Trace, options: DiagramOptions = {}): string {
  const { all = false, command = 'npx shootdown' } = options;
  const levels = all ? 0 : LEVELS + DEEPEST;
  let text = draw(whole, all, command, 0);
  for (let level = 1; level <= levels && text.split('\n').length - 1 > LONGEST; level++)
    text = draw(whole, all, command, level);
  return text;
}

function draw(whole: Trace, all: boolean, command: string, level: number): string {
  const { trace, hinge } = all ? { trace: whole, hinge: undefined } : firstRound(whole);
  const fine = trace.verdict === 'witness' || trace.verdict === 'safe';
  const circular = (trace.deadlock?.cycle.length ?? 0) > 0 || trace.accounts !== undefined;
  const race = fine || circular || trace.loop !== undefined ? undefined : raceOf(trace);
  const said = all ? (): boolean => true : loudSteps(trace, race, hinge);
  const key = [race?.first, race?.second, hinge?.before, hinge?.change, hinge?.after, trace.steps.at(-1)];
  const held = heldSince(trace);
  const goes =
    level === 0
      ? undefined
      : tiers(
          trace,
          (step) => key.includes(step) || step.fault !== undefined || held?.has(step.index) === true,
        )[Math.min(level, LEVELS) - 1];
  const loud = (step: TraceLine): boolean => said(step) && goes?.(step) !== true;
  const hosts = hostsOf(trace);
  const active = new Set<number>();
  for (const step of trace.steps)
    if (loud(step) || !trace.agents[step.agent]!.daemon) active.add(hosts[step.agent]!);
  for (const pending of trace.pending) if (isTold(trace, pending)) active.add(hosts[pending.agent]!);
  const shown = [...active].sort((x, y) => x - y);
  const headings = shown.map((agent) => {
    const { name, cpu } = trace.agents[agent]!;
    return cpu < 0 ? name : `CPU${cpu}: ${name}`;
  });
  const columns = new Columns(headings, trace.steps.length);
  const racing =
    hinge !== undefined
      ? [hinge.before, hinge.change, hinge.after]
      : race === undefined
        ? []
        : [race.first, race.second];
  const rows = new Drawing(trace, {
    loud,
    racing,
    columns,
    all,
    locks: level < LEVELS,
    deepest: Math.min(DEEPEST, LEVELS + DEEPEST - level),
    columnOf: hosts.map((host) => shown.indexOf(host)),
  }).rows();
  const wrong = fine ? '' : because(trace, race, hinge);
  return [
    ...header(trace),
    '',
    ...(rows.length === 0 ? [] : [...columns.lines(rows), '']),
    ...(wrong === '' ? [] : wrap(`Wrong because: ${wrong}`, WIDTH)),
    ...(trace.accounts === undefined ? [] : accountLines(trace.accounts, WIDTH, level > 1)),
    ...(trace.deadlock === undefined ? [] : waitLines(trace, trace.deadlock, WIDTH, level > 1)),
    ...(trace.diverged === undefined
      ? []
      : wrap(
          `Diverged: step ${trace.diverged.step}: ${trace.diverged.reason}: the code changed since.`,
          WIDTH,
        )),
    ...footer(whole, all, command),
    '',
  ].join('\n');
}

/** In a deadlock the steps at which what is held was taken. */
function heldSince({ deadlock }: Trace): ReadonlySet<number> | undefined {
  if (deadlock === undefined) return undefined;
  return new Set(deadlock.waits.flatMap(({ holds }) => holds.map(({ index }) => index)));
}

function header(trace: Trace): string[] {
  const left = `${trace.id} ${trace.variant}`;
  const middle = trace.property === '' ? trace.verdict : `${trace.verdict}: ${trace.property}`;
  const right = [`kernel ${trace.kernel}`, trace.machine, trace.memory]
    .filter((part) => part !== '')
    .join(', ');
  const spread = (texts: readonly string[]): string => {
    const before = texts.slice(0, -1).join('    ');
    return before + texts.at(-1)!.padStart(WIDTH - before.length);
  };
  const fits = left.length + middle.length + right.length + 8 <= WIDTH;
  const lines = fits
    ? [spread([left, middle, right])]
    : [...wrap(left, WIDTH, '  '), spread([middle, right])];
  const detail = trace.detail === '' ? '' : /[.!?]$/.test(trace.detail) ? trace.detail : `${trace.detail}.`;
  return detail === '' ? lines : [...lines, ...wrap(detail, WIDTH)];
}

function footer(trace: Trace, all: boolean, command: string): string[] {
  const { steps, token } = trace;
  const switches = steps.filter((step, i) => i > 0 && steps[i - 1]!.agent !== step.agent).length;
  const plural = (n: number, word: string, many: string): string => `${n} ${n === 1 ? word : many}`;
  const counts = `${plural(steps.length, 'step', 'steps')}, ${plural(switches, 'switch', 'switches')}`;
  return [
    all ? `${counts}.` : `${counts}; quiet steps folded (--all shows them).`,
    ...replayLines(`Replay: ${command} replay `, token),
  ];
}

/** One line if it fits; else the token is broken after commas, with what a shell needs to join it again. */
function replayLines(lead: string, token: string): string[] {
  if (lead.length + token.length <= WIDTH + 2) return [lead + token];
  const lines = [`${lead}\\`];
  let line = '';
  for (const part of token.split(/(?<=,)/)) {
    if (line !== '' && line.length + part.length > WIDTH - 1) {
      lines.push(`${line}\\`);
      line = '';
    }
    line += part;
  }
  return [...lines, line];
}
