import { expect, it } from 'vitest';
import { OpenCalls } from '../../../src/gate/open-calls.ts';

const busy = { code: 'engine.unavailable', detail: { state: 'busy' } };

function openMany(calls: OpenCalls, count: number, isStream: boolean): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const open = Array.from({ length: count }, () => calls.run(isStream, () => promise));
  return async () => {
    resolve();
    await Promise.all(open);
  };
}

it('refuses one stream too many, and nothing else then', async () => {
  const calls = new OpenCalls();
  const end = openMany(calls, 128, true);

  await expect(calls.run(true, async () => undefined)).rejects.toMatchObject(busy);
  await expect(calls.run(false, async () => undefined)).resolves.toBeUndefined();
  await end();
  await expect(calls.run(true, async () => undefined)).resolves.toBeUndefined();
});

it('refuses one call too many until one has ended, also by failing', async () => {
  const calls = new OpenCalls();
  const end = openMany(calls, 384, false);

  await expect(calls.run(false, async () => undefined)).rejects.toMatchObject(busy);
  await end();
  await expect(calls.run(false, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
  await openMany(calls, 384, false)();
});
