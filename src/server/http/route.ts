/**
 * What a route is: one declaration that the server runs and `/openapi.json` shows. Rooms of the server declare routes and
 * know nothing of the HTTP library.
 *
 * A route does one of three things:
 * - `read` answers from one moment of the store;
 * - `change` writes in one transaction, together with the answer that a repetition under the same `Idempotency-Key`
 *   gets. What needs the network goes into `prepare`, before the transaction;
 * - `stream` answers piece by piece until it is over or the client is gone.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { Static, TObject, TSchema } from 'typebox';
import type { Role } from '../db/entities/project.ts';
import type { ReadTx, Tx } from '../db/store.ts';

/** Who asks. */
export interface Who {
  readonly tokenId: string;
  readonly role: Role;
  /** The only project that this caller can see; null for the platform's own people. */
  readonly projectId: string | null;
  /** As events name it: `token:<id>`. */
  readonly actor: string;
  /** The session of a browser that it asks through; null for a token of its own. */
  readonly sessionId: string | null;
}

export interface Asked<P, Q, B, W> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** The same as it came, for what a value of this language cannot hold. */
  readonly sent?: Buffer;
  readonly who: W;
  readonly headers: IncomingHttpHeaders;
  /** Follows the request through events, tasks and logs; also in the answer's header. */
  readonly correlationId: string;
  /** Milliseconds since 1970, the same throughout the request. */
  readonly now: number;
  /** What a route that takes a `file` gets, as it comes. */
  readonly file?: Readable;
  /** Aborts when the client is gone; that of a stream also when the server stops or its caller is not valid any more. */
  readonly signal: AbortSignal;
}

export interface Changed<A> {
  readonly body: A;
  /**
   * Laid over `body` in this answer, and in its repetition for the same caller under the same Idempotency-Key; kept in the
   * clear nowhere. For secrets that are shown once.
   */
  readonly once?: Partial<A>;
  /** Who turned out to ask, of a route that proves its callers itself: the change is written down for them. */
  readonly who?: Who;
  /** Of this answer alone, for example `set-cookie`; never kept. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Streamed {
  readonly contentType: string;
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The caller has proven who it is, to a route that proves its callers itself. */
  readonly isKnown?: boolean;
  readonly body: Readable;
}

interface Declared<P extends TObject, Q extends TObject, B extends TSchema, A extends TSchema> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With parameters in braces: `/api/v1/projects/{project_id}`. */
  readonly path: string;
  readonly tag: string;
  /** One sentence, as `/openapi.json` shows it. */
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** True: the body is a file of any length, `application/octet-stream`, and nothing is read of it before it is asked for. */
  readonly file?: boolean;
  /** Most bytes of the body; default 64 KiB. */
  readonly bodyLimit?: number;
  readonly answer: A;
  /** Media type of what a `stream` sends; default `text/event-stream`. */
  readonly produces?: string;
  /** Default 200. */
  readonly status?: 200 | 201 | 202;
}

interface Reads<P, Q, B, A, W> {
  read(asked: Asked<P, Q, B, W>, tx: ReadTx): Promise<A>;
}

interface Changes<P, Q, B, A, W, X> {
  prepare?(asked: Asked<P, Q, B, W>): Promise<X>;
  change(asked: Asked<P, Q, B, W>, tx: Tx, prepared: X): Promise<Changed<A>>;
}

interface Streams<P, Q, B, W> {
  stream(asked: Asked<P, Q, B, W>): Promise<Streamed>;
}

type Run<P, Q, B, A, W, X> = Reads<P, Q, B, A, W> | Changes<P, Q, B, A, W, X> | Streams<P, Q, B, W>;

/** A route as the server sees it, its types forgotten: the schemas are judged before it runs. */
export interface Route extends Declared<TObject, TObject, TSchema, TSchema> {
  readonly allow: readonly Role[] | 'anyone';
  readonly read?: Reads<unknown, unknown, unknown, unknown, unknown>['read'];
  readonly prepare?: (asked: Asked<unknown, unknown, unknown, unknown>) => Promise<unknown>;
  readonly change?: Changes<unknown, unknown, unknown, unknown, unknown, unknown>['change'];
  readonly stream?: Streams<unknown, unknown, unknown, unknown>['stream'];
}

/** A route for callers with one of the roles. */
export function route<
  P extends TObject = TObject<Record<never, never>>,
  Q extends TObject = TObject<Record<never, never>>,
  B extends TSchema = TSchema,
  A extends TSchema = TSchema,
  X = undefined,
>(
  declared: Declared<P, Q, B, A> & { readonly allow: readonly Role[] } & Run<
      Static<P>,
      Static<Q>,
      Static<B>,
      Static<A>,
      Who,
      X
    >,
): Route {
  return declared as unknown as Route;
}

/** A route that proves its callers itself, or needs no proof. */
export function openRoute<
  P extends TObject = TObject<Record<never, never>>,
  Q extends TObject = TObject<Record<never, never>>,
  B extends TSchema = TSchema,
  A extends TSchema = TSchema,
  X = undefined,
>(declared: Declared<P, Q, B, A> & Run<Static<P>, Static<Q>, Static<B>, Static<A>, undefined, X>): Route {
  return { ...declared, allow: 'anyone' } as unknown as Route;
}
