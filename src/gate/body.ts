/** Reads what clients send: never more than a route allows, and all together never more than the gate can hold. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AgentError } from '../contract/failures.ts';

export class BodyReader {
  readonly #budget: number;
  #held = 0;

  /** `budget`: bytes of bodies that are being read at the same time. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /**
   * The whole body, or `policy.refused` as soon as it is known to be larger than `limit` bytes: before a byte of it is
   * read where its length is declared. A client that asked for `100-continue` is told to go on only then.
   */
  async read(request: IncomingMessage, response: ServerResponse | null, limit: number): Promise<Buffer> {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > limit) throw tooLarge(limit);
    if (request.headers.expect !== undefined) response?.writeContinue();

    const chunks: Buffer[] = [];
    let length = 0;
    try {
      // Not destroyed on the way out: the refusal still has to be written to its connection.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        length += chunk.length;
        this.#held += chunk.length;
        if (length > limit) throw tooLarge(limit);
        if (this.#held > this.#budget) throw refusal('busy', 'too many large bodies are being read');
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } finally {
      this.#held -= length;
    }
  }
}

const drainBytes = 4 * 1024 * 1024;
const drainMs = 1_000;

/**
 * Drops what is still to come of a body that nobody asked for, within limits. A client that is cut off while it writes never
 * reads why: engine clients tell of a broken pipe then.
 */
export async function drain(request: IncomingMessage): Promise<void> {
  const { 'content-length': declared = 0, expect } = request.headers;
  if (expect !== undefined || Number(declared) > drainBytes) return;
  const enough = new AbortController();
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > drainBytes) enough.abort();
  });
  request.resume();
  // However it ends, the answer is the same.
  await once(request, 'end', { signal: AbortSignal.any([enough.signal, AbortSignal.timeout(drainMs)]) }).catch(
    () => undefined,
  );
}

/** True if the request announces a body of at least one byte. */
export function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function tooLarge(limit: number): AgentError {
  return refusal('too_large', `the body is larger than ${limit} bytes`);
}

function refusal(code: string, message: string): AgentError {
  return new AgentError('policy.refused', { errors: [{ path: '', code, message }] });
}
