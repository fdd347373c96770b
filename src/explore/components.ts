// SPDX-License-Identifier: MIT
/** A graph as lists of edges, one behind the other. */
export interface Edges {
  /** Number of nodes. */
  readonly size: number;
  /** By node: its first edge; the last one of all is followed by the number of edges. */
  readonly firstEdge: ArrayLike<number>;
  /** Where an edge leads, -1 if it does not count. */
  target(edge: number): number;
}

/**
 * The strongly connected components that have an edge in them (Tarjan), each in ascending order; of the part of the graph
 * `within` some nodes, if they are given.
 */
export function components(graph: Edges, within?: readonly number[]): number[][] {
  const { size, firstEdge } = graph;
  const index = new Int32Array(size).fill(within === undefined ? 0 : -1); // 0: not visited, -1: not inside
  for (const node of within ?? []) index[node] = 0;
  const low = new Int32Array(size);
  const onStack = new Uint8Array(size);
  const cursor = Int32Array.from({ length: size }, (_, node) => firstEdge[node]!);
  const stack: number[] = [];
  const found: number[][] = [];
  let next = 1;
  for (let root = 0; root < size; root++) {
    if (index[root] !== 0) continue;
    const way = [root];
    while (way.length > 0) {
      const at = way[way.length - 1]!;
      if (index[at] === 0) {
        index[at] = low[at] = next++;
        stack.push(at);
        onStack[at] = 1;
      }
      if (cursor[at]! < firstEdge[at + 1]!) {
        const to = graph.target(cursor[at]!++);
        if (to < 0 || index[to] === -1) continue;
        if (index[to] === 0) way.push(to);
        else if (onStack[to] === 1) low[at] = Math.min(low[at]!, index[to]!);
        continue;
      }
      way.pop();
      const above = way.at(-1);
      if (above !== undefined) low[above] = Math.min(low[above]!, low[at]!);
      if (low[at] !== index[at]) continue;
      const component: number[] = [];
      for (;;) {
        const member = stack.pop()!;
        onStack[member] = 0;
        component.push(member);
        if (member === at) break;
      }
      component.sort((x, y) => x - y);
      if (component.length > 1 || followsItself(graph, at)) found.push(component);
    }
  }
  return found;
}

function followsItself(graph: Edges, node: number): boolean {
  for (let edge = graph.firstEdge[node]!; edge < graph.firstEdge[node + 1]!; edge++)
    if (graph.target(edge) === node) return true;
  return false;
}
