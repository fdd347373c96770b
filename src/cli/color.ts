// SPDX-License-Identifier: MIT
import { createColors } from 'picocolors';

/** Colours for a stream: only on a terminal, and where NO_COLOR does not forbid them. */
export function colorsOf(stream: { readonly isTTY?: boolean }): ReturnType<typeof createColors> {
  return createColors(stream.isTTY === true && !process.env['NO_COLOR']);
}
