/** Reads server-sent events from text that arrives in pieces cut anywhere, as the HTML standard defines them. */

/** A message: the name of its event, its id (empty before the first), and its text. */
export interface StreamMessage {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** Returns a function that takes the next piece and returns the messages that are complete with it. */
export function eventParser(): (piece: string) => StreamMessage[] {
  let rest = '';
  let endedInReturn = false;
  let id = '';
  let event = '';
  let data: string[] = [];

  const takeLine = (line: string): StreamMessage | undefined => {
    if (line === '') {
      const message = data.length > 0 ? { event: event || 'message', id, data: data.join('\n') } : undefined;
      event = '';
      data = [];
      return message;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    return undefined;
  };

  return (piece) => {
    // A line end of two characters may have been cut in the middle.
    rest += endedInReturn && piece.startsWith('\n') ? piece.slice(1) : piece;
    if (piece !== '') endedInReturn = piece.endsWith('\r');
    const lines = rest.split(/\r\n|\r|\n/);
    rest = lines.pop() ?? '';
    return lines.map(takeLine).filter((message) => message !== undefined);
  };
}
