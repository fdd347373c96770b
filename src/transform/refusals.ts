// SPDX-License-Identifier: MIT
import type { ScopeManager, Variable } from 'eslint-scope';
import type { InstrumentOptions } from './instrument.js';
import { contains, isWrittenInto, type Node, visit } from './ast.js';

/** The file can't be a path file as it stands. The message begins with file:line. */
export class TransformError extends Error {
  override readonly name = 'TransformError';
}

/** What the recorded frames would not show: refused, with file and line. */
export class Refusals {
  constructor(
    private readonly options: InstrumentOptions,
    private readonly scopes: ScopeManager,
  ) {}

  /** Values that JavaScript keeps on its own stack across the yield, where no frame records them. */
  pendingValues(at: Node, fn: Node, yields: readonly Node[]): void {
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
        case 'AssignmentExpression':
          if (parent['right'] === node) before = [parent['left'] as Node];
          if (
            parent['right'] === node &&
            parent.type === 'AssignmentExpression' &&
            parent['operator'] !== '=' &&
            (parent['left'] as Node).type !== 'Identifier'
          ) {
            throw this.error(at, 'the left side is read before this yield* and used after it: use a local');
          }
          break;
        case 'MemberExpression':
          before = [parent['object'] as Node];
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
        case 'AssignmentPattern':
        case 'ArrayPattern':
        case 'ObjectPattern':
          throw this.error(at, 'a yield* in a destructuring pattern: take the value apart afterwards');
        case 'SwitchCase':
          if (parent['test'] === node)
            throw this.error(at, 'a yield* in a case label: compare before the switch');
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

  /** State that no frame shows: variables and objects from outside, and locals that a closure writes. */
  hiddenWrites(fn: Node): void {
    for (const scope of this.scopes.scopes) {
      if (!contains(fn, scope.block as unknown as Node)) continue;
      for (const reference of scope.references) {
        const target = reference.resolved;
        const node = reference.identifier as unknown as Node;
        if (target === null) continue;
        const outside = !contains(fn, target.scope.block as unknown as Node);
        if (reference.isWrite() && outside)
          throw this.error(
            node,
            `a path may not write ${target.name}, which is declared outside of it: keep it in a cell`,
          );
        if (
          reference.isWrite() &&
          reference.from.variableScope !== target.scope.variableScope &&
          target.scope.variableScope.block === (fn as unknown)
        )
          throw this.error(node, `a closure may not write ${target.name}, a local of the path: use a loop`);
        if (outside && isWrittenInto(node))
          throw this.error(
            node,
            `a path may not change ${target.name}, which is made outside of it: keep its state in cells`,
          );
      }
    }
    visit(fn['body'] as Node, (node) => {
      if (node.type === 'ThisExpression' && isWrittenInto(node))
        throw this.error(node, 'a path may not change `this`: keep its state in cells');
    });
  }

  /** A local of another `case` may not have been initialised. */
  foreignCase(variable: Variable, at: Node): void {
    for (const def of variable.defs) {
      const home = (def.node as unknown as Node).parent?.parent;
      if (home?.type === 'SwitchCase' && !contains(home, at))
        throw this.error(
          at,
          `${variable.name} is a local of another case: give that case a block of its own`,
        );
    }
  }

  error(node: Node, message: string): TransformError {
    return new TransformError(`${this.options.file}:${this.line(node)}: ${message}`);
  }

  /** The line of the source as its author wrote it. */
  line(node: Node): number {
    const { line, column } = node.loc.start;
    return this.options.lineOf?.(line, column) ?? line;
  }
}
