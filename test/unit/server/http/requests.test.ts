import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { call, store } = server;
const projects = '/api/v1/projects';

/** What is answered to these bytes, until the connection ends; `then` follows the first words of an answer. */
async function raw(text: string, then?: string): Promise<{ readonly head: string; readonly body: string }> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(text);
  let answer = '';
  let next = then;
  for await (const piece of socket) {
    answer += piece;
    if (next !== undefined && answer.includes('\n\n')) {
      socket.write(next);
      next = undefined;
    }
  }
  const [head = '', ...body] = answer.split('\r\n\r\n');
  return { head, body: body.join('\r\n\r\n') };
}

describe('every answer', () => {
  it('names its request, by the name that the client gave or by one of its own (X-9)', async () => {
    const given = await call('GET', '/api/v1/projects/p9', { headers: { 'x-correlation-id': 'mine-1' } });
    const made = await call('GET', '/api/v1/projects/p9', { headers: { 'x-correlation-id': 'not a name' } });

    expect(given.headers.get('x-correlation-id')).toBe('mine-1');
    expect(given.body.error.correlation_id).toBe('mine-1');
    expect(made.body.error.correlation_id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is never kept by a cache', async () => {
    expect((await call('GET', projects)).headers.get('cache-control')).toBe('no-store');
  });

  it('is the same envelope where there is no such address', async () => {
    const { status, body } = await call('PUT', '/nowhere');

    expect(status).toBe(404);
    expect(body).toEqual({
      error: {
        ...{ code: 'resource.not_found', message: expect.any(String), hint: expect.any(String), errors: [] },
        ...{ correlation_id: expect.any(String), recommended_action: 'correct' },
      },
    });
  });

  it('is the same envelope for an address that cannot be read', async () => {
    const { status, headers, body } = await call('GET', '/api/v1/projects/%zz');

    expect([status, body.error.code, headers.get('cache-control')]).toEqual([400, 'request.invalid', 'no-store']);
  });

  it.each([
    ['what is no HTTP', 'HELLO\r\n\r\n', 400, 'request.invalid'],
    ['headers that are too large', `GET / HTTP/1.1\r\nx: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'request.too_large'],
    ['a request without a Host header', 'GET / HTTP/1.1\r\n\r\n', 403, 'request.foreign_origin'],
    [
      'a body that breaks off its framing',
      `POST ${projects} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
      ...([400, 'request.invalid'] as const),
    ],
  ])('is the same envelope for %s', async (_, text, status, code) => {
    const { head, body } = await raw(text);

    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head.toLowerCase()).toContain('\r\ncache-control: no-store\r\n');
    expect(JSON.parse(body)).toMatchObject({
      error: { code, correlation_id: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    });
  });

  it.each([
    ['an address that is typed', 'sec-fetch-site: none\r\ncookie: ', true],
    ['our own page', 'sec-fetch-site: same-origin\r\ncookie: ', true],
    ['a page of another site', 'sec-fetch-site: cross-site\r\ncookie: ', false],
    ['a page of another port', 'sec-fetch-site: same-site\r\ncookie: ', false],
    ['our own page, where it is no cookie', 'sec-fetch-site: same-origin\r\nx: ', false],
    ['no browser', 'cookie: ', false],
  ])('clears cookies that are too many where %s asks, and else not', async (_, headers, isCleared) => {
    const { head } = await raw(`GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}${'x'.repeat(17_000)}\r\n\r\n`);

    expect(head).toMatch(/^HTTP\/1\.1 431 /);
    expect(head.includes('\r\nclear-site-data: "cookies"\r\n')).toBe(isCleared);
  });

  it('that has begun ends where its connection stops being HTTP, without another one in it', async () => {
    const { head, body } = await raw(
      `GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${server.tokens['member']}\r\n\r\n`,
      'HELLO\r\n\r\n',
    );

    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(body).toContain(': connected');
    expect(body).not.toContain('HTTP/1.1');
  });

  it('asks for a token where none is given', async () => {
    const { status, headers, body } = await call('GET', projects, { as: null });

    expect([status, headers.get('www-authenticate'), body.error.code]).toEqual([
      401,
      'Bearer',
      'request.unauthenticated',
    ]);
  });
});

describe('a body that nobody should have sent (FAULTS 35)', () => {
  const deep = `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`;
  const wide = `{"name":"x","list":[${Array.from({ length: 9_000 }, () => 1).join(',')}]}`;
  const keys = JSON.stringify(Object.fromEntries(Array.from({ length: 6_000 }, (_, index) => [`k${index}`, 1])));

  it.each([
    ['text', 'nonsense', 'json'],
    ['half of one', '{"name":', 'json'],
    ['deep', deep, 'depth'],
    ['wide', wide, 'too_large'],
    ['full of keys', keys, 'unknown_key'],
    ['with a prototype key', '{"name":"x","__proto__":{"admin":true}}', 'unknown_key'],
    ['with a key twice', '{"name":"x","name":"y"}', 'duplicate_key'],
    ['of another type', '[1,2]', 'type'],
    ['with an unknown key', '{"name":"x","backend_yaml":"a: b"}', 'unknown_key'],
    ['empty', undefined, 'type'],
  ])('is refused with its reason: %s', async (_what, body, code) => {
    const { status, body: answer } = await call('POST', projects, body === undefined ? {} : { body });

    expect(status).toBe(400);
    expect(answer.error.code).toBe('request.invalid');
    expect(answer.error.errors.map((error: { code: string }) => error.code)).toContain(code);
    expect(answer.error.errors.length).toBeLessThanOrEqual(50);
  });

  it('is refused by its size before it is read', async () => {
    const { status, body } = await call('POST', projects, { body: `{"name":"${'x'.repeat(70_000)}"}` });

    expect([status, body.error.code]).toEqual([413, 'request.too_large']);
    expect(body.error.message).toContain('65536 bytes');
  });

  it('is refused if it is no JSON by its type', async () => {
    const headers = { 'content-type': 'text/plain' };

    const { status, body } = await call('POST', projects, { body: '{"name":"plain"}', headers });

    expect([status, body.error.errors[0].message]).toEqual([400, 'must be application/json']);
  });

  it('leaves the server as it was: it answers the next one', async () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.end('GET / HTTP/9.9\r\n\x00\xff\r\n\r\n');
    await once(socket.resume(), 'close');

    expect((await call('GET', '/healthz', { as: null })).body).toEqual({ status: 'ok' });
  });
});

describe('a browser', () => {
  const ask = (headers: Record<string, string>, path = projects) =>
    new Promise<number>((resolve, reject) => {
      const all = { authorization: `Bearer ${server.tokens['admin']}`, ...headers };
      const asking = request(`${server.url}${path}`, { headers: all }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asking.on('error', reject).end();
    });
  const { host } = new URL(server.url);

  it.each([
    ['a rebound host name', { host: 'evil.example.com' }, 403],
    ['a rebound host name with our port', { host: `evil.example.com:${host.split(':')[1]}` }, 403],
    ['a host name behind which ours stands', { host: 'evil.example.com@127.0.0.1' }, 403],
    ['a host name that ours stands before', { host: '127.0.0.1#.evil.example.com' }, 403],
    ['another origin', { origin: 'https://evil.example.com' }, 403],
    ['an opaque origin', { origin: 'null' }, 403],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }, 403],
    ['a page of another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['our own page', { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }, 200],
    ['no page at all', {}, 200],
    ['another name of this machine', { host: `localhost:${host.split(':')[1]}` }, 200],
  ])('that comes from %s', async (_what, headers, status) => {
    expect(await ask(headers)).toBe(status);
  });

  it('is refused a token in the address, so that none gets into a log or a history', async () => {
    const token = server.tokens['admin'];

    expect(await ask({ authorization: '' }, `${projects}?access_token=${token}`)).toBe(401);
    expect((await call('GET', `${projects}?token=${token}`)).body.error.errors).toMatchObject([
      { path: '/query/token', code: 'unknown_key' },
    ]);
  });

  it('gets no permission to read answers across origins', async () => {
    const { headers } = await call('GET', projects);

    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('Idempotency-Key (X-9)', () => {
  const make = (name: string, key: string, as = 'admin') =>
    call('POST', projects, { as, body: { name }, headers: { 'idempotency-key': key } });

  it('gives the same answer to the same request, and makes one thing', async () => {
    const first = await make('once', 'k1');
    const second = await make('once', 'k1');

    expect(second).toMatchObject({ status: first.status, body: first.body });
    expect([first, second].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    expect(await store.read((tx) => tx.projects.count({ name: 'once' }))).toBe(1);
  });

  it('is a conflict with another body', async () => {
    await make('first', 'k2');

    const { status, body } = await make('second', 'k2');

    expect([status, body.error.code]).toEqual([409, 'idempotency.conflict']);
    expect(await store.read((tx) => tx.projects.count({ name: 'second' }))).toBe(0);
  });

  it('makes one thing of many that come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => make('storm', 'k3')));

    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
  });

  it('keeps no failure: what went wrong can be tried again', async () => {
    await make('taken', 'k4');
    const refused = await make('taken', 'k5');
    const taken = await store.read((tx) => tx.projects.find({ name: 'taken' }));
    await store.write((tx) => tx.projects.delete(taken?.id ?? ''));

    const again = await make('taken', 'k5');

    expect([refused.status, again.status]).toEqual([409, 201]);
  });

  it('is each caller’s own', async () => {
    const token = (as: string) =>
      call('POST', '/api/v1/tokens', {
        as,
        body: { name: 'x', role: 'viewer' },
        headers: { 'idempotency-key': 'shared' },
      });

    const [mine, theirs] = [await token('member'), await token('stranger')];

    expect([mine.body.project_id, theirs.body.project_id]).toEqual(['p1', 'p2']);
    expect(theirs.body.id).not.toBe(mine.body.id);
  });

  it('is forgotten after a day', async () => {
    await make('daily', 'k6');
    server.advance(24 * 60 * 60 * 1000);

    expect((await make('daily', 'k6')).body.error.code).toBe('resource.conflict');
  });

  it('is refused if it is no key', async () => {
    expect((await make('odd', 'with space')).body.error.errors).toMatchObject([{ code: 'idempotency_key' }]);
  });
});
