import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import { idleMs, noteUse } from '../../../../src/server/http/callers.ts';
import { sweep } from '../../../../src/server/sweep.ts';
import { type SignedIn, signIn } from '../../../support/signed-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { call, store } = server;
const session = '/api/v1/session';
const projects = '/api/v1/projects';
const minutes = 60_000;

const ask = (headers: Readonly<Record<string, string>>, method = 'GET', path = projects, body?: object) =>
  call(method, path, { as: null, headers: { ...headers }, ...(body ? { body } : {}) });
const statusWith = async (headers: Readonly<Record<string, string>>, method = 'GET', path = projects, body?: object) =>
  (await ask(headers, method, path, body)).status;

/** A token of its own, so that a test can end it. */
async function aToken(more: object = {}) {
  const { body } = await call('POST', '/api/v1/tokens', {
    body: { name: 'for a browser', role: 'viewer', project_id: 'p1', ...more },
  });
  return body as { id: string; token: string };
}

/** What an event stream says until it ends; in a list, since a promise alone would be waited for. */
async function openStream(headers: Readonly<Record<string, string>>): Promise<[Promise<string>]> {
  const response = await fetch(`${server.url}/api/v1/events`, { headers });
  expect(response.status).toBe(200);
  return [response.text()];
}

describe('signing in', () => {
  it('takes a token and gives one half as a cookie that no script can read, and the other in the answer', async () => {
    const { setCookie, body } = await signIn(server, 'member');

    expect(setCookie).toMatch(
      /^gpuaas_session_[0-9a-f]{8}=[0-9a-f]{16}_[A-Za-z0-9_-]{43}; Path=\/api; HttpOnly; SameSite=Strict$/,
    );
    expect(body).toEqual({
      ...{ token_id: expect.any(String), token_name: 'member', role: 'member', expires_at: null },
      project: { id: 'p1', name: 'one', display_name: expect.any(String) },
      environment: { name: 'test', launch_enabled: true },
      csrf_token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    });
  });

  it('at another control plane of the same host name, and of the same releases, leaves the session of this one alone', async () => {
    const other = await testServer({}, { releaseRoot: server.context.keys.releaseRoot });
    const [here, there] = [await signIn(server, 'member'), await signIn(other, 'member')];
    const nameOf = ({ cookie }: SignedIn) => cookie.split('=')[0];
    const cookie = `${there.cookie}; ${here.cookie}`;

    expect(nameOf(here)).not.toBe(nameOf(there));
    expect(nameOf(await signIn(server, 'viewer'))).toBe(nameOf(here));
    expect(await statusWith({ cookie, 'x-gpuaas-csrf': here.pageHalf })).toBe(200);
    const gone = await other.call('DELETE', session, {
      as: null,
      headers: { cookie, 'x-gpuaas-csrf': there.pageHalf },
    });
    expect(gone.headers.get('set-cookie')).toContain(`${nameOf(there)}=;`);
    expect(await statusWith({ cookie, 'x-gpuaas-csrf': here.pageHalf })).toBe(200);
  });

  it('opens what the token opens, and no more', async () => {
    const member = await signIn(server, 'member');
    const viewer = await signIn(server, 'viewer');

    expect(await statusWith(member.headers)).toBe(200);
    expect(await statusWith(member.headers, 'POST', '/api/v1/tokens', { name: 'x', role: 'viewer' })).toBe(201);
    expect(await statusWith(member.headers, 'GET', '/api/v1/nodes?project_id=p2')).not.toBe(200);
    expect(await statusWith(viewer.headers, 'POST', '/api/v1/tokens', { name: 'x', role: 'viewer' })).toBe(403);
  });

  it('is said by GET, by session and by token', async () => {
    const { headers, body } = await signIn(server, 'viewer');
    const { csrf_token: _, ...shown } = body;

    expect((await ask(headers, 'GET', session)).body).toEqual(shown);
    expect((await call('GET', session, { as: 'viewer' })).body).toEqual(shown);
    expect((await call('GET', session)).body).toMatchObject({ role: 'admin', project: null });
  });

  it.each([
    ['no token of ours', 'hello'],
    ['a token that nobody made', `gpuaas_${'0'.repeat(16)}_${'A'.repeat(43)}`],
    ['a token with a line break', `gpuaas_${'0'.repeat(16)}_${'A'.repeat(43)}\r\nx: y`],
  ])('is refused with %s', async (_, token) => {
    const { status, headers } = await ask({}, 'POST', session, { token });

    expect([status, headers.get('set-cookie')]).toEqual([401, null]);
  });

  it('does not repeat itself under an Idempotency-Key: the key alone would be a way in', async () => {
    const key = { 'idempotency-key': 'sign-in' };
    const token = server.tokens['viewer'];

    const [one, other] = [await ask(key, 'POST', session, { token }), await ask(key, 'POST', session, { token })];

    expect(other.headers.get('idempotency-replayed')).toBeNull();
    expect(other.body.csrf_token).not.toBe(one.body.csrf_token);
  });

  it('sends the cookie over TLS only where people come by https, also behind a proxy', async () => {
    const behindProxy = await testServer({ publicUrl: 'https://cp.example.com' });

    expect((await signIn(behindProxy, 'viewer')).setCookie).toMatch(/; SameSite=Strict; Secure$/);
  });

  it('is bounded for each token: the session that was not used for longest ends', async () => {
    const { token } = await aToken();
    const first = await signIn(server, token);
    server.advance(1);
    const second = await signIn(server, token);
    server.advance(1);

    for (let opened = 0; opened < 99; opened += 1) await signIn(server, token);

    expect([await statusWith(first.headers), await statusWith(second.headers)]).toEqual([401, 200]);
  });
});

describe('half of a session opens nothing', () => {
  const halves: [string, (one: SignedIn, other: SignedIn) => Record<string, string>][] = [
    ['the cookie alone, as any port of this host is sent it', ({ cookie }) => ({ cookie })],
    ['the half of the page alone', ({ pageHalf }) => ({ 'x-gpuaas-csrf': pageHalf })],
    ['halves of two sessions', ({ cookie }, { pageHalf }) => ({ cookie, 'x-gpuaas-csrf': pageHalf })],
    ['the cookie as its own other half', ({ cookie }) => ({ cookie, 'x-gpuaas-csrf': cookie.slice(-43) })],
    ['the half of the page as a bearer', ({ cookie, pageHalf }) => ({ cookie, authorization: `Bearer ${pageHalf}` })],
    ['both, beside a bearer that is none', ({ headers }) => ({ ...headers, authorization: '' })],
    ['the other half twice', ({ cookie, pageHalf }) => ({ cookie, 'x-gpuaas-csrf': `${pageHalf}, ${pageHalf}` })],
  ];
  it.each(halves)('%s', async (_, given) => {
    const [one, other] = [await signIn(server, 'admin'), await signIn(server, 'admin')];
    const headers = given(one, other);

    expect(await statusWith(headers)).toBe(401);
    expect(await statusWith(headers, 'POST', projects, { name: `x-${randomUUID()}` })).toBe(401);
    expect(await statusWith(headers, 'GET', '/api/v1/events')).toBe(401);
    expect(await statusWith(headers, 'GET', session)).toBe(401);
    expect(await statusWith(headers, 'DELETE', session)).toBe(401);
    expect(await statusWith(one.headers)).toBe(200);
  });

  const hostile: [string, (cookie: string) => string, number][] = [
    [
      'a neighbour has set one of the same name before it',
      (own) => `gpuaas_session_01234567=${own.length}; ${own}`,
      200,
    ],
    [
      'a neighbour has set a well-formed one before it',
      (own) => `gpuaas_session_01234567=${'0'.repeat(16)}_${'A'.repeat(43)}; ${own}`,
      200,
    ],
    [
      'a neighbour has set one for each path that leads here, in front of it',
      (own) => `${`gpuaas_session_01234567=${'0'.repeat(16)}_${'A'.repeat(43)}; `.repeat(20)}${own}`,
      200,
    ],
    ['others come along', (own) => `a=b; ${own}; c=d=e;;=; gpuaas_session_=x`, 200],
    ['it is quoted', (own) => own.replace('=', '="').concat('"'), 401],
    ['it is of another name', (own) => own.replace('gpuaas_session', 'Gpuaas_Session'), 401],
    ['it has more behind it', (own) => `${own}A`, 401],
    [
      'it drowns in others',
      (own) => `${`gpuaas_session_01234567=${'0'.repeat(16)}_${'A'.repeat(43)}; `.repeat(100)}${own}`,
      401,
    ],
    ['it names a prototype', () => 'gpuaas_session_01234567=__proto__', 401],
    ['it is only separators', () => ';'.repeat(8000), 401],
  ];
  it.each(hostile)('cookies are read as they are meant where %s', async (_, cookies, status) => {
    const { cookie, pageHalf } = await signIn(server, 'viewer');

    expect(await statusWith({ cookie: cookies(cookie), 'x-gpuaas-csrf': pageHalf })).toBe(status);
  });

  it.each([
    ['a page of another port', { origin: 'http://127.0.0.1:1' }],
    ['a page of another site', { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site' }],
    ['a page whose name was rebound', { host: 'evil.example.com' }],
  ])('is refused to %s, whatever it has got hold of', async (_, from) => {
    const { headers } = await signIn(server, 'viewer');
    for (const method of ['GET', 'POST', 'DELETE']) {
      const all = { ...headers, 'content-type': 'application/json', ...from };
      const asking = request(`${server.url}${session}`, { method, headers: all });
      asking.end(method === 'POST' ? JSON.stringify({ token: server.tokens['viewer'] }) : undefined);
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      response.resume();

      expect([response.statusCode, response.headers['set-cookie']]).toEqual([403, undefined]);
    }
  });
});

describe('a session ends', () => {
  it('when it is signed out, with its streams, and no other of the same token', async () => {
    const [one, other] = [await signIn(server, 'viewer'), await signIn(server, 'viewer')];
    const [ended] = await openStream(one.headers);

    const { status, headers } = await ask(one.headers, 'DELETE', session);

    expect(await ended).toContain(': connected');
    expect([status, headers.get('set-cookie')]).toEqual([
      200,
      expect.stringMatching(/^gpuaas_session_[0-9a-f]{8}=; Path=.api/),
    ]);
    expect(headers.get('set-cookie')).toContain('Max-Age=0');
    expect([await statusWith(one.headers), await statusWith(other.headers)]).toEqual([401, 200]);
  });

  it('with its token, when that is taken back', async () => {
    const { id, token } = await aToken();
    const { headers } = await signIn(server, token);
    const [ended] = await openStream(headers);

    await call('DELETE', `/api/v1/tokens/${id}`);

    expect(await ended).toContain(': connected');
    expect(await statusWith(headers)).toBe(401);
  });

  it('with its token, when that expires', async () => {
    const { token } = await aToken({ expires_in_seconds: 60 });
    const { headers } = await signIn(server, token);
    const [ended] = await openStream(headers);
    expect(await statusWith(headers)).toBe(200);

    server.advance(60_000);
    await signIn(server, 'viewer');

    expect(await ended).toContain(': connected');
    expect(await statusWith(headers)).toBe(401);
  });

  it('after twelve hours without use, with its streams; use puts that off', async () => {
    const used = await signIn(server, 'viewer');
    const unused = await signIn(server, 'viewer');
    const [ended] = await openStream(unused.headers);

    server.advance(idleMs - 1);
    expect(await statusWith(used.headers)).toBe(200);
    server.advance(1);
    await signIn(server, 'viewer');

    expect(await ended).toContain(': connected');
    expect([await statusWith(used.headers), await statusWith(unused.headers)]).toEqual([200, 401]);
    expect((await call('DELETE', session, { as: 'viewer' })).body.error.code).toBe('resource.not_found');
  });

  it('and is forgotten then, one in use is not', async () => {
    const [old, young] = [await signIn(server, 'viewer'), await signIn(server, 'viewer')];
    server.advance(10 * minutes);
    await statusWith(young.headers);

    await sweep(store, Date.parse('2026-11-25T10:00:00.000Z'));
    expect(await store.read((tx) => tx.sessions.count())).toBeGreaterThan(1);
    const at = await store.read(async (tx) => (await tx.sessions.get(idOf(young)))?.used_at);
    await sweep(store, Date.parse(at ?? '') + idleMs - 1);

    const left = (await store.read((tx) => tx.sessions.list())).map(({ id }) => id);
    expect(left).toContain(idOf(young));
    expect(left).not.toContain(idOf(old));
  });
});

const idOf = ({ cookie }: SignedIn) => cookie.slice('gpuaas_session_01234567='.length).slice(0, 16);

it('notes that it is used every few minutes, not with every request', async () => {
  const own = openSqliteStore(`${temporaryFolder('session')}/control-plane.db`);
  const hash = 'h'.repeat(43);
  const at = (ms: number) => new Date(Date.parse('2026-11-25T10:00:00.000Z') + ms).toISOString();
  const one = { id: 's1', token_id: 't1', cookie_hash: hash, page_hash: hash, created_at: at(0), used_at: at(0) };
  await own.write((tx) => tx.sessions.insert(one));
  const usedAt = async (ms: number) => {
    await noteUse(own, one, Date.parse(at(ms)));
    return (await own.read((tx) => tx.sessions.get('s1')))?.used_at;
  };

  expect([await usedAt(5 * minutes - 1), await usedAt(5 * minutes)]).toEqual([at(0), at(5 * minutes)]);
  await own.write((tx) => tx.sessions.delete('s1'));
  expect(await usedAt(6 * minutes)).toBeUndefined();
  await own.close();
});

it('repeats a change of its own under an Idempotency-Key, secrets included, and no other caller does (X-9)', async () => {
  const [one, other] = [await signIn(server, 'member'), await signIn(server, 'member')];
  const key = { 'idempotency-key': 'from-a-page' };
  const make = (headers: Readonly<Record<string, string>>) =>
    ask({ ...headers, ...key }, 'POST', '/api/v1/tokens', { name: 'repeated', role: 'viewer' });

  const first = await make(one.headers);
  const again = await make(one.headers);
  const others = [await make(other.headers), await make({ authorization: `Bearer ${server.tokens['member']}` })];

  expect(first.body.token).toMatch(/^gpuaas_/);
  expect(again.body).toEqual(first.body);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(new Set([first, ...others].map(({ body }) => body.id)).size).toBe(3);
});

it('keeps neither half and no token in the clear', async () => {
  const { token } = await aToken();
  const { cookie, pageHalf, headers } = await signIn(server, token);
  await statusWith({ ...headers, 'idempotency-key': 'canary' }, 'POST', '/api/v1/tokens', {
    name: 'x',
    role: 'viewer',
  });
  const kept = JSON.stringify(
    await store.read(async (tx) => ({
      ...{ sessions: await tx.sessions.list(), tokens: await tx.api_tokens.list() },
      ...{ answers: await tx.idempotent_answers.list(), events: await tx.events.list({ after: 0, limit: 1000 }) },
    })),
  );

  expect(kept).toContain(cookie.slice('gpuaas_session_01234567='.length).slice(0, 16));
  for (const secret of [cookie.slice(-43), pageHalf, token.slice(-43)]) expect(kept).not.toContain(secret);
});
