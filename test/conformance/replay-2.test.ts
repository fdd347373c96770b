// SPDX-License-Identifier: MIT
import { replayPart } from './replay.js';

replayPart(1, 2);
