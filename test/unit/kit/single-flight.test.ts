import { describe, expect, it } from 'vitest';
import { SingleFlight } from '../../../src/kit/single-flight.ts';

describe('SingleFlight', () => {
  it('runs work once for all who ask while it runs', async () => {
    const flight = new SingleFlight<number>();
    const { promise, resolve } = Promise.withResolvers<number>();
    let runs = 0;
    const work = () => {
      runs += 1;
      return promise;
    };

    const answers = Promise.all([flight.run('a', work), flight.run('a', work), flight.run('a', work)]);
    resolve(7);

    expect(await answers).toEqual([7, 7, 7]);
    expect(runs).toBe(1);
  });

  it('runs it again for whoever asks after the end', async () => {
    const flight = new SingleFlight<number>();
    let runs = 0;
    const work = async () => {
      runs += 1;
      return runs;
    };

    expect([await flight.run('a', work), await flight.run('a', work)]).toEqual([1, 2]);
  });

  it('does not keep one key waiting for another', async () => {
    const flight = new SingleFlight<string>();
    const never = new Promise<string>(() => undefined);
    void flight.run('slow', () => never);

    await expect(flight.run('fast', async () => 'done')).resolves.toBe('done');
  });

  it('tells a failure to all who shared it, and forgets it', async () => {
    const flight = new SingleFlight<string>();
    const failed = new Error('registry away');
    const fail = () => Promise.reject(failed);

    const answers = await Promise.allSettled([flight.run('a', fail), flight.run('a', fail)]);

    expect(answers.map((answer) => (answer as PromiseRejectedResult).reason)).toEqual([failed, failed]);
    await expect(flight.run('a', async () => 'again')).resolves.toBe('again');
  });
});
