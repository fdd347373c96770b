// SPDX-License-Identifier: MIT
import type { Pool } from './pool.js';

const EVERY_MS = 200;

/** A line on a terminal that says how far the pool is. Does nothing where stderr is no terminal. */
export class Progress {
  private readonly timer: NodeJS.Timeout | undefined;
  private readonly began = Date.now();
  private shown = false;

  constructor(
    private readonly pool: Pool,
    private readonly total: number,
  ) {
    if (process.stderr.isTTY) this.timer = setInterval(() => this.draw(), EVERY_MS);
  }

  private draw(): void {
    const seconds = ((Date.now() - this.began) / 1000).toFixed(0);
    const running = this.pool.running.map(
      ({ job, states }) =>
        `${job.entry.scenario.id} ${job.variant.name}: ${states.toLocaleString('en-US')} states`,
    );
    const line = `[${this.pool.finished}/${this.total}] ${seconds} s  ${running.join('  |  ')}`;
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`\r\u001b[K${line.slice(0, width)}`);
    this.shown = true;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.shown) process.stderr.write('\r\u001b[K');
    this.shown = false;
  }

  end(): void {
    clearInterval(this.timer);
    this.clear();
  }
}
