// SPDX-License-Identifier: MIT
/** A thread that replays recordings with a mutant in place. */
import './register.mjs';

const { work } = await import('./mutate-worker.ts');
export default work;
