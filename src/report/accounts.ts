// SPDX-License-Identifier: MIT
/** What stands behind a report of lockdep: who does what where, with the call stacks of both deeds. */
import type { Account, Deed } from '../core/scenario.js';
import { stackText } from './stacks.js';
import { wrap } from './text.js';

/** The first account at length, of the others what they are. `brief`: a line for each stack. */
export function accountLines(accounts: readonly Account[], width: number, brief = false): string[] {
  const [first, ...others] = accounts;
  if (first === undefined) return [];
  const lines: string[] = [];
  const line = (indent: number, text: string, { stack }: Deed): void => {
    const where =
      stack.length === 0 ? 'its start' : stackText(stack, width - indent - text.length - 2, brief ? 1 : 3);
    for (const part of wrap(`${text}: ${where}`, width - indent, '  ')) lines.push(' '.repeat(indent) + part);
  };
  for (const { agent, first: one, second } of first.parts) {
    const takes = first.name === 'LOCK-ORDER';
    line(0, takes ? `${agent} holds ${one.what}` : `${agent}: ${one.what}, since`, one);
    line(2, takes ? `and takes ${second.what}` : `and then ${second.what}`, second);
  }
  for (const { about } of others.slice(0, brief ? 1 : 3))
    lines.push(...wrap(`Another one: ${about}.`, width, '  '));
  const more = others.length - (brief ? 1 : 3);
  if (more > 0) lines.push(`And ${more} more.`);
  return lines;
}
