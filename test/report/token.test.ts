// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UsageError } from '../../src/core/scenario.js';
import { parseToken, passNumber, printToken } from '../../src/explore/token.js';

const step = fc.record({ agent: fc.integer({ min: 0, max: 5 }), choice: fc.integer({ min: 0, max: 2 }) });

test('what is printed is read back', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('base', 'machine=bcast', 'gup.pte_recheck=before-ref,machine=bcast,kernel=6.12'),
      fc.option(fc.constantFrom('eager', 'eager+x'), { nil: undefined }),
      fc.array(step, { maxLength: 40 }),
      fc.option(fc.nat(39), { nil: undefined }),
      (variant, pass, run, at) => {
        const loop = at === undefined || at >= run.length ? undefined : at;
        const token = { id: 'G-01', variant, pass, run, loop };
        expect(parseToken(printToken(token))).toEqual(token);
      },
    ),
  );
});

test('steps of one agent are counted, outcomes, passes and loops are spelled', () => {
  const run = [0, 0, 0, 1, 1].map((agent, i) => ({ agent, choice: i === 4 ? 2 : 0 }));
  expect(printToken({ id: 'G-01', variant: 'base', pass: 'eager', run, loop: 3 })).toBe(
    'G-01@base~eager:0*3/1,1.2',
  );
});

test('a token that a mail or a shell broke is read', () => {
  const broken = 'G-01@gup.zero_bail=off,\\\n  machine=bcast:0*2,\\\n1';
  expect(parseToken(broken)).toMatchObject({
    variant: 'gup.zero_bail=off,machine=bcast',
    run: { length: 3 },
  });
});

test.each([
  ['G-01', /expected ID@VARIANT:RUN/],
  ['@base:0', /expected ID@VARIANT:RUN/],
  ['G-01@base:0*', /expected AGENT, AGENT\*COUNT or AGENT\.CHOICE\*COUNT, got "0\*"/],
  ['G-01@base:a', /got "a"/],
  ['G-01@base:0*0', /got "0\*0"/],
  ['G-01@base:0,,1', /got ""/],
  ['G-01@base:0*9999999', /more than 1000000 steps/],
  ['G-01@base:0/1/2', /at most one "\/"/],
  ['G-01@base:0/', /needs a step/],
])('%s is refused in one line', (text, message) => {
  expect(() => parseToken(text)).toThrow(UsageError);
  expect(() => parseToken(text)).toThrow(message);
  expect(() => parseToken(text)).toThrow(/^.*$/);
});

test('a pass that is not there is refused, with those that are', () => {
  const passes = [
    { name: 'a', settings: { fill: 'demand' } },
    { name: 'b', settings: { fill: 'eager' } },
  ];
  expect(passNumber(passes, undefined)).toBe(0);
  expect(passNumber(passes, 'eager')).toBe(1);
  expect(() => passNumber(passes, 'lazy')).toThrow('token: no pass ~lazy; there is ~demand, ~eager');
});
