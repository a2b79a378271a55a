/** How an entry travels: as text where it is text, else as base64, so that nothing is lost on the way. */
import { isUtf8 } from 'node:buffer';
import type { StreamedEntry } from '../../contract/session-messages.ts';
import type { SourceEntry } from './log-source.ts';

/**
 * A character that a long line is cut in makes both parts base64: joined as bytes they are the line again.
 */
export function streamedEntry({ time, channel, data, partial, service }: SourceEntry): StreamedEntry {
  const utf8 = isUtf8(data);
  return {
    ...{ time, channel, text: data.toString(utf8 ? 'utf8' : 'base64'), encoding: utf8 ? 'utf8' : 'base64', partial },
    ...(service === undefined ? {} : { service }),
  };
}
