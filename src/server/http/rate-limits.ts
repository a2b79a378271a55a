/**
 * How often somebody may ask: `request.rate_limited` with `retry-after` beyond that.
 *
 *   who is known        by token, its sessions included        generous: a page and scripts at once, for hours
 *   who need not be     by address and route, without a token  generous: a fleet behind one address enrols at once
 *   who failed to be    by address, what was answered 401      strict: tokens are not found by trying
 *   who signs in        by token                               strict: each session is a write
 *
 * Each route that needs no token has its own count, so that nobody keeps his neighbours behind one proxy from signing in, nor a
 * check of health from its answer, by asking for something else.
 *
 * A token that is valid is let in from wherever it comes, however much was tried from there: behind a proxy all have one address,
 * and nobody shall be able to lock out the rest. Nothing is lost by that, since a token of 256 bits is not found by trying.
 */
import type { Counter } from 'prom-client';
import { AgentError } from '../../contract/failures.ts';
import { type BucketSize, TokenBuckets } from '../../kit/token-buckets.ts';

export interface RateSizes {
  readonly token: BucketSize;
  readonly address: BucketSize;
  readonly failed: BucketSize;
  readonly signIn: BucketSize;
}

export type Limit = keyof RateSizes;

export const defaultRateSizes: RateSizes = {
  token: { perSecond: 100, burst: 1000 },
  address: { perSecond: 100, burst: 1000 },
  failed: { perSecond: 0.2, burst: 30 },
  signIn: { perSecond: 0.5, burst: 60 },
};

const reasons: Readonly<Record<Limit, string>> = {
  token: 'This token has asked too often.',
  address: 'Too much was asked from this address without a token.',
  failed: 'Too many tokens from this address were not valid.',
  signIn: 'Too many sessions were opened with this token.',
};

interface RateParts {
  readonly sizes?: RateSizes | undefined;
  readonly refused: Counter<'limit'>;
  /** Goes forward only, in milliseconds. */
  readonly now: () => number;
}

export class RateLimits {
  readonly #buckets: Readonly<Record<Limit, TokenBuckets>>;
  readonly #parts: RateParts;

  constructor(parts: RateParts) {
    const { token, address, failed, signIn } = parts.sizes ?? defaultRateSizes;
    this.#parts = parts;
    this.#buckets = {
      ...{ token: new TokenBuckets(token), address: new TokenBuckets(address) },
      ...{ failed: new TokenBuckets(failed), signIn: new TokenBuckets(signIn) },
    };
  }

  /** Counts one more, or throws `request.rate_limited`. */
  count(limit: Limit, name: string): void {
    const { refused, now } = this.#parts;
    const seconds = this.#buckets[limit].take(name, now());
    if (seconds === 0) return;
    refused.inc({ limit });
    throw new AgentError('request.rate_limited', {
      ...{ reason: reasons[limit], limit, retry_after_seconds: Math.ceil(seconds) },
    });
  }
}
