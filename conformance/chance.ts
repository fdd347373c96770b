// SPDX-License-Identifier: MIT
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** How often each is drawn, as a share of their sum. */
export type Weights<T extends string> = Readonly<Partial<Record<T, number>>>;

/** Draws by seed. */
export class Chance {
  private readonly generator;

  constructor(seed: number) {
    this.generator = xoroshiro128plus(seed);
  }

  /** One of 0 … count - 1. */
  below(count: number): number {
    return uniformInt(this.generator, 0, count - 1);
  }

  /** One of first … last. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True so many times in a hundred. */
  percent(share: number): boolean {
    return this.below(100) < share;
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  weighed<T extends string>(weights: Weights<T>): T {
    const entries = Object.entries<number | undefined>(weights) as [T, number][];
    let at = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [value, weight] of entries) {
      if (at < weight) return value;
      at -= weight;
    }
    throw new Error('expected a weight above 0');
  }
}
