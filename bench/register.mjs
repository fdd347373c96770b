// SPDX-License-Identifier: MIT
/** `node --import ./bench/register.mjs file.ts` */
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);
