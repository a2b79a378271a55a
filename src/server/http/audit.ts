/**
 * Writes down who asks for changes: those that are made in the transaction that makes them, so that there is no change without
 * its entry, and those that are refused once the caller is known. Who is not known is counted by the metrics alone.
 *
 * One token may have so many refusals written down; more are counted. So nobody fills the store by asking for what is refused.
 */
import type { Counter } from 'prom-client';
import { AgentError } from '../../contract/failures.ts';
import type { Log } from '../../kit/log.ts';
import { TokenBuckets } from '../../kit/token-buckets.ts';
import type { AuditEntry } from '../db/entities/audit-entry.ts';
import { newId } from '../db/new-id.ts';
import type { Store, Tx } from '../db/store.ts';
import { statusOf } from './errors.ts';
import type { Route, Who } from './route.ts';

const refusals = { perSecond: 1, burst: 300 } as const;

/** What an entry says of its request. */
export interface AuditedRequest {
  readonly route: Pick<Route, 'method' | 'path'>;
  /** Of the path, as they came. */
  readonly params: unknown;
  readonly correlationId: string;
  readonly remote: string;
  readonly now: number;
}

interface AuditParts {
  readonly store: Store;
  readonly log: Log;
  /** Refusals that were not written down. */
  readonly unwritten: Counter;
}

export class AuditTrail {
  readonly #parts: AuditParts;
  readonly #refusals = new TokenBuckets(refusals);

  constructor(parts: AuditParts) {
    this.#parts = parts;
  }

  async accepted(tx: Tx, who: Who, request: AuditedRequest, { status, body }: { status: number; body: unknown }) {
    const made = (body as { readonly id?: unknown } | null)?.id;
    const subject = idsOf(request) ?? (typeof made === 'string' ? made : null);
    await tx.audit_entries.insert({ ...entryOf(who, request), subject, outcome: 'accepted', status, code: null });
  }

  /** Never fails: an answer is not kept back because nobody could write it down. */
  async refused(who: Who, request: AuditedRequest, error: unknown): Promise<void> {
    const { store, log, unwritten } = this.#parts;
    if (this.#refusals.take(who.tokenId, performance.now()) > 0) {
      unwritten.inc();
      return;
    }
    const code = error instanceof AgentError ? error.code : 'internal';
    const outcome = { subject: idsOf(request), outcome: 'refused', status: statusOf(code), code } as const;
    try {
      await store.write((tx) => tx.audit_entries.insert({ ...entryOf(who, request), ...outcome }));
    } catch (err) {
      unwritten.inc();
      log.error({ err, actor: who.tokenId, trace_id: request.correlationId }, 'a refusal could not be written down');
    }
  }
}

function entryOf({ actor, role, projectId }: Who, { route, correlationId, remote, now }: AuditedRequest) {
  return {
    ...{ id: newId(now), time: new Date(now).toISOString(), actor, role, project_id: projectId },
    ...{ method: route.method, route: route.path, correlation_id: correlationId, remote },
  } satisfies Partial<AuditEntry>;
}

function idsOf({ params }: AuditedRequest): string | null {
  const ids = Object.values((params ?? {}) as Record<string, string>);
  return ids.length === 0 ? null : ids.join('/').slice(0, 512);
}
