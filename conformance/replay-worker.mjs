// SPDX-License-Identifier: MIT
/** A thread that replays the files that it is sent. */
import { parentPort } from 'node:worker_threads';
import './register.mjs';

const { replayOne } = await import('./replay.ts');
parentPort.on('message', (asked) => parentPort.postMessage(replayOne(asked)));
