// SPDX-License-Identifier: MIT
import { replayPart } from './replay.js';

replayPart(0, 2);
