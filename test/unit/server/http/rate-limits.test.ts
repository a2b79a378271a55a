import { describe, expect, it } from 'vitest';
import { defaultRateSizes } from '../../../../src/server/http/rate-limits.ts';
import { signIn } from '../../../support/signed-in.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';
import { unlimitedRates } from '../../../support/unlimited.ts';

/** Nothing comes back while a test runs. */
const few = (burst: number) => ({ perSecond: 0.001, burst });
const projects = '/api/v1/projects';
const statuses = async (count: number, ask: () => Promise<{ status: number }>) => {
  const seen: number[] = [];
  for (let asked = 0; asked < count; asked += 1) seen.push((await ask()).status);
  return seen;
};
const refusedBy = async ({ call }: TestServer) =>
  [
    ...String((await call('GET', '/metrics')).body).matchAll(
      /^gpuaas_http_rate_limited_total\{limit="(\w+)"\} (\d+)$/gm,
    ),
  ].map(([, limit, count]) => [limit, Number(count)]);

describe('who asks too often', () => {
  it('with one token, its sessions included, is told when to ask again; others go on', async () => {
    const server = await testServer({ rates: { ...unlimitedRates, token: few(4) } });
    const { headers } = await signIn(server, 'member');

    expect(await statuses(3, () => server.call('GET', projects, { as: 'member' }))).toEqual([200, 200, 200]);
    expect(await statuses(2, () => server.call('GET', projects, { as: null, headers }))).toEqual([200, 429]);
    const { status, headers: answered, body } = await server.call('GET', projects, { as: 'member' });

    expect([status, body.error.code]).toEqual([429, 'request.rate_limited']);
    expect(body.error.message).toContain('This token has asked too often.');
    expect(body.error.hint).not.toBe('');
    expect(Number(answered.get('retry-after'))).toBeGreaterThan(900);
    expect((await server.call('GET', projects, { as: 'viewer' })).status).toBe(200);
    expect(await refusedBy(server)).toEqual([['token', 2]]);
  });

  it('changes nothing with what is refused', async () => {
    const server = await testServer({ rates: { ...unlimitedRates, token: few(1) } });
    await server.call('GET', projects);

    const { status } = await server.call('POST', projects, { body: { name: 'refused' } });

    expect(status).toBe(429);
    expect(await server.store.read((tx) => tx.projects.count({ name: 'refused' }))).toBe(0);
  });

  it('without a token is refused by address, on each route that needs none and where there is nothing', async () => {
    const server = await testServer({ rates: { ...unlimitedRates, address: few(2) } });
    const asked = async (path: string) => (await server.call('GET', path, { as: null })).status;

    // Each has its own count: nobody keeps a neighbour from another one.
    expect(await statuses(3, () => server.call('GET', '/nothing', { as: null }))).toEqual([404, 404, 429]);
    expect(await asked('/other')).toBe(429);
    for (const path of ['/', '/assets/x.js', '/openapi.json', '/healthz']) {
      expect([await asked(path), await asked(path), await asked(path)].at(-1)).toBe(429);
    }
    expect((await server.call('GET', projects)).status).toBe(200);
    expect(await refusedBy(server)).toEqual([['address', 6]]);
  });

  it('by tokens that are none is refused, wherever they are tried; one that is valid is let in all the same', async () => {
    const server = await testServer({ rates: { ...unlimitedRates, failed: few(3) } });
    const wrong = `gpuaas_${'0'.repeat(16)}_${'A'.repeat(43)}`;
    const tries = [
      () => server.call('GET', projects, { as: null }),
      () => server.call('GET', projects, { as: null, headers: { authorization: `Bearer ${wrong}` } }),
      () => server.call('POST', '/api/v1/session', { as: null, body: { token: wrong } }),
      () => server.call('GET', '/api/v1/events', { as: null, headers: { cookie: `gpuaas_session_01234567=${wrong}` } }),
      () => server.call('POST', '/api/v1/session', { as: null, body: { token: wrong } }),
      () => server.call('GET', '/registry/v1/token?service=gpuaas-registry', { as: null }),
    ];

    const seen: number[] = [];
    for (const attempt of tries) seen.push((await attempt()).status);

    expect(seen).toEqual([401, 401, 401, 429, 429, 429]);
    expect((await server.call('GET', projects)).status).toBe(200);
    expect((await signIn(server, 'viewer')).cookie).not.toBe('');
    expect(await refusedBy(server)).toEqual([['failed', 3]]);
  });

  it('for sessions is refused more of them, and those that are open go on', async () => {
    const server = await testServer({ rates: { ...unlimitedRates, signIn: few(2) } });
    const { headers } = await signIn(server, 'viewer');
    await signIn(server, 'viewer');

    const third = await server.call('POST', '/api/v1/session', { as: null, body: { token: server.tokens['viewer'] } });

    expect([third.status, third.headers.get('set-cookie')]).toEqual([429, null]);
    expect((await server.call('GET', projects, { as: null, headers: { ...headers } })).status).toBe(200);
    expect((await signIn(server, 'member')).cookie).not.toBe('');
    expect(await server.store.read((tx) => tx.sessions.count())).toBe(3);
  });

  it('is not refused in everyday use: a page and its scripts at once, and a fleet behind one address', async () => {
    const server = await testServer({ rates: defaultRateSizes });
    const asked = [
      ...Array.from({ length: 100 }, () => server.call('GET', projects)),
      ...Array.from({ length: 100 }, () => server.call('GET', '/healthz', { as: null })),
    ];

    expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([200]));
  });
});
