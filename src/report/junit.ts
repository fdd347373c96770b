// SPDX-License-Identifier: MIT
/** Results as JUnit XML, for CI systems: one suite for each family, one case for each variant. */
export interface JunitCase {
  readonly family: string;
  readonly id: string;
  readonly variant: string;
  readonly seconds: number;
  readonly verdict: string;
  readonly property: string;
  readonly detail: string;
  /** What was declared, in words; absent: nothing. */
  readonly declared?: string;
  /** As declared or, with nothing declared, safe. */
  readonly passed: boolean;
  /** The diagram, or whatever helps; goes into the failure. */
  readonly text?: string;
}

export function junit(cases: readonly JunitCase[]): string {
  const families = [...new Set(cases.map(({ family }) => family))];
  const suites = families.map((family) => {
    const own = cases.filter((one) => one.family === family);
    return [
      ` <testsuite name="${escape(family)}" ${counts(own)}>`,
      ...own.map((one) => testcase(one)),
      ' </testsuite>',
    ].join('\n');
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts(cases)}>`,
    ...suites,
    '</testsuites>',
    '',
  ].join('\n');
}

function counts(cases: readonly JunitCase[]): string {
  const errors = cases.filter(isError).length;
  const failures = cases.filter((one) => !one.passed && !isError(one)).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  return `tests="${cases.length}" failures="${failures}" errors="${errors}" time="${seconds.toFixed(3)}"`;
}

/** Incomplete is neither right nor wrong: an error, so that nobody takes it for a pass. */
function isError({ verdict }: JunitCase): boolean {
  return verdict === 'incomplete';
}

function testcase(one: JunitCase): string {
  const { family, id, variant, seconds, verdict, property, detail, declared, passed, text } = one;
  const open = `  <testcase classname="${escape(`${family}.${id}`)}" name="${escape(`${id} ${variant}`)}" time="${seconds.toFixed(3)}"`;
  if (passed && !isError(one)) return `${open}/>`;
  const what = [verdict, property].filter((part) => part !== '').join(' ');
  const message = `${what}${declared === undefined ? '' : `, declared: ${declared}`}${detail === '' ? '' : `: ${detail}`}`;
  const tag = isError(one) ? 'error' : 'failure';
  return [
    `${open}>`,
    `   <${tag} type="${escape(verdict)}" message="${escape(message)}">${escape(text ?? '')}</${tag}>`,
    '  </testcase>',
  ].join('\n');
}

/** For attributes and text; drops what XML 1.0 can't hold at all. */
function escape(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Cc}|\p{Surrogate}|\uFFFE|\uFFFF/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
