/** Repeats a check until it holds. A machine that has much else to do gets the time it needs. */
import { vi } from 'vitest';

export async function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return await vi.waitFor(check, { timeout: 60_000, interval: 10 });
}
