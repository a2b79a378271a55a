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

  it('lets work whose signal is aborted run beside whoever is at work, and makes the next wait for both', async () => {
    const mutex = new KeyedMutex();
    const gate = Promise.withResolvers<string>();
    const given = new AbortController();
    const seen: string[] = [];
    const note = (what: string) => void seen.push(what);
    const first = mutex.run('k', () => gate.promise).then(note);
    const second = mutex.run('k', async () => 'second', given.signal).then(note);
    const third = mutex.run('k', async () => 'third', given.signal).then(note);
    const fourth = mutex.run('k', async () => 'fourth').then(note);

    given.abort();
    await Promise.all([second, third]);
    seen.push('the first ends');
    gate.resolve('first');
    await Promise.all([first, fourth]);

    expect(seen).toEqual(['second', 'third', 'the first ends', 'first', 'fourth']);
  });

  it('waits for its turn as ever where the signal is not aborted', async () => {
    const mutex = new KeyedMutex();
    const seen: string[] = [];
    const { signal } = new AbortController();

    await Promise.all(['a', 'b'].map((name) => mutex.run('k', async () => void seen.push(name), signal)));

    expect(seen).toEqual(['a', 'b']);
  });

  it('remembers nothing of the keys it is done with', async () => {
    const mutex = new KeyedMutex();
    await useKeys(mutex, 1000);
    const before = await heldBytes();

    await useKeys(mutex, 25_000);

    expect((await heldBytes()) - before).toBeLessThan(2 ** 20);
    await expect(mutex.run('key-1', async () => 'still works')).resolves.toBe('still works');
  });
});

async function useKeys(mutex: KeyedMutex, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await mutex.run(`key-${count}-${index}`, async () => undefined);
  }
}
