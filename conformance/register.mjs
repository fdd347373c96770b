// SPDX-License-Identifier: MIT
/** `node --import ./conformance/register.mjs file.ts` */
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);
