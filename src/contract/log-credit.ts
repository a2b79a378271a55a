/** What a streamed entry uses of a log stream's credit. Both sides count with this, so that their sums never drift apart. */
import type { StreamedEntry } from './session-messages.ts';

/** What an entry costs beside its text, so that a flood of empty lines is bounded, too. */
const entryOverhead = 64;

/** In the unit of `bytes` of `logs_open` and `logs_credit`: characters of the text as it travels, and 64 for the rest. */
export function creditOf({ text }: Pick<StreamedEntry, 'text'>): number {
  return text.length + entryOverhead;
}
