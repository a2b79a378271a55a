/** The answer to a request of Node's own HTTP client, or why there is none. */
import type { ClientRequest, IncomingMessage } from 'node:http';

/**
 * Resolves with the headers. Rejects also where Node tells of no error: an answer that switches protocols unasked (101) ends the
 * request in silence, and no signal ends it any more.
 */
export function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request
    .once('response', resolve)
    .on('error', reject)
    .once('close', () => reject(new Error('The connection ended without an answer')));
  return promise;
}
