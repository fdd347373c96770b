// SPDX-License-Identifier: MIT
/** A thread that replays the files whose paths it is sent. */
import { parentPort } from 'node:worker_threads';
import './register.mjs';

const { replayOne } = await import('./replay.ts');
parentPort.on('message', (file) => parentPort.postMessage(replayOne(file, 'never')));
