// SPDX-License-Identifier: MIT
import { availableParallelism, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import { Tinypool } from 'tinypool';
import { UsageError, type Variant } from '../core/scenario.js';
import type { CheckOptions, Verdict } from '../explore/check.js';
import type { Sought } from '../explore/find.js';
import type { Trace } from '../explore/trace.js';
import type { Entry } from './catalogue.js';
import { WorkerCrash } from './errors.js';
import type { Answer, Result, Task } from './worker.js';

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
  /** Called for each result in the order of the jobs. */
  onResult?(result: Result, job: Job, index: number): void;
}

/** How much later than its time limit a worker may answer. */
const GRACE_MS = 5000;

/** Checks variants in worker threads: one task each, so that the main thread stays free to show progress and to stop. */
export class Pool {
  private readonly pool: Tinypool;
  private readonly active = new Map<Job, Int32Array>();
  private stopped = false;
  /** How many jobs have their answer. */
  finished = 0;

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
      resourceLimits: { maxOldGenerationSizeMb: Math.floor(heapOf(threads) / 2 ** 20) },
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

  /** Checks all jobs. Returns the results so far if it was stopped. Throws the first UsageError in the order of the jobs. */
  async check(): Promise<(Result | undefined)[]> {
    const results: (Result | undefined)[] = this.jobs.map(() => undefined);
    let told = 0;
    await this.each(async (job, index) => {
      const began = Date.now();
      const progress = newProgress();
      const answer = await this.ask(job, progress);
      if (answer.kind === 'run') throw new Error('expected a verdict');
      if (answer.kind === 'verdict') results[index] = answer.result;
      else results[index] = gaveUp(job, answer.bound, progress, (Date.now() - began) / 1000);
      for (; results[told] !== undefined; told++)
        this.options.onResult?.(results[told]!, this.jobs[told]!, told);
    });
    return results;
  }

  /** Looks for a run of the first job. `bound`: what ended the search. Undefined: it was stopped. */
  async find(sought: Sought): Promise<{ trace: Trace | null; bound: string | undefined } | undefined> {
    let run: { trace: Trace | null; bound: string | undefined } | undefined;
    await this.each(async (job) => {
      const answer = await this.ask(job, newProgress(), sought);
      if (answer.kind !== 'verdict') run = { trace: null, ...answer };
    });
    return run;
  }

  /** Ends what runs; `check` returns what is there. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.pool.destroy();
  }

  private async each(work: (job: Job, index: number) => Promise<void>): Promise<void> {
    const failures: Error[] = [];
    try {
      await Promise.all(
        this.jobs.map(async (job, index) => {
          try {
            await work(job, index);
            this.finished++;
          } catch (error) {
            if (this.stopped || (error instanceof Error && error.name === 'CancelError')) return;
            failures[index] = error as Error;
            this.pool.cancelPendingTasks(); // those that run are earlier jobs, and may fail as well
          }
        }),
      );
    } finally {
      await this.pool.destroy();
    }
    const failure = failures.find((error) => error !== undefined);
    if (failure !== undefined) throw failure;
  }

  /** Has a worker do a job. Throws where the user's file or we are wrong. */
  private async ask(
    job: Job,
    progress: Int32Array,
    sought?: Sought,
  ): Promise<Extract<Answer, { kind: 'verdict' | 'run' | 'gave up' }>> {
    const { entry, variant } = job;
    this.active.set(job, progress);
    const { signal, cancel } = watch(progress, this.options.check.timeoutMs);
    let answer: Answer;
    try {
      const task: Task = {
        id: entry.scenario.id,
        ...(entry.user === undefined ? {} : { user: entry.user }),
        ...(sought === undefined ? {} : { sought }),
        variant,
        options: this.options.check,
        progress,
      };
      answer = (await this.pool.run(task, signal === undefined ? {} : { signal })) as Answer;
    } catch (error) {
      if (signal?.aborted === true)
        answer = { kind: 'gave up', bound: 'time, in a path that makes no request' };
      else if ((error as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY')
        answer = { kind: 'gave up', bound: 'memory' };
      else throw error;
    } finally {
      cancel();
      this.active.delete(job);
    }
    if (answer.kind === 'wrong') throw new UsageError(answer.message);
    if (answer.kind === 'crash') throw new WorkerCrash(answer.stack);
    return answer;
  }
}

/**
 * Bytes of JavaScript heap for a worker, beside the search's own arrays: what the main thread may have, and together
 * half of the memory. A path that grows without end becomes `incomplete` instead of taking the computer down.
 */
function heapOf(threads: number): number {
  return Math.min(getHeapStatistics().heap_size_limit, totalmem() / 2 / threads);
}

function newProgress(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(12));
}

/** A worker looks at the clock itself, but not while a path loops without a request: then it is ended from outside. */
function watch(
  progress: Int32Array,
  timeoutMs: number | undefined,
): { signal: AbortSignal | undefined; cancel(): void } {
  if (timeoutMs === undefined) return { signal: undefined, cancel: () => undefined };
  const controller = new AbortController();
  let began = 0;
  const timer = setInterval(() => {
    if (progress[2] === 0) return; // in the queue
    began ||= Date.now();
    if (Date.now() - began > timeoutMs + GRACE_MS) controller.abort();
  }, 100);
  return { signal: controller.signal, cancel: () => clearInterval(timer) };
}

function gaveUp({ entry, variant }: Job, bound: string, progress: Int32Array, seconds: number): Result {
  const verdict: Verdict = {
    id: entry.scenario.id,
    variant: variant.name,
    verdict: 'incomplete',
    property: '',
    detail: '',
    reports: [],
    accounts: [],
    states: progress[0]!,
    transitions: 0,
    depth: progress[1]!,
    seconds,
    automatonNodes: 0,
    bytes: 0,
    reductions: [],
    collisionOdds: 0,
    passes: [],
    bound,
    witnesses: Object.fromEntries(entry.scenario.sometimes.map((name) => [name, false])),
    found: [],
    shown: undefined,
    asExpected: variant.expect === undefined ? undefined : false,
    bounds: '',
    properties: [],
  };
  return { verdict, trace: null, memory: '' };
}
