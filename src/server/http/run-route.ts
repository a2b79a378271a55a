/** Carries out one request for one route: who asks, what is asked, and the answer. Knows no HTTP library. */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import type { Store } from '../db/store.ts';
import type { AuditedRequest, AuditTrail } from './audit.ts';
import { readBody, readParams, readQuery } from './body.ts';
import { type Caller, callerOf, noteUse } from './callers.ts';
import { answerAgain, answeredBefore, type Key, keepAnswer, keyOf } from './idempotency.ts';
import type { Asked, Route, Streamed, Who } from './route.ts';
import { whileValid } from './while-valid.ts';

export interface RawRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly params: unknown;
  readonly query: unknown;
  /** A stream for a route that takes a file. */
  readonly body: Buffer | Readable;
  readonly correlationId: string;
  /** Address of the other side. */
  readonly remote: string;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  /** True if it was given before, under the same Idempotency-Key. */
  readonly replayed: boolean;
  /** Of this answer alone. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RunOptions {
  readonly store: Store;
  readonly now: number;
  /** The time later on, for what outlasts its request. */
  readonly clock: () => number;
  /** Judges each answer by the schema that `/openapi.json` shows; for tests. */
  readonly checkAnswers: boolean;
  readonly audit: AuditTrail;
  /** The caller has shown a token that is good; what it throws is answered. */
  onKnown(who: Who): void;
}

type AnyAsked = Asked<unknown, unknown, unknown, unknown>;

export async function runRoute(route: Route, raw: RawRequest, options: RunOptions): Promise<Answer | Streamed> {
  const caller = await identify(route, raw, options);
  try {
    return await carryOut(route, raw, caller, options);
  } catch (error) {
    if (caller && route.change) await options.audit.refused(caller.who, auditedOf(route, raw, options), error);
    throw error;
  }
}

async function carryOut(
  route: Route,
  raw: RawRequest,
  caller: Caller | undefined,
  options: RunOptions,
): Promise<Answer | Streamed> {
  const { store, now, clock } = options;
  if (caller) allow(route, caller.who);
  const asked: AnyAsked = {
    params: readParams(route.params, raw.params),
    query: readQuery(route.query, raw.query),
    ...(raw.body instanceof Readable
      ? { body: {}, file: raw.body }
      : { body: readBody(route.body, raw.body), sent: raw.body }),
    ...{ who: caller?.who, now, headers: raw.headers, correlationId: raw.correlationId, signal: raw.signal },
  };
  if (route.stream) {
    const { headers } = raw;
    const signal = caller ? whileValid({ store, headers, signal: raw.signal, now: clock }) : raw.signal;
    const streamed = await route.stream({ ...asked, signal });
    endWith(signal, streamed.body);
    return streamed;
  }
  if (route.change) {
    const key = caller && keyFor(caller, raw);
    return change(route, raw, asked, key, options);
  }
  const body = await store.read(async (tx) => route.read?.(asked, tx));
  return checked(route, { status: route.status ?? 200, body, replayed: false }, options);
}

/** A stream ends by itself as soon as it is asked for more; where its client reads nothing, nobody asks. */
function endWith(signal: AbortSignal, body: Readable): void {
  const end = () => {
    if (body.isPaused()) body.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
}

async function identify(
  route: Route,
  raw: RawRequest,
  { store, now, onKnown }: RunOptions,
): Promise<Caller | undefined> {
  if (route.allow === 'anyone') {
    return undefined;
  }
  const caller = await store.read((tx) => callerOf(raw.headers, tx, now));
  onKnown(caller.who);
  // On a full disk people shall still be able to look.
  if (caller.session) await noteUse(store, caller.session, now).catch(() => undefined);
  return caller;
}

function allow(route: Route, { role }: Who): void {
  if (route.allow !== 'anyone' && !route.allow.includes(role)) {
    throw new AgentError('request.forbidden', {
      reason: `It takes ${route.allow.join(', ')}, and this is ${role}.`,
      roles: route.allow,
    });
  }
}

function auditedOf(route: Route, { params, correlationId, remote }: RawRequest, { now }: RunOptions): AuditedRequest {
  return { route, params, correlationId, remote, now };
}

/** Who proves nothing repeats nothing: its answers could be asked for by everybody. A file that comes again is the same. */
function keyFor({ name, credential }: Caller, { method, url, body, headers }: RawRequest): Key | undefined {
  if (body instanceof Readable) return undefined;
  const header = headers['idempotency-key'];
  return keyOf({
    ...{ header: typeof header === 'string' ? header : undefined, caller: name, credential },
    ...{ method, url, body },
  });
}

async function change(
  route: Route,
  raw: RawRequest,
  asked: AnyAsked,
  key: Key | undefined,
  options: RunOptions,
): Promise<Answer> {
  const { store, now } = options;
  const before = key && (await store.read((tx) => answeredBefore(tx, key, now)));
  if (before) {
    return { status: before.status, body: answerAgain(before, key), replayed: true };
  }
  const prepared = await route.prepare?.(asked);
  return store.write(async (tx) => {
    // Somebody with the same key may have been faster since.
    const meanwhile = key && (await answeredBefore(tx, key, now));
    if (meanwhile) {
      return { status: meanwhile.status, body: answerAgain(meanwhile, key), replayed: true };
    }
    const changed = await route.change?.(asked, tx, prepared);
    const answer = { status: route.status ?? 200, body: changed?.body, replayed: false };
    const who = asked.who ?? changed?.who;
    if (who) {
      await options.audit.accepted(tx, who as Who, auditedOf(route, raw, options), answer);
    }
    if (key) {
      await keepAnswer(tx, key, { ...answer, secrets: changed?.once }, now);
    }
    const body = changed?.once ? { ...(answer.body as object), ...(changed.once as object) } : answer.body;
    const { headers } = changed ?? {};
    return checked(route, { ...answer, body, ...(headers ? { headers } : {}) }, options);
  });
}

function checked(route: Route, answer: Answer, { checkAnswers }: RunOptions): Answer {
  const judged = checkAnswers ? judge(route.answer, answer.body) : { ok: true as const };
  if (!judged.ok) {
    const errors = judged.errors.map(({ path, message }) => `${path} ${message}`).join('; ');
    throw new Error(`${route.method} ${route.path} answers what its schema does not say: ${errors}`);
  }
  return answer;
}
