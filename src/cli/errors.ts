// SPDX-License-Identifier: MIT
import { PathError } from '../core/live.js';
import { UsageError } from '../core/scenario.js';
import { TransformError } from '../transform/index.js';
import { userError } from './user-file.js';

/** One line for whoever wrote the command or the file. Undefined: the error is ours. */
export function userMessage(error: unknown): string | undefined {
  if (error instanceof UsageError || error instanceof TransformError) return error.message;
  if (error instanceof PathError)
    return /^\S+:\d+: /.test(error.message) ? error.message : (userError(error) ?? error.message);
  return userError(error);
}

/** What a bug of ours prints. */
export function internalError(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `internal error: please report this with the command that led to it\n${stack}`;
}

/** A bug of ours that happened in a worker thread, with the stack it had there. */
export class WorkerCrash extends Error {
  override readonly name = 'WorkerCrash';
  constructor(override readonly stack: string) {
    super('a worker thread crashed');
  }
}
