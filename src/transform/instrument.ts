// SPDX-License-Identifier: MIT
import { parse } from 'acorn';
import { analyze, type Scope, type ScopeManager, type Variable } from 'eslint-scope';
import MagicString from 'magic-string';

/**
 * The source transform behind live-locals merging. In every generator function, each `yield* f(x)` becomes
 *
 *     leave(enter(site, [live locals]), yield* delegate(site, f(x)))
 *
 * so that at each request the recorded frames (site and live locals of every caller) are the whole continuation of the
 * path. Liveness is textual and errs on the side of keeping a local. What it can't see is refused with file and line:
 * a value that is pending across a `yield*` in the same expression, a captured variable that is written, a raw `yield`.
 * Everything is inserted within the lines that are there, so line numbers stay.
 */
export interface InstrumentOptions {
  /** Name for messages and traces. */
  readonly file: string;
  /** Module specifier of `core/live.js` as seen from the file. */
  readonly live: string;
  /** Line of the source that the code was emitted from; line from 1, column from 0. Absent: the code is the source. */
  lineOf?(line: number, column: number): number;
}

/** The file can't be a path file as it stands. The message begins with file:line. */
export class TransformError extends Error {
  override readonly name = 'TransformError';
}

interface Node {
  type: string;
  start: number;
  end: number;
  parent?: Node;
  loc: { start: { line: number; column: number } };
  [field: string]: unknown;
}

/** Says that a file was rewritten, and by which version of what is inserted here: raise it when that changes. */
const MARK = '/*shootdown:live 2*/';
const LOOPS = new Set([
  'ForStatement',
  'ForOfStatement',
  'ForInStatement',
  'WhileStatement',
  'DoWhileStatement',
]);
const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

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
  private counters = 0;

  constructor(
    private readonly code: string,
    private readonly ast: Node,
    private readonly scopes: ScopeManager,
    private readonly options: InstrumentOptions,
  ) {
    this.text = new MagicString(code);
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
    const counterOf = new Map<Node, string>();
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
        if (node.type === 'YieldExpression') throw this.error(node, 'a parameter default may not yield');
      });
    }
    this.refuseCapturedWrites(fn);
    for (const loop of yields.flatMap((node) =>
      enclosing(node, fn).filter(
        (outer) => outer.type === 'ForOfStatement' || outer.type === 'ForInStatement',
      ),
    )) {
      if (!counterOf.has(loop)) counterOf.set(loop, this.countIterations(loop));
    }
    for (const node of yields) {
      if (node['delegate'] !== true)
        throw this.error(
          node,
          'a path makes its accesses with yield* of a primitive; a bare yield is not recorded',
        );
      this.refusePendingValues(node, fn, yields);
      const locals = this.liveAt(node, fn);
      for (const loop of enclosing(node, fn)) {
        const counter = counterOf.get(loop);
        if (counter !== undefined && contains(loop['body'] as Node, node)) locals.push(counter);
      }
      const callee = calleeName(node['argument'] as Node, this.code);
      const number = this.sites.push(JSON.stringify([this.line(node), name, callee])) - 1;
      const at = `$at+${number}`;
      this.text.appendLeft(node.start, `$live.leave($live.enter(${at},[${locals.join(',')}]),`);
      this.text.appendLeft(this.code.indexOf('*', node.start) + 1, ` $live.delegate(${at},`);
      this.text.prependRight(node.end, '))');
    }
    for (const call of calls) {
      const parent = call.parent!;
      if (parent.type === 'YieldExpression' && parent['delegate'] === true) continue;
      const callee = call['callee'] as Node;
      if (callee.type === 'Super' || callee.type === 'Import') continue;
      this.text.appendLeft(call.start, '$live.called(');
      this.text.prependRight(
        call.end,
        `,${JSON.stringify(this.options.file)},${this.line(call)},${JSON.stringify(calleeName(call, this.code))})`,
      );
    }
  }

  /** A for-of's position is hidden state: gives the loop a counter that can be recorded. */
  private countIterations(loop: Node): string {
    const counter = `$i${this.counters++}`;
    const body = loop['body'] as Node;
    this.text.appendLeft(loop.start, `{let ${counter}=0;`);
    if (body.type === 'BlockStatement') this.text.appendLeft(body.start + 1, `${counter}++;`);
    else {
      this.text.appendLeft(body.start, `{${counter}++;`);
      this.text.prependRight(body.end, '}');
    }
    this.text.prependRight(loop.end, '}');
    return counter;
  }

  private liveAt(at: Node, fn: Node): string[] {
    const live: string[] = [];
    const loops = enclosing(at, fn).filter((node) => LOOPS.has(node.type));
    const statement = statementOf(at);
    let usesThis = false;
    for (const scope of this.scopesWithin(fn)) {
      for (const variable of scope.variables) {
        if (variable.name === 'arguments' && variable.defs.length === 0) {
          if (variable.references.length > 0) throw this.error(fn, 'a path may not use `arguments`');
          continue;
        }
        if (variable.defs.length === 0 || variable.defs.every((def) => def.type === 'FunctionName')) continue;
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
        if (captured || later || looped) live.push(variable.name);
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
      if ((def.parent as unknown as Node | undefined)?.['kind'] === 'var')
        throw this.error(declarator, 'a path declares its locals with let or const');
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

  /** Values that JavaScript keeps on its own stack across the yield, where no frame records them. */
  private refusePendingValues(at: Node, fn: Node, yields: readonly Node[]): void {
    const retained = (earlier: Node): boolean => yields.some((other) => contains(earlier, other));
    let node = at;
    for (
      let parent = node.parent!;
      node !== fn && !/Statement$|Declaration$/.test(parent.type);
      node = parent, parent = parent.parent!
    ) {
      let before: Node[] = [];
      switch (parent.type) {
        case 'BinaryExpression':
          if (parent['right'] === node) before = [parent['left'] as Node];
          break;
        case 'CallExpression':
        case 'NewExpression':
          before = [parent['callee'] as Node, ...(parent['arguments'] as Node[])];
          break;
        case 'ArrayExpression':
          before = (parent['elements'] as (Node | null)[]).filter((element) => element !== null);
          break;
        case 'ObjectExpression':
          before = parent['properties'] as Node[];
          break;
        case 'TemplateLiteral':
          before = parent['expressions'] as Node[];
          break;
        case 'AssignmentExpression':
          if (
            parent['operator'] !== '=' &&
            parent['right'] === node &&
            (parent['left'] as Node).type !== 'Identifier'
          ) {
            throw this.error(at, 'the left side is read before this yield* and used after it: use a local');
          }
          break;
      }
      if (before.some((earlier) => earlier.end <= node.start && retained(earlier))) {
        throw this.error(
          at,
          'two yield* in one expression, and the first value is needed after the second: name the first',
        );
      }
    }
  }

  private refuseCapturedWrites(fn: Node): void {
    for (const scope of this.scopes.scopes) {
      if (!contains(fn, scope.block as unknown as Node)) continue;
      for (const reference of scope.through) {
        const target = reference.resolved;
        if (!reference.isWrite() || target === null) continue;
        if (!contains(fn, target.scope.block as unknown as Node)) {
          const node = reference.identifier as unknown as Node;
          throw this.error(
            node,
            `a path may not write ${target.name}, which is declared outside of it: keep it in a cell`,
          );
        }
      }
    }
  }

  private error(node: Node, message: string): TransformError {
    return new TransformError(`${this.options.file}:${this.line(node)}: ${message}`);
  }

  private line(node: Node): number {
    const { line, column } = node.loc.start;
    return this.options.lineOf?.(line, column) ?? line;
  }
}

function children(node: Node): Node[] {
  const found: Node[] = [];
  for (const [field, value] of Object.entries(node)) {
    if (field === 'parent' || value === null || typeof value !== 'object') continue;
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (
        item !== null &&
        typeof item === 'object' &&
        typeof (item as Node).type === 'string' &&
        typeof (item as Node).start === 'number'
      ) {
        const child = item as Node;
        child.parent = node;
        found.push(child);
      }
    }
  }
  return found.sort((x, y) => x.start - y.start);
}

function visit(node: Node, enter: (node: Node) => void): void {
  enter(node);
  for (const child of children(node)) visit(child, enter);
}

function contains(outer: Node, inner: Node): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}

function enclosing(node: Node, fn: Node): Node[] {
  const found: Node[] = [];
  for (let outer = node.parent; outer !== undefined && outer !== fn; outer = outer.parent) found.push(outer);
  return found;
}

/** The expression statement, declaration or statement head that the node is evaluated in: operands count as live. */
function statementOf(node: Node): Node {
  let inner = node;
  while (inner.parent !== undefined && !/Statement$|Declaration$/.test(inner.parent.type))
    inner = inner.parent;
  return inner;
}

function functionName(fn: Node): string {
  const id = fn['id'] as Node | null;
  if (id) return id['name'] as string;
  const parent = fn.parent;
  if (parent === undefined) return '(path)';
  const named = (parent['key'] ?? parent['id'] ?? parent['left']) as Node | undefined;
  if (named?.type === 'Identifier') return named['name'] as string;
  if (named?.type === 'Literal') return String(named['value']);
  return '(path)';
}

function calleeName(expression: Node, code: string): string {
  if (expression.type !== 'CallExpression') return code.slice(expression.start, expression.end).slice(0, 40);
  let callee = expression['callee'] as Node;
  while (callee.type === 'MemberExpression') callee = callee['property'] as Node;
  return code.slice(callee.start, callee.end).slice(0, 60);
}
