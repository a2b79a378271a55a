import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../../src/console/lib/api.ts';
import { forgetKey, keyOf, sendOnce } from '../../../../src/console/pages/launch/send-launch.ts';

const failure = (status: number) =>
  new ApiError(status, { code: `http.${status}`, message: 'No.', hint: '', correlation_id: '', errors: [] });

/** Answers in turn; says with which keys it was asked, and how long was waited between. */
function server(...answers: readonly (number | string)[]) {
  const keys: string[] = [];
  const pauses: number[] = [];
  const lost: number[] = [];
  const given = new AbortController();
  return {
    ...{ keys, pauses, lost, given },
    sending: {
      send: async (key: string) => {
        const answer = answers[keys.length] ?? 'none left';
        keys.push(key);
        if (typeof answer === 'number') throw failure(answer);
        return answer;
      },
      pause: async (milliseconds: number) => {
        pauses.push(milliseconds);
      },
      lost: ({ status }: ApiError) => lost.push(status),
      signal: given.signal,
    },
  };
}

describe('sendOnce', () => {
  it('asks again with the same key until the answer is there, ever more slowly', async () => {
    const { sending, keys, pauses, lost } = server(0, 502, 503, 504, 429, 0, 'launched');

    expect(await sendOnce('k', sending)).toBe('launched');
    expect(keys).toEqual(Array(7).fill('k'));
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
    expect(lost).toEqual([0, 502, 503, 504, 429, 0]);
  });

  it.each([400, 401, 403, 409, 422, 500])('takes a refusal for an answer: %d', async (status) => {
    const { sending, keys } = server(status);

    await expect(sendOnce('k', sending)).rejects.toMatchObject({ status });
    expect(keys).toHaveLength(1);
  });

  it('asks no more once it is given up', async () => {
    const { sending, keys, given } = server(0, 'launched');
    given.abort();

    await expect(sendOnce('k', sending)).rejects.toMatchObject({ status: 0 });
    expect(keys).toHaveLength(1);
  });
});

describe('the key of a launch', () => {
  function storage() {
    const kept = new Map<string, string>();
    return {
      kept,
      getItem: (name: string) => kept.get(name) ?? null,
      setItem: (name: string, value: string) => void kept.set(name, value),
      removeItem: (name: string) => void kept.delete(name),
    };
  }

  it('is the same for the same launch, also when the page was loaded again, and keeps no secret', () => {
    const store = storage();
    const body = { app_slug: 'a', config: { host_port: 1 }, secrets: { hub_token: 'topsecret' } };

    const key = keyOf(body, store);

    expect(key).toMatch(/^[0-9a-f]{32}$/);
    expect(keyOf({ ...body, secrets: { hub_token: 'typed anew' } }, store)).toBe(key);
    expect([...store.kept.values()].join()).not.toContain('topsecret');
  });

  it('is another one for another launch, and for the same one once the first is decided', () => {
    const store = storage();
    const key = keyOf({ config: { host_port: 1 } }, store);

    const other = keyOf({ config: { host_port: 2 } }, store);
    forgetKey(store);
    const again = keyOf({ config: { host_port: 2 } }, store);

    expect(new Set([key, other, again]).size).toBe(3);
  });

  it('is made anew where what was kept cannot be read', () => {
    const store = storage();
    store.setItem('gpuaas.launch-key', '{');

    expect(keyOf({}, store)).toMatch(/^[0-9a-f]{32}$/);
  });
});
