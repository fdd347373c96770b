// SPDX-License-Identifier: MIT
/**
 * Literate documents: a ```console block holds commands (`$ npx shootdown …`, `$ echo $?`) and what they print; a
 * ```ts or ```text block whose first line is `// file: NAME` or `# file: NAME` is written to the directory in which the
 * commands run.
 */
export interface Command {
  readonly line: string;
  readonly expected: string;
}

export interface Step {
  readonly kind: 'file' | 'commands';
  readonly name: string;
  readonly text: string;
  readonly commands: readonly Command[];
}

export function parse(markdown: string): Step[] {
  const steps: Step[] = [];
  for (const [, language, body] of markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    const named = /^(?:\/\/|#) file: (\S+)\n/.exec(body!);
    if ((language === 'ts' || language === 'text') && named !== null)
      steps.push({ kind: 'file', name: named[1]!, text: body!.slice(named[0].length), commands: [] });
    if (language !== 'console') continue;
    const commands = body!
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [line, ...output] = part.split('\n');
        return { line: line!, expected: output.join('\n') };
      });
    steps.push({ kind: 'commands', name: '', text: body!, commands });
  }
  return steps;
}

/** Seconds differ from run to run; nothing else may. Lines end without blanks. */
export function steady(output: string): string {
  return output
    .replaceAll(/\b\d+\.\d s\b/g, 'N s')
    .replaceAll(/ {2,}(?=\d+\.\d\b)/g, '  ')
    .replaceAll(/\b\d+\.\d\b(?=\s*$)/gm, 'N')
    .replaceAll(/[ \t]+$/gm, '')
    .trim();
}
