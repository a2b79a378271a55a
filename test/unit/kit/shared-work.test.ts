import { describe, expect, it } from 'vitest';
import { SharedWork } from '../../../src/kit/shared-work.ts';

function deferred() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let runs = 0;
  const seen: { members: ReadonlySet<string>; signal: AbortSignal }[] = [];
  const work = (members: ReadonlySet<string>, signal: AbortSignal) => {
    runs += 1;
    seen.push({ members, signal });
    return promise;
  };
  return { work, resolve, reject, seen, runs: () => runs };
}

const never = new AbortController().signal;

describe('shared work', () => {
  it('runs once for all who want it at the same time, and again for who comes later', async () => {
    const shared = new SharedWork<string, string>();
    const { work, resolve, runs } = deferred();

    const both = [shared.run('k', 'a', never, work), shared.run('k', 'b', never, work)];
    resolve('done');

    expect(await Promise.all(both)).toEqual(['done', 'done']);
    expect(runs()).toBe(1);
    expect(await shared.run('k', 'c', never, work)).toBe('done');
    expect(runs()).toBe(2);
  });

  it('keeps different keys apart', async () => {
    const shared = new SharedWork<string, string>();

    const results = ['x', 'y'].map((key) => shared.run(key, key, never, async () => key));

    expect(await Promise.all(results)).toEqual(['x', 'y']);
  });

  it('lets one leave at once while the others stay', async () => {
    const shared = new SharedWork<string, string>();
    const { work, resolve, seen } = deferred();
    const abort = new AbortController();
    const reason = new Error('leaving');

    const leaving = shared.run('k', 'a', abort.signal, work);
    const staying = shared.run('k', 'b', never, work);
    abort.abort(reason);
    await expect(leaving).rejects.toBe(reason);
    const { members, signal } = seen[0] ?? { members: new Set(), signal: never };
    const left = [...members];
    resolve('done');

    expect(left).toEqual(['b']);
    expect(await staying).toBe('done');
    expect(signal.aborted).toBe(true);
  });

  it('is aborted when the last has left, and starts anew for the next', async () => {
    const shared = new SharedWork<string, string>();
    const { work, seen, runs } = deferred();
    const [first, second] = [new AbortController(), new AbortController()];

    const leaving = Promise.allSettled([
      shared.run('k', 'a', first.signal, work),
      shared.run('k', 'b', second.signal, work),
    ]);
    await Promise.resolve();
    first.abort();
    await new Promise(setImmediate);
    const abortedAfterOne = seen[0]?.signal.aborted;
    second.abort();
    await leaving;

    expect(abortedAfterOne).toBe(false);
    expect(seen[0]?.signal.aborted).toBe(true);
    expect(await shared.run('k', 'c', never, async () => 'anew')).toBe('anew');
    expect(runs()).toBe(1);
  });

  it('gives its failure to all, and nobody is left with an unhandled one', async () => {
    const shared = new SharedWork<string, string>();
    const { work, reject } = deferred();

    const both = Promise.allSettled([shared.run('k', 'a', never, work), shared.run('k', 'b', never, work)]);
    reject(new Error('broken'));

    for (const outcome of await both) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'broken' } });
    }
  });

  it('does not begin for a signal that is aborted already', async () => {
    const shared = new SharedWork<string, string>();
    const { work, runs } = deferred();

    await expect(shared.run('k', 'a', AbortSignal.abort(new Error('late')), work)).rejects.toThrow('late');
    expect(runs()).toBe(0);
  });
});
