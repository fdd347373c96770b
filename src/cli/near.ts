// SPDX-License-Identifier: MIT

/** The words nearest to `word`, nearest first: what was probably meant. Empty if nothing is near. */
export function nearest(word: string, words: readonly string[], count = 3): string[] {
  const wanted = word.toLowerCase();
  return [...new Set(words)]
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .filter(
      ({ candidate, distance }) =>
        distance <= Math.max(2, wanted.length / 3) || candidate.toLowerCase().startsWith(wanted),
    )
    .sort((x, y) => x.distance - y.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

function editDistance(x: string, y: string): number {
  let row = Array.from({ length: y.length + 1 }, (_, i) => i);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (x[i - 1] === y[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[y.length]!;
}
