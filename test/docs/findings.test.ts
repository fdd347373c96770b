// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runOps } from '../../src/cli/ops.js';
import { check } from '../../src/explore/check.js';
import { find } from '../../src/explore/find.js';
import { normalise } from '../../src/litmus/ops-observe.js';
import { FAMILY_MATRIX, SCENARIOS } from '../../src/scenarios/index.js';

const text = readFileSync(join(resolve(import.meta.dirname, '../..'), 'docs', 'findings.md'), 'utf8');

const wordsOf = (command: string): string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
/** The commands in inline code, a line break in one being a blank. */
const commands = [...text.matchAll(/`npx\s+shootdown ([^`]+)`/g)].map(([, command]) => wordsOf(command!));
/** Commands with the figure that follows in parentheses. */
const figures = [
  ...text.matchAll(/`npx\s+shootdown ([^`]+)`\s+\((?:[A-Z-]+, )?([\d,]+) (steps|states)/g),
].map(([, command, figure, of]) => [command!, Number(figure!.replaceAll(',', '')), of!] as const);

/** Scripts, each with what is answered to its last line. */
const scripts = [...text.matchAll(/```text\n(.*?)```/gs)].map(([, block]) => block!.trimEnd().split('\n'));
const isAnswer = (line: string): boolean => /^[> ]/.test(line);

describe('docs/findings.md', () => {
  test.each(scripts.map((lines) => [lines.find(isAnswer)!, lines] as const))('%s', (_, lines) => {
    const script = lines.filter((line) => !isAnswer(line)).join('\n');
    const answer = lines.filter(isAnswer);
    const trace = answer.some((line) => line.includes(' notify '));
    const { lines: answered, broken } = runOps(script, 'findings.md', { trace });
    expect(broken).toBeUndefined();
    expect(normalise(answered).slice(-answer.length)).toEqual(answer);
  });

  test.each(commands.map((words) => [words.join(' '), words] as const))('%s', (_, words) => {
    const [command, id, ...options] = words;
    if (command === 'matrix') return expect(FAMILY_MATRIX).toHaveProperty(id!);
    expect(['show', 'check']).toContain(command);
    const scenario = SCENARIOS.find((each) => each.id === id);
    expect(scenario, id).toBeDefined();
    const at = options.indexOf('--variant');
    const variant = scenario!.variants.find(({ name }) => name === options[at + 1]);
    if (at >= 0) expect(variant, options[at + 1]).toBeDefined();
    if (command === 'check') {
      if (at >= 0) expect(variant!.expect!.verdict).toBe('safe');
    } else if (options.includes('--report')) expect(variant!.expect!.reports).toContain(options.at(-1));
    else expect(variant!.expect!.verdict).not.toBe('safe');
  });

  test.each(figures)('%s: %i %s', (command, figure, of) => {
    const [, id, , name] = wordsOf(command);
    const scenario = SCENARIOS.find((each) => each.id === id)!;
    const { shown, states } = check(
      scenario,
      scenario.variants.find((one) => one.name === name)!,
    );
    expect(of === 'steps' ? shown!.run.length : states).toBe(figure);
  });

  test.each(SCENARIOS.filter(({ variants }) => variants.some(({ spec }) => spec !== undefined)))(
    'says why $id differs from the specification',
    ({ id, variants }) => {
      const shown = commands.filter((words) => words[1] === id).map((words) => words.at(3));
      const differing = variants.filter(
        ({ name, spec }) => spec !== undefined && !name.endsWith('machine=bcast'),
      );
      expect(differing.map(({ name }) => name).filter((name) => !shown.includes(name))).toEqual([]);
    },
  );

  test.each([
    ['G-01d', 'gup.zero_bail=off', 'FREE-ONCE', 63],
    ['G-02', 'after=unplugged,walker=pfn-walker,debug_vm.poison=off', 'META-FREED', 69],
    ['G-08', 'machine=bcast', 'META-FREED', 74],
    ['G-11', 'pae.write=low-high', 'NO-TORN', 53],
  ])('%s %s also finds %s', (id, name, property, steps) => {
    const scenario = SCENARIOS.find((each) => each.id === id)!;
    const variant = scenario.variants.find((one) => one.name === name)!;
    const { found } = find(scenario, variant, { kind: 'violation', name: property });
    expect(found?.run.length).toBe(steps);
  });
});
