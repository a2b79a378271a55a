/**
 * One line of the log for each request for a change, so that the name of a request which somebody reports leads to what it was
 * and what became of it. Never a body, an address with its values or a secret.
 *
 * Of whom nobody knows, and of what was refused for coming too often, it is written at `debug` only: it could fill a disk.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FailureCode } from '../../contract/failures.ts';
import type { Log } from '../../kit/log.ts';

interface Facts {
  /** Id of the token: `token:<id>`, as events have it, looks like a credential to the log. */
  readonly actor?: string;
  /** Why it was refused. */
  readonly code?: FailureCode;
}

const reads = new Set(['GET', 'HEAD', 'OPTIONS']);

export class RequestLog {
  readonly #log: Log;
  readonly #facts = new WeakMap<FastifyRequest, Facts>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Keeps what is known of a request until it is answered. */
  note(request: FastifyRequest, facts: Facts): void {
    this.#facts.set(request, { ...this.#facts.get(request), ...facts });
  }

  /** Once it is answered. */
  write(request: FastifyRequest, { statusCode: status, elapsedTime }: FastifyReply): void {
    const { method, id: trace_id } = request;
    if (reads.has(method)) return;
    const { actor = null, code = null } = this.#facts.get(request) ?? {};
    const duration_ms = Math.round(elapsedTime);
    const level = actor !== null || status < 400 ? 'info' : 'debug';
    this.#log[level](
      { method, route: templateOf(request), status, code, trace_id, actor, duration_ms },
      'request for a change',
    );
  }
}

/** Path of its route as `/openapi.json` and the audit log have it; `none` where there is no such route. */
export function templateOf({ routeOptions }: FastifyRequest): string {
  return routeOptions.url?.replaceAll(/:(\w+)/g, '{$1}') ?? 'none';
}
