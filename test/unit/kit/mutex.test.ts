import { describe, expect, it } from 'vitest';
import { KeyedMutex } from '../../../src/kit/mutex.ts';
import { heldBytes } from '../../support/held-memory.ts';

describe('KeyedMutex', () => {
  it('runs the work of one key one after another, in the order it was asked for', async () => {
    const mutex = new KeyedMutex();
    const seen: string[] = [];
    const work = (name: string, turns: number) => async () => {
      seen.push(`${name} begins`);
      for (let turn = 0; turn < turns; turn += 1) {
        await Promise.resolve();
      }
      seen.push(`${name} ends`);
    };

    await Promise.all([mutex.run('k', work('a', 50)), mutex.run('k', work('b', 0)), mutex.run('k', work('c', 5))]);

    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('runs different keys side by side', async () => {
    const mutex = new KeyedMutex();
    const gate = Promise.withResolvers<void>();
    const first = mutex.run('a', () => gate.promise);

    await mutex.run('b', async () => gate.resolve());

    await expect(first).resolves.toBeUndefined();
  });

  it('hands a failure to the one whose work it was, and goes on with the next', async () => {
    const mutex = new KeyedMutex();
    const failed = new Error('this one only');

    const [first, second] = await Promise.allSettled([
      mutex.run('k', () => Promise.reject(failed)),
      mutex.run('k', async () => 'next'),
    ]);

    expect(first).toEqual({ status: 'rejected', reason: failed });
    expect(second).toEqual({ status: 'fulfilled', value: 'next' });
  });

  it('takes work that throws at once for work that failed', async () => {
    const mutex = new KeyedMutex();

    const thrown = mutex.run('k', () => {
      throw new Error('not even a promise');
    });

    await expect(thrown).rejects.toThrow('not even a promise');
    await expect(mutex.run('k', async () => 'next')).resolves.toBe('next');
  });

  it('remembers nothing of the keys it is done with', async () => {
    const mutex = new KeyedMutex();
    await useKeys(mutex, 1000);
    const before = await heldBytes();

    await useKeys(mutex, 150_000);

    expect((await heldBytes()) - before).toBeLessThan(4 * 2 ** 20);
    await expect(mutex.run('key-1', async () => 'still works')).resolves.toBe('still works');
  });
});

async function useKeys(mutex: KeyedMutex, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await mutex.run(`key-${count}-${index}`, async () => undefined);
  }
}
