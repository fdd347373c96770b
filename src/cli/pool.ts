// SPDX-License-Identifier: MIT
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { UsageError, type Variant } from '../core/scenario.js';
import type { CheckOptions, Verdict } from '../explore/check.js';
import type { Entry } from './catalogue.js';
import { WorkerCrash } from './errors.js';
import type { Answer, Task } from './worker.js';

/** A variant to check. */
export interface Job {
  readonly entry: Entry;
  readonly variant: Variant;
}

/** How far a job is. */
export interface Running {
  readonly job: Job;
  readonly states: number;
  readonly depth: number;
}

export interface PoolOptions {
  readonly workers?: number | undefined;
  readonly check: CheckOptions;
  /** Called for each verdict in the order of the jobs. */
  onVerdict?(verdict: Verdict, job: Job, index: number): void;
}

/** Checks variants in worker threads: one task each, so that the main thread stays free to show progress and to stop. */
export class Pool {
  private readonly pool: Tinypool;
  private readonly active = new Map<Job, Int32Array>();
  private stopped = false;

  constructor(
    private readonly jobs: readonly Job[],
    private readonly options: PoolOptions,
  ) {
    const threads = Math.max(1, Math.min(jobs.length, options.workers ?? availableParallelism()));
    this.pool = new Tinypool({
      filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
      minThreads: threads,
      maxThreads: threads,
      // With atomics an idle worker blocks its thread, and then it is slow to end.
      useAtomics: false,
    });
  }

  /** What runs now, in the order of the jobs. */
  get running(): Running[] {
    return this.jobs.flatMap((job) => {
      const progress = this.active.get(job);
      return progress === undefined || progress[1] === 0
        ? []
        : [{ job, states: progress[0]!, depth: progress[1]! }];
    });
  }

  /** Runs all jobs. Returns the verdicts so far if it was stopped. Throws the first UsageError in the order of the jobs. */
  async run(): Promise<(Verdict | undefined)[]> {
    const verdicts: (Verdict | undefined)[] = this.jobs.map(() => undefined);
    const failures: unknown[] = [];
    let told = 0;
    try {
      await Promise.all(
        this.jobs.map(async (job, index) => {
          try {
            verdicts[index] = await this.check(job);
          } catch (error) {
            if (this.stopped) return;
            failures[index] = error;
            this.pool.cancelPendingTasks();
          }
          for (; verdicts[told] !== undefined; told++)
            this.options.onVerdict?.(verdicts[told]!, this.jobs[told]!, told);
        }),
      );
    } finally {
      await this.pool.destroy();
    }
    const failure = failures.find((error) => error !== undefined && !isCancelled(error));
    if (failure !== undefined) throw failure;
    return verdicts;
  }

  /** Ends what runs; `run` returns what is there. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.pool.destroy();
  }

  private async check(job: Job): Promise<Verdict> {
    const { entry, variant } = job;
    const progress = new Int32Array(new SharedArrayBuffer(8));
    this.active.set(job, progress);
    const began = Date.now();
    let answer: Answer;
    try {
      answer = (await this.pool.run({
        id: entry.scenario.id,
        ...(entry.user === undefined ? {} : { user: entry.user }),
        variant,
        options: this.options.check,
        progress,
      } satisfies Task)) as Answer;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
      answer = { kind: 'memory' };
    } finally {
      this.active.delete(job);
    }
    switch (answer.kind) {
      case 'verdict':
        return answer.verdict;
      case 'wrong':
        throw new UsageError(answer.message);
      case 'memory':
        return outOfMemory(job, progress, (Date.now() - began) / 1000);
      case 'crash':
        throw new WorkerCrash(answer.stack);
    }
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof Error && /cancel|terminat|abort/i.test(error.message);
}

function outOfMemory({ entry, variant }: Job, progress: Int32Array, seconds: number): Verdict {
  return {
    id: entry.scenario.id,
    variant: variant.name,
    verdict: 'incomplete',
    property: '',
    detail: '',
    reports: [],
    states: progress[0]!,
    transitions: 0,
    depth: progress[1]!,
    seconds,
    automatonNodes: 0,
    bytes: 0,
    reductions: [],
    passes: [],
    bound: 'memory',
    witnesses: Object.fromEntries(entry.scenario.sometimes.map((name) => [name, false])),
    found: [],
    shown: undefined,
    asExpected: variant.expect === undefined ? undefined : false,
    bounds: '',
    properties: [],
  };
}
