/** Why an attempt to pull failed, and whether another one makes sense. */
import { AgentError, type FailureCode } from '../../contract/failures.ts';
import { redactText } from '../../kit/log.ts';
import { readPullTrouble } from './engine-words.ts';
import { AnswerError } from './transport.ts';

export interface PullFailure {
  readonly error: unknown;
  /** Undefined for an error that is none of ours. */
  readonly code: FailureCode | undefined;
  readonly retry: boolean;
  readonly retryAfterMs?: number;
}

/** What may pass by itself although it is not the registry's doing. A hung engine is not waited for here. */
const passing = new Set<FailureCode>(['engine.unavailable', 'image.pull_failed']);

export function readPullFailure(error: unknown, image: string): PullFailure {
  if (!(error instanceof AgentError)) {
    return { error, code: undefined, retry: false };
  }
  const { cause } = error;
  if (!(cause instanceof AnswerError) || cause.body.code !== undefined) {
    return { error, code: error.code, retry: passing.has(error.code) };
  }
  const { code, retry, retryAfterMs } = readPullTrouble(cause.message);
  const wait = retryAfterMs === undefined ? {} : { retry_after_seconds: retryAfterMs / 1000 };
  const detail = { image, reason: redactText(cause.message), ...wait };
  return {
    error: new AgentError(code, detail, { cause }),
    ...{ code, retry },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}
