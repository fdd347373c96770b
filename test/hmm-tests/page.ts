// SPDX-License-Identifier: MIT
/** docs/hmm-tests.md, made of the tests and the faults that are planted for them. */
import { FIXTURES, type HmmTest } from './harness.js';
import { type Fault, faultOf } from './planted.js';
import { TESTS } from './tests.js';

const HEAD = `# The kernel's own tests of HMM

<!-- compared with the tests by test/hmm-tests/page.test.ts; \`npx vitest run test/hmm-tests/page.test.ts -u\` writes it -->

\`tools/testing/selftests/mm/hmm-tests.c\` of Linux 6.12 has 29 tests, each for two kinds of device memory: 58. They are
written anew in \`test/hmm-tests\`, under their names, for the model: a program that only makes system calls, loads and
stores, and ioctls of the test driver (\`lib/test_hmm.c\`), run straight through. Each asserts what the kernel's asserts. Beyond
that every invariant is watched at every step, counts and locks are judged after every call, lockdep reports nothing, and
when the program has exited nothing is left in use.

The real kernel (6.12.117 with \`CONFIG_TEST_HMM\`, in a virtual machine) passes all 58.

What differs: a page has one word of contents; buffers have 20 pages, or 68 where the driver is to need more than one round,
instead of 1024; a PMD maps 8 pages; the huge page of \`compound\` is one of anonymous memory, since the model has no
hugetlbfs; \`anon_teardown\` unmaps between the driver's steps, from step for step to long after, and sees both outcomes: all orders
are explored by the scenarios; the ioctls of \`gup_test\` also say that they got the page.

So that a test that passes says something, each fails under a fault that is planted in \`src/linux\`: a call that is left out,
or a knob that is not as in 6.12. The last column says which, and what finds it: an invariant, what is left in use, or an
assertion of the test.

| test | asserts | model | Linux 6.12 | fails |
| ---- | ------- | ----- | ---------- | ----- |
`;

/** As a sentence of what is not as in the kernel. */
function shown(fault: Fault): string {
  if ('knobs' in fault)
    return Object.entries(fault.knobs)
      .map(([knob, value]) => `with \`${knob}=${value}\``)
      .join(', ');
  const [, file, fn, callee] = /^(\S+) (\S+) (\S+)#\d+$/.exec(fault.without)!;
  const observed = fault.instead === undefined ? '' : ` (${fault.instead})`;
  return `without \`${callee}()\`${observed} in \`${fn}()\`, ${file}`;
}

const finds: Record<string, string> = { 'left in use': 'what is left', expected: 'assertion' };
const finder = ({ by }: Fault): string =>
  Object.entries(finds).find(([begins]) => by.startsWith(begins))?.[1] ?? by;

function fails(name: string): string {
  const faults = FIXTURES.map((fixture) => faultOf(name, fixture)!);
  const texts = faults.map((fault) => `${shown(fault)}: ${finder(fault)}`);
  return texts[0] === texts[1]
    ? texts[0]!
    : texts.map((text, i) => `${FIXTURES[i]!.replace('device_', '')}: ${text}`).join('; ');
}

const row = (name: string, { two, asserts, skipped }: HmmTest): string =>
  `| \`${two === true ? 'hmm2' : 'hmm'}.${name}\` | ${asserts} | ${skipped === undefined ? 'passes' : `left out: ${skipped}`} | passes | ${skipped === undefined ? fails(name) : ''} |`;

export function page(): string {
  return HEAD + [...TESTS].map(([name, test]) => row(name, test)).join('\n');
}
