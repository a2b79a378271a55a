/** What a failed request answers: one envelope for every failure, and the HTTP status that goes with its code. */
import { Type } from 'typebox';
import {
  type AgentError,
  type FailureCode,
  type FailureKind,
  failures,
  RecommendedAction,
  recommendedAction,
} from '../../contract/failures.ts';

const closed = { additionalProperties: false } as const;

export const ListedError = Type.Object(
  {
    code: Type.String({ description: 'What sort of error, stable enough for a program.' }),
    path: Type.String({ description: 'JSON pointer into the request; empty for all of it.' }),
    message: Type.String({ description: 'What is wrong and what would be right.' }),
    hint: Type.String({ description: 'The next step; empty where the message says it.' }),
  },
  { ...closed, description: 'One of several errors.' },
);

export const ErrorAnswer = Type.Object(
  {
    error: Type.Object(
      {
        code: Type.String({ description: 'Stable dotted code. The list is docs/failures.md.' }),
        message: Type.String({ description: 'What went wrong, for a person.' }),
        hint: Type.String({ description: 'The next step a person can take.' }),
        recommended_action: RecommendedAction,
        correlation_id: Type.String({ description: 'Name of the request, also in events and logs.' }),
        errors: Type.Array(ListedError, {
          description: 'Every error that was found, at once; empty where there is only the one above.',
        }),
      },
      { ...closed, description: 'Why the request failed.' },
    ),
  },
  { ...closed, description: 'The request failed; nothing was changed.' },
);

const byKind: Record<FailureKind, number> = {
  invalid: 400,
  denied: 403,
  conflict: 409,
  exhausted: 409,
  unavailable: 503,
  cancelled: 409,
  timed_out: 504,
  internal: 500,
};

const byCode: { readonly [C in FailureCode]?: number } = {
  'request.unauthenticated': 401,
  'node.untrusted': 401,
  'request.too_large': 413,
  'request.rate_limited': 429,
  'resource.not_found': 404,
  'launch.app_not_found': 404,
  'launch.version_not_found': 404,
  'launch.allocation_not_in_project': 404,
  'launch.artifact_not_found': 404,
  'idempotency.conflict': 409,
  'server.busy': 503,
  'disk.full': 507,
  'artifact.unreachable': 502,
  'job.invalid': 422,
  'revision.outdated': 422,
  'job.unfit': 422,
  'push.refused': 422,
};

export function statusOf(code: FailureCode): number {
  return byCode[code] ?? byKind[failures[code].kind];
}

interface ListedError {
  readonly code?: unknown;
  readonly path?: unknown;
  readonly message?: unknown;
  readonly hint?: unknown;
}

/** The answer to a failure. Its detail stays inside, but for the list of errors: the message says what people need. */
export function envelopeOf(failure: AgentError, correlationId: string) {
  const { code, kind, message, hint, detail } = failure.toFailure();
  const listed = Array.isArray(detail['errors']) ? (detail['errors'] as ListedError[]) : [];
  const errors = listed.map((error) => ({
    ...{ code: String(error.code ?? code), path: String(error.path ?? ''), message: String(error.message ?? message) },
    hint: String(error.hint ?? ''),
  }));
  const recommended_action = recommendedAction({ kind });
  return { error: { code, message, hint, recommended_action, correlation_id: correlationId, errors } };
}
