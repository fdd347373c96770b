// SPDX-License-Identifier: MIT
/** Cuts a script on which model and kernel differ to the few lines that matter. */

/** Whether the script still differs; a script that can't be run does not. */
export type Differs = (lines: readonly string[]) => Promise<boolean>;

const isReset = (line: string): boolean => line.trim() === 'reset';

/**
 * The shortest script that was found which still differs: from one reset to the next, then line by line, then word by word.
 * Returns the lines as they are if they do not differ.
 */
export async function shrink(lines: readonly string[], differs: Differs): Promise<string[]> {
  const asked = new Map<string, boolean>();
  const still = async (some: readonly string[]): Promise<boolean> => {
    const key = some.join('\n');
    const known = asked.get(key) ?? (await differs(some));
    asked.set(key, known);
    return known;
  };
  if (!(await still(lines))) return [...lines];
  let few = await fewerBlocks(lines, still);
  for (;;) {
    const before = few.join('\n');
    few = await fewer(few, still);
    few = await simplerWords(few, still);
    if (few.join('\n') === before) few = await fewerByTwo(few, still);
    if (few.join('\n') === before) return few;
  }
}

/** Keeps the parts between resets that are needed: mostly the one that differs. */
async function fewerBlocks(lines: readonly string[], still: Differs): Promise<string[]> {
  const head = lines.filter((line) => line.startsWith('autoobs'));
  const blocks: string[][] = [[]];
  for (const line of lines)
    if (isReset(line)) blocks.push([]);
    else if (!line.startsWith('autoobs')) blocks.at(-1)!.push(line);
  const joined = (some: readonly string[][]): string[] => [
    ...head,
    ...some.flatMap((block, i) => (i === 0 ? block : ['reset', ...block])),
  ];
  if (!(await still(joined(blocks)))) return [...lines];
  // What comes after the difference is not needed: the first part that differs is the last one.
  let [differing, fine] = [blocks.length, 0];
  while (differing - fine > 1) {
    const middle = (differing + fine) >> 1;
    if (await still(joined(blocks.slice(0, middle)))) differing = middle;
    else fine = middle;
  }
  const last = blocks[differing - 1]!;
  if (await still(joined([last]))) return joined([last]);
  return joined(await fewer(blocks.slice(0, differing), async (some) => still(joined(some))));
}

/** Delta debugging: leaves out ever smaller runs of parts for as long as what is left differs. */
async function fewer<T>(parts: readonly T[], still: (some: readonly T[]) => Promise<boolean>): Promise<T[]> {
  let few = [...parts];
  for (let size = few.length >> 1; size >= 1;) {
    let left = false;
    for (let end = few.length; end > 0; end -= size) {
      const without = [...few.slice(0, Math.max(0, end - size)), ...few.slice(end)];
      if (without.length === 0 || without.length === few.length || !(await still(without))) continue;
      few = without;
      left = true;
    }
    if (!left) size >>= 1;
    else size = Math.min(size, few.length);
  }
  return few;
}

/** Of so many lines two at once are left out. */
const BY_TWO = 40;

/** Without two lines of which one is needed because of the other one. */
async function fewerByTwo(lines: readonly string[], still: Differs): Promise<string[]> {
  if (lines.length > BY_TWO) return [...lines];
  for (let first = 0; first < lines.length; first++)
    for (let second = first + 1; second < lines.length; second++) {
      const without = lines.filter((_, i) => i !== first && i !== second);
      if (without.length > 0 && (await still(without))) return without;
    }
  return [...lines];
}

/** Smaller numbers, word by word: fewer pages, the first region, process and device, the first page. */
async function simplerWords(lines: readonly string[], still: Differs): Promise<string[]> {
  let few = await shifted(await renamed([...lines], still), still);
  for (let at = 0; at < few.length; at++) {
    const count = few[at]!.split(' ').length;
    for (let word = 0; word < count; word++)
      for (const simpler of simplerThan(few[at]!.split(' ')[word]!, word)) {
        const words = few[at]!.split(' ');
        words[word] = simpler;
        const changed = few.with(at, words.join(' '));
        if (!(await still(changed))) continue;
        few = changed;
        break;
      }
  }
  return few;
}

/** What may stand in a word's place, simplest first; the name of an operation stays. */
function simplerThan(word: string, at: number): string[] {
  if (at === 1) return [];
  if (/^\d+$/.test(word)) {
    const number = Number(word);
    return [0, 1, 2, number >> 1, number - 1]
      .filter((n, i, all) => n >= 0 && n < number && all.indexOf(n) === i)
      .map(String);
  }
  if (/^P[1-9]$/.test(word)) return ['P0'];
  if (['shared', 'memfd', 'privfile'].includes(word)) return ['anon'];
  if (word === 'r' || word === 'n') return ['rw'];
  if (/^0x[\da-f]+$/.test(word)) return ['0x1', '0x2', '0x3'].filter((value) => BigInt(value) < BigInt(word));
  return [];
}

/** Where the number of a process, a region or a device stands. */
const PLACES = [
  /\b(P)(\d+)\b/g,
  /\b(R)(\d+)\b/g,
  /^(P\d+ (?:open|close|dread|dwrite|todev|tosys|excl|chkexcl|snap|release) )(\d+)\b/g,
];

/** Processes, regions and devices with the lowest numbers: all places of a name at once. */
async function renamed(lines: string[], still: Differs): Promise<string[]> {
  let few = lines;
  for (const place of PLACES) {
    const used = (): number[] =>
      [...new Set(few.flatMap((line) => [...line.matchAll(place)].map(([, , n]) => Number(n))))].sort(
        (a, b) => a - b,
      );
    for (const from of used())
      for (let to = 0; to < from; to++) {
        if (used().includes(to)) continue;
        const changed = few.map((line) =>
          line.replaceAll(place, (all, before: string, n: string) =>
            Number(n) === from ? `${before}${to}` : all,
          ),
        );
        if (!(await still(changed))) continue;
        few = changed;
        break;
      }
  }
  return few;
}

/** Pages from the first one on: all that a region's operations name at once. */
async function shifted(lines: string[], still: Differs): Promise<string[]> {
  const PAGE = /^(P\d+ (?!mmap).*?\bR\d+ )(\d+)/;
  const pages = lines.flatMap((line) => PAGE.exec(line)?.[2] ?? []).map(Number);
  const first = Math.min(...pages);
  if (pages.length === 0 || first === 0) return lines;
  const changed = lines.map((line) =>
    line.replace(PAGE, (_, before: string, page: string) => `${before}${Number(page) - first}`),
  );
  return (await still(changed)) ? changed : lines;
}
