/**
 * Asks sources over HTTP. Every address is judged when it is connected to, so that neither a redirect nor a name that changes its
 * address leads elsewhere; what proves who asks is made anew for each place on the way, by whoever knows whose it is.
 */
import { lookup as lookupName } from 'node:dns';
import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as requestPlain } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { answerOf } from '../../kit/answer-of.ts';
import type { AllowedPlaces } from './allowed-places.ts';
import { badAnswer, describeTrouble, plainUrl, refused } from './trouble.ts';

/** Headers that prove who asks, for one place; none for a place that they are not for. */
export type Authorize = (url: URL) => Promise<Readonly<Record<string, string>>>;

export const anonymous: Authorize = async () => ({});

/** Only to the origin that it is for, wherever redirects and lists lead. */
export function bearerFor(origin: string, token: string | undefined): Authorize {
  return async (url) => (token !== undefined && url.origin === origin ? { authorization: `Bearer ${token}` } : {});
}

export interface Question {
  readonly url: URL;
  readonly authorize: Authorize;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are answers too, beside 200 and 206. */
  readonly also?: readonly number[];
}

/** What is put at a place. */
export interface Delivery {
  readonly url: URL;
  readonly size: number;
  readonly signal: AbortSignal;
  /** Writes as many bytes; a chunk is its own again when that resolves. */
  readonly fill: (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>;
}

export interface ClientOptions {
  readonly places: Pick<AllowedPlaces, 'judge'>;
  /** How long no byte may come. */
  readonly idleMs?: number | undefined;
  readonly lookup?: typeof lookupName | undefined;
}

const usualIdleMs = 60_000;
const mostRedirects = 10;
const mostTextBytes = 32 * 1024 * 1024;
const kept = { keepAlive: true, timeout: 30_000 };

export class SourceClient {
  readonly #places: Pick<AllowedPlaces, 'judge'>;
  readonly #idleMs: number;
  readonly #lookup: typeof lookupName;
  readonly #plain = new PlainAgent(kept);
  readonly #tls = new TlsAgent(kept);

  constructor({ places, idleMs = usualIdleMs, lookup = lookupName }: ClientOptions) {
    this.#places = places;
    this.#idleMs = idleMs;
    this.#lookup = lookup;
  }

  /** The answer, at the end of all redirects; its body is the caller's to read or destroy. */
  async ask({ url, authorize, signal, headers = {}, also = [] }: Question): Promise<IncomingMessage> {
    for (let place = url, hops = 0; ; hops += 1) {
      if (hops > mostRedirects) throw refused('The source redirects without an end.', { url: plainUrl(url) });
      const response = await this.#once(place, { ...headers, ...(await authorize(place)) }, signal);
      const { statusCode: status = 0, headers: told } = response;
      if (status === 200 || status === 206 || also.includes(status)) return response;
      response.destroy();
      if (![301, 302, 303, 307, 308].includes(status) || told.location === undefined) {
        throw badAnswer(place, status, told['retry-after']);
      }
      place = urlOf(told.location, place);
    }
  }

  /** Resolves once the place has said that it has it. What was sent is not sent again to another place: redirects are refused. */
  async put({ url, size, signal, fill }: Delivery): Promise<void> {
    const headers = { 'content-length': String(size), 'content-type': 'application/octet-stream' };
    const request = this.#request(url, { method: 'PUT', headers }, signal);
    const answer = answerOf(request);
    // A place may answer before it has all of it, and then takes no more.
    const early = answer.then(() => undefined);
    try {
      const write = (chunk: Uint8Array) =>
        new Promise<void>((resolve, reject) => {
          request.write(chunk, (error) => (error ? reject(error) : resolve()));
        });
      const filled = fill(write).then(() => request.end());
      filled.catch(() => undefined);
      await Promise.race([filled, early]);
      const { statusCode: status = 0, headers: told } = await answer;
      if (status >= 200 && status < 300) return;
      if (status >= 300 && status < 400)
        throw refused('It redirects, and what is put is put where it is named.', { url: plainUrl(url) });
      if (status === 401 || status === 403)
        throw refused('It does not let whoever asks put it there.', { url: plainUrl(url), status });
      throw badAnswer(url, status, told['retry-after']);
    } catch (error) {
      signal.throwIfAborted();
      // What it has answered says more than that the connection is gone.
      throw describeTrouble(url, error);
    } finally {
      request.destroy();
      early.catch(() => undefined);
    }
  }

  /** The whole body, which must not be large. */
  async read(question: Question): Promise<{ readonly body: Buffer; readonly answer: IncomingMessage }> {
    const answer = await this.ask(question);
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for await (const part of answer as AsyncIterable<Buffer>) {
        length += part.length;
        if (length > mostTextBytes) throw refused('The source lists more than can be read.', { bytes: length });
        parts.push(part);
      }
    } catch (error) {
      question.signal.throwIfAborted();
      throw describeTrouble(question.url, error);
    }
    return { body: Buffer.concat(parts), answer };
  }

  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  async #once(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
    const request = this.#request(url, { method: 'GET', headers }, signal);
    try {
      request.end();
      return await answerOf(request);
    } catch (error) {
      signal.throwIfAborted();
      throw describeTrouble(url, error);
    }
  }

  #request(
    url: URL,
    { method, headers }: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): ClientRequest {
    signal.throwIfAborted();
    if (!['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw refused('Sources are https URLs without a user in them.', { url: plainUrl(url) });
    }
    // A name is judged when it has become an address.
    const literal = url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (isIP(literal) !== 0) this.#judge(url, literal);
    const [send, agent] = url.protocol === 'https:' ? [requestTls, this.#tls] : [requestPlain, this.#plain];
    const request = send(url, {
      ...{ method, agent, signal, lookup: this.#judgedLookup(url) },
      headers: { 'accept-encoding': 'identity', 'user-agent': 'gpuaas-node-agent', ...headers },
    });
    request.setTimeout(this.#idleMs, () => request.destroy(new Error('Nothing came any more')));
    return request;
  }

  #judge(url: URL, address: string): void {
    const reason = this.#places.judge(url, address);
    if (reason !== undefined) throw refused(reason, { url: plainUrl(url) });
  }

  /** Of a name with several addresses each has to be one that may be connected to. */
  #judgedLookup(url: URL): LookupFunction {
    return (name, options, done) => {
      this.#lookup(name, { ...options, all: true }, (error, found) => {
        const [first] = found ?? [];
        try {
          for (const { address } of found ?? []) this.#judge(url, address);
        } catch (refusal) {
          done(refusal as Error, '');
          return;
        }
        if (error || !first) done(error ?? new Error(`${name} has no address`), '');
        else if (options.all) done(null, found);
        else done(null, first.address, first.family);
      });
    };
  }
}

function urlOf(location: string, from: URL): URL {
  if (!URL.canParse(location, from)) throw refused('The source redirects to no URL.', { url: plainUrl(from) });
  return new URL(location, from);
}
