// SPDX-License-Identifier: MIT
import { parse } from 'acorn';
import { analyze, type Scope, type ScopeManager, type Variable } from 'eslint-scope';
import MagicString from 'magic-string';
import {
  calleeName,
  children,
  contains,
  enclosing,
  functionName,
  isFunction,
  statementOf,
  valueOf,
  visit,
  FUNCTIONS,
  LOOPS,
  type Node,
} from './ast.js';
import { Refusals, TransformError } from './refusals.js';

/**
 * The source transform behind live-locals merging. In every generator function, each `yield* f(x)` becomes
 *
 *     leave(enter(site, [live locals]), yield* delegate(site, f(x)))
 *
 * so that at each request the recorded frames (site and live locals of every caller) are the whole continuation of the
 * path. Liveness is textual and errs on the side of keeping a local. What it can't see is refused with file and line:
 * a value that is pending across a `yield*` in the same expression, a captured variable that is written, a shadowed
 * local, a raw `yield`.
 * Everything is inserted within the lines that are there, so line numbers stay.
 */
export interface InstrumentOptions {
  /** Name for messages and traces. */
  readonly file: string;
  /** Module specifier of `core/live.js` as seen from the file. */
  readonly live: string;
  /** Line of the source that the code was emitted from; line from 1, column from 0. Absent: the code is the source. */
  lineOf?(line: number, column: number): number;
  /** Test of the audit: leaves a live local out. `site` counts the yields of the file. */
  readonly drop?: (site: number, name: string) => boolean;
}

/** Says that a file was rewritten, and by which version of what is inserted here: raise it when that changes. */
const MARK = '/*shootdown:live 3*/';

/** Rewrites JavaScript source. Returns it unchanged if it has no generator or was rewritten before. */
export function instrument(
  code: string,
  options: InstrumentOptions,
): { code: string; map: ReturnType<MagicString['generateMap']> | null } {
  if (!code.includes(MARK) && code.includes('/*shootdown:live'))
    throw new TransformError(
      `${options.file}: was rewritten by another version of the transform: npm run clean, then build`,
    );
  if (code.includes(MARK) || !/function\s*\*|\*\s*[\w$[]+.*\(|yield/.test(code)) return { code, map: null };
  let ast: Node;
  try {
    ast = parse(code, {
      ecmaVersion: 2023,
      sourceType: 'module',
      locations: true,
      ranges: true,
      allowHashBang: true,
    }) as unknown as Node;
  } catch (error) {
    const { message, loc } = error as Error & { loc?: { line: number; column: number } };
    const line = loc === undefined ? '' : `${options.lineOf?.(loc.line, loc.column) ?? loc.line}:`;
    throw new TransformError(`${options.file}:${line} ${message.replace(/ \(\d+:\d+\)$/, '')}`);
  }
  const generators: Node[] = [];
  visit(ast, (node) => {
    if (FUNCTIONS.has(node.type) && node['generator'] === true) generators.push(node);
  });
  if (generators.length === 0) return { code, map: null };
  const scopes = analyze(ast as never, { ecmaVersion: 2022, sourceType: 'module' });
  const file = new File(code, ast, scopes, options);
  for (const generator of generators) file.instrumentGenerator(generator);
  return file.finish();
}

class File {
  private readonly text: MagicString;
  private readonly sites: string[] = [];
  private readonly refusals: Refusals;
  private counters = 0;

  constructor(
    private readonly code: string,
    private readonly ast: Node,
    private readonly scopes: ScopeManager,
    private readonly options: InstrumentOptions,
  ) {
    this.text = new MagicString(code);
    this.refusals = new Refusals(options, scopes);
  }

  finish(): { code: string; map: ReturnType<MagicString['generateMap']> } {
    const table = `[${this.sites.join(',')}]`;
    const head = `${MARK}import{live as $live}from${JSON.stringify(this.options.live)};const $at=$live.register(${JSON.stringify(this.options.file)},${table});`;
    const first = (this.ast['body'] as Node[])[0]?.start ?? 0;
    this.text.appendLeft(first, head);
    return {
      code: this.text.toString(),
      map: this.text.generateMap({ hires: true, source: this.options.file }),
    };
  }

  instrumentGenerator(fn: Node): void {
    const name = functionName(fn);
    const counterOf = new Map<Node, readonly string[]>();
    const yields: Node[] = [];
    const calls: Node[] = [];
    const own = (node: Node): void => {
      if (node.type === 'YieldExpression') yields.push(node);
      if (node.type === 'CallExpression') calls.push(node);
      for (const child of children(node)) if (!FUNCTIONS.has(child.type)) own(child);
    };
    own(fn['body'] as Node);
    for (const parameter of fn['params'] as Node[]) {
      visit(parameter, (node) => {
        if (node.type === 'YieldExpression')
          throw this.refusals.error(node, 'a parameter default may not yield');
      });
    }
    this.refusals.hiddenWrites(fn);
    for (const node of yields) {
      for (const loop of enclosing(node, fn)) {
        if (loop.type === 'ForInStatement' && contains(loop['body'] as Node, node))
          throw this.refusals.error(loop, 'the position of a for…in is hidden from the explorer: use for…of');
        if (loop.type === 'ForOfStatement' && contains(loop['body'] as Node, node) && !counterOf.has(loop))
          counterOf.set(loop, this.countIterations(loop));
      }
    }
    for (const node of yields) {
      if (node['delegate'] !== true)
        throw this.refusals.error(
          node,
          'a path makes its accesses with yield* of a primitive; a bare yield is not recorded',
        );
      this.refusals.pendingValues(node, fn, yields);
      const locals = this.liveAt(node, fn);
      for (const loop of enclosing(node, fn)) {
        const counter = counterOf.get(loop);
        if (counter !== undefined && contains(loop['body'] as Node, node)) locals.push(...counter);
      }
      const callee = calleeName(node['argument'] as Node, this.code);
      const number = this.sites.push(JSON.stringify([this.refusals.line(node), name, callee])) - 1;
      const kept = locals.filter((local) => this.options.drop?.(number, local) !== true);
      const at = `$at+${number}`;
      this.text.appendLeft(node.start, `$live.leave($live.enter(${at},[${kept.join(',')}]),`);
      this.text.appendLeft(this.code.indexOf('*', node.start) + 1, ` $live.delegate(${at},`);
      this.text.prependRight(node.end, '))');
    }
    const checked = new Set<Node>();
    for (const call of calls) {
      const value = valueOf(call);
      const callee = call['callee'] as Node;
      if (value === undefined || checked.has(value) || callee.type === 'Super' || callee.type === 'Import')
        continue;
      checked.add(value);
      this.text.appendLeft(value.start, '$live.called(');
      this.text.prependRight(
        value.end,
        `,${JSON.stringify(this.options.file)},${this.refusals.line(call)},${JSON.stringify(calleeName(call, this.code))})`,
      );
    }
  }

  /** What a for-of iterates over, and how far it is, is hidden state: gives it names that can be recorded. */
  private countIterations(loop: Node): readonly string[] {
    const counter = `$i${this.counters}`;
    const list = `$of${this.counters++}`;
    const body = loop['body'] as Node;
    const right = loop['right'] as Node;
    let outer = loop;
    while (outer.parent?.type === 'LabeledStatement') outer = outer.parent;
    this.text.appendLeft(outer.start, `{let ${counter}=0,${list};`);
    this.text.appendLeft(right.start, `${list}=$live.list(`);
    this.text.prependRight(right.end, ')');
    if (body.type === 'BlockStatement') this.text.appendLeft(body.start + 1, `${counter}++;`);
    else {
      this.text.appendLeft(body.start, `{${counter}++;`);
      this.text.prependRight(body.end, '}');
    }
    this.text.prependRight(outer.end, '}');
    return [counter, list];
  }

  private liveAt(at: Node, fn: Node): string[] {
    const live: string[] = [];
    const loops = enclosing(at, fn).filter((node) => LOOPS.has(node.type));
    const statement = statementOf(at);
    let usesThis = false;
    for (const scope of this.scopesWithin(fn)) {
      for (const variable of scope.variables) {
        if (variable.name === 'arguments' && variable.defs.length === 0) {
          if (variable.references.length > 0) throw this.refusals.error(fn, 'a path may not use `arguments`');
          continue;
        }
        if (variable.defs.length === 0 || variable.defs.every(isFunction)) continue;
        if (!this.inScope(variable, scope, at, fn)) continue;
        const spans = variable.references.map(
          (reference) =>
            reference.identifier as unknown as { range?: [number, number]; start: number; end: number },
        );
        const captured = variable.references.some(
          (reference) => reference.from.variableScope !== scope.variableScope,
        );
        const later = spans.some(
          ({ start }) => start >= at.end || (start >= statement.start && start < statement.end),
        );
        const block = scope.block as unknown as Node;
        const looped = loops.some(
          (loop) =>
            // A variable of the loop's own body begins anew in each round; one of its head, or from outside, does not.
            (!contains(loop['body'] as Node, block) || block === fn || contains(block, loop)) &&
            spans.some(({ start }) => start >= loop.start && start < loop.end),
        );
        if (!captured && !later && !looped) continue;
        if (live.includes(variable.name))
          throw this.refusals.error(
            at,
            `${variable.name} is declared twice around here: give the inner one another name`,
          );
        this.refusals.foreignCase(variable, at);
        live.push(variable.name);
      }
    }
    visit(fn['body'] as Node, (node) => {
      if (node.type === 'ThisExpression') usesThis = true;
    });
    if (usesThis) live.push('this');
    return live;
  }

  private *scopesWithin(fn: Node): Iterable<Scope> {
    for (const scope of this.scopes.scopes) {
      const block = scope.block as unknown as Node;
      if (scope.type === 'function-expression-name') continue;
      if (!contains(fn, block)) continue;
      if (scope.variableScope.block !== (fn as unknown)) continue;
      yield scope;
    }
  }

  /** Visible and initialised at the site (a `const x = yield* …` is not, at its own site). */
  private inScope(variable: Variable, scope: Scope, at: Node, fn: Node): boolean {
    const block = scope.block as unknown as Node;
    if (block !== fn && !contains(block, at)) return false;
    for (const def of variable.defs) {
      if (def.type === 'Parameter') return true;
      const declarator = def.node as unknown as Node;
      if (def.type === 'CatchClause') return contains(declarator['body'] as Node, at);
      if ((def.parent as unknown as Node | undefined)?.['kind'] === 'var')
        throw this.refusals.error(declarator, 'a path declares its locals with let or const');
      const loop = declarator.parent?.parent;
      if (
        loop !== undefined &&
        (loop.type === 'ForOfStatement' || loop.type === 'ForInStatement') &&
        loop['left'] === declarator.parent
      ) {
        return contains(loop['body'] as Node, at);
      }
      if (declarator.end > at.start) return false;
    }
    return true;
  }
}
