/**
 * Says how often something may happen under one name: a full bucket holds `burst`, each time takes one out, and `perSecond` come
 * back. Names are forgotten when there are more than `most`, those that were not heard of for longest first, so that a flood of
 * names takes no memory; one that is forgotten begins with a full bucket.
 */
export interface BucketSize {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  left: number;
  /** When that was so, in milliseconds of a clock that goes forward only. */
  at: number;
}

export class TokenBuckets {
  readonly #size: BucketSize;
  readonly #most: number;
  /** The one that was heard of last is the last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(size: BucketSize, most = 10_000) {
    this.#size = size;
    this.#most = most;
  }

  get names(): number {
    return this.#buckets.size;
  }

  /** Takes one, or says in how many seconds there will be one; 0 where it took one. */
  take(name: string, now: number): number {
    const { perSecond, burst } = this.#size;
    const { left, at } = this.#buckets.get(name) ?? { left: burst, at: now };
    const filled = Math.min(burst, left + ((now - at) / 1000) * perSecond);
    const isFree = filled >= 1;
    this.#buckets.delete(name);
    this.#buckets.set(name, { left: isFree ? filled - 1 : filled, at: now });
    const [eldest] = this.#buckets.keys();
    if (this.#buckets.size > this.#most && eldest !== undefined) this.#buckets.delete(eldest);
    return isFree ? 0 : (1 - filled) / perSecond;
  }
}
