// SPDX-License-Identifier: MIT
import type { Variable } from 'eslint-scope';

/** A node of the syntax tree. `parent` is set as soon as the tree was visited. */
export interface Node {
  type: string;
  start: number;
  end: number;
  parent?: Node;
  loc: { start: { line: number; column: number } };
  [field: string]: unknown;
}

export const LOOPS = new Set([
  'ForStatement',
  'ForOfStatement',
  'ForInStatement',
  'WhileStatement',
  'DoWhileStatement',
]);
export const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

export function children(node: Node): Node[] {
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

export function visit(node: Node, enter: (node: Node) => void): void {
  enter(node);
  for (const child of children(node)) visit(child, enter);
}

export function contains(outer: Node, inner: Node): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}

export function enclosing(node: Node, fn: Node): Node[] {
  const found: Node[] = [];
  for (let outer = node.parent; outer !== undefined && outer !== fn; outer = outer.parent) found.push(outer);
  return found;
}

/** The expression statement, declaration or statement head that the node is evaluated in: operands count as live. */
export function statementOf(node: Node): Node {
  let inner = node;
  while (inner.parent !== undefined && !/Statement$|Declaration$/.test(inner.parent.type))
    inner = inner.parent;
  return inner;
}

/** A function that is declared in the path: what it captures is recorded, so it needs no record of its own. */
export function isFunction(def: Variable['defs'][number]): boolean {
  if (def.type === 'FunctionName') return true;
  const init = (def.node as unknown as Node)['init'] as Node | null | undefined;
  return (
    def.type === 'Variable' &&
    (def.parent as unknown as Node)['kind'] === 'const' &&
    init !== null &&
    init !== undefined &&
    FUNCTIONS.has(init.type)
  );
}

/** Whether `root.a.b` or `root[i]` is assigned to. */
export function isWrittenInto(root: Node): boolean {
  let target = root;
  while (target.parent?.type === 'MemberExpression' && target.parent['object'] === target)
    target = target.parent;
  const parent = target.parent;
  if (target === root || parent === undefined) return false;
  return (
    (parent.type === 'AssignmentExpression' && parent['left'] === target) ||
    parent.type === 'UpdateExpression' ||
    (parent.type === 'UnaryExpression' && parent['operator'] === 'delete')
  );
}

/** The expression that hands a call's value on: with `?.` the whole chain. Undefined: to a `yield*`. */
export function valueOf(call: Node): Node | undefined {
  let value = call;
  for (let link = call; link.parent !== undefined; link = link.parent) {
    const { parent } = link;
    if (parent.type === 'ChainExpression') {
      value = parent;
      break;
    }
    if (parent['object'] !== link && parent['callee'] !== link) break;
  }
  for (let node = value; node.parent !== undefined; node = node.parent) {
    const { parent } = node;
    if (parent.type === 'YieldExpression') return parent['delegate'] === true ? undefined : value;
    if (
      parent.type !== 'ChainExpression' &&
      !(parent.type === 'ConditionalExpression' && parent['test'] !== node) &&
      !(parent.type === 'LogicalExpression' && parent['right'] === node) &&
      !(parent.type === 'SequenceExpression' && (parent['expressions'] as Node[]).at(-1) === node)
    )
      break;
  }
  return value;
}

export function functionName(fn: Node): string {
  const id = fn['id'] as Node | null;
  if (id) return id['name'] as string;
  const parent = fn.parent;
  if (parent === undefined) return '(path)';
  const named = (parent['key'] ?? parent['id'] ?? parent['left']) as Node | undefined;
  if (named?.type === 'PrivateIdentifier') return `#${named['name'] as string}`;
  if (named?.type === 'Identifier') return named['name'] as string;
  if (named?.type === 'Literal') return String(named['value']);
  return '(path)';
}

export function calleeName(expression: Node, code: string): string {
  if (expression.type !== 'CallExpression') return code.slice(expression.start, expression.end).slice(0, 40);
  let callee = expression['callee'] as Node;
  while (callee.type === 'MemberExpression') callee = callee['property'] as Node;
  return code.slice(callee.start, callee.end).slice(0, 60);
}
