import { describe, expect, it } from 'vitest';
import { Slots } from '../../../src/kit/slots.ts';

const never = new AbortController().signal;

/** Work that ends when the test says so. */
function work(log: string[], name: string) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = () => {
    log.push(name);
    return promise;
  };
  return { run, end: resolve };
}

describe('slots', () => {
  it('let no more than that many work at once, and the others in the order they came', async () => {
    const slots = new Slots(2);
    const log: string[] = [];
    const [a, b, c, d] = [work(log, 'a'), work(log, 'b'), work(log, 'c'), work(log, 'd')] as const;
    const all = [a, b, c, d].map(({ run }) => slots.run(never, run));

    await Promise.resolve();
    expect(log).toEqual(['a', 'b']);
    b.end();
    await all[1];
    await expect.poll(() => log).toEqual(['a', 'b', 'c']);
    a.end();
    await expect.poll(() => log).toEqual(['a', 'b', 'c', 'd']);
    c.end();
    d.end();
    await Promise.all(all);
  });

  it('are given back by work that fails', async () => {
    const slots = new Slots(1);

    await expect(slots.run(never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');

    expect(await slots.run(never, async () => 'next')).toBe('next');
  });

  it('keep those who wait where one is given up that has just got its place', async () => {
    const slots = new Slots(1);
    const log: string[] = [];
    const first = work(log, 'first');
    const running = slots.run(never, first.run);
    const abort = new AbortController();
    const second = slots.run(abort.signal, async () => log.push('second'));
    const third = slots.run(never, async () => log.push('third'));

    first.end();
    void running.then(() => abort.abort());
    await Promise.resolve().then(() => abort.abort());
    await Promise.all([running, second, third]);

    expect(log).toEqual(['first', 'second', 'third']);
  });

  it('let work that is given up say so at once, without a place', async () => {
    const slots = new Slots(1);
    const log: string[] = [];
    const first = work(log, 'first');
    const running = slots.run(never, first.run);
    const abort = new AbortController();
    const waiting = slots.run(abort.signal, async () => log.push('given up'));

    abort.abort();
    await waiting;
    const third = slots.run(never, async () => log.push('third'));
    first.end();
    await Promise.all([running, third]);

    expect(log).toEqual(['first', 'given up', 'third']);
    expect(await slots.run(AbortSignal.abort(), async () => 'at once')).toBe('at once');
  });
});
