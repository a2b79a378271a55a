/** Tests ask more often than anybody would. */
import { createMetrics } from '../../src/server/http/metrics.ts';
import { RateLimits, type RateSizes } from '../../src/server/http/rate-limits.ts';

const endless = { perSecond: 1e6, burst: 1e6 };

export const unlimitedRates: RateSizes = { token: endless, address: endless, failed: endless, signIn: endless };

export function unlimited(): RateLimits {
  return new RateLimits({ sizes: unlimitedRates, refused: createMetrics().rateLimited, now: () => 0 });
}
