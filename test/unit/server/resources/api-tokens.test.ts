import { describe, expect, it, vi } from 'vitest';
import type { ApiToken } from '../../../../src/server/db/entities/project.ts';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import { until } from '../../../support/hub-ground.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { store, call } = server;
/** Asks with a token that a test has made. */
const callWith = (token: string, method: string, path: string, body?: object) =>
  call(method, path, { as: null, headers: { authorization: `Bearer ${token}` }, ...(body ? { body } : {}) });
const make = (as: string, body: object, headers: Record<string, string> = {}) =>
  call('POST', '/api/v1/tokens', { as, body, headers });

describe('/api/v1/tokens', () => {
  it('shows the secret once and keeps its hash', async () => {
    const { status, body } = await make('member', { name: 'ci', role: 'viewer' });

    const projects = await fetch(`${server.url}/api/v1/projects`, {
      headers: { authorization: `Bearer ${body.token}` },
    });
    const kept = JSON.stringify(await store.read((tx) => tx.api_tokens.list()));
    const listed = JSON.stringify((await call('GET', '/api/v1/tokens', { as: 'member' })).body);

    expect(status).toBe(201);
    expect(projects.status).toBe(200);
    const secret = body.token.split('_').slice(2).join('_');
    expect(kept).toContain(body.id);
    expect(kept).not.toContain(secret);
    expect(listed).toContain(body.id);
    expect(listed).not.toMatch(/secret/);
  });

  it('gives the secret again to who repeats the request under its key, and keeps it in no clear text (X-9)', async () => {
    const key = { 'idempotency-key': 'once' };
    const first = await make('member', { name: 'twice', role: 'viewer' }, key);

    const second = await make('member', { name: 'twice', role: 'viewer' }, key);

    expect(first.body.token).toMatch(/^gpuaas_/);
    expect(second).toMatchObject({ status: 201, body: first.body });
    const named = (await store.read((tx) => tx.api_tokens.list())).filter(({ name }) => name === 'twice');
    expect(named).toHaveLength(1);
    expect(JSON.stringify(await store.read((tx) => tx.idempotent_answers.list()))).not.toContain(first.body.token);
  });

  it('stop working when they are revoked or over, and the answer does not say which', async () => {
    const { body: short } = await make('admin', {
      name: 'short',
      role: 'viewer',
      project_id: 'p1',
      expires_in_seconds: 60,
    });
    const { body: revoked } = await make('admin', { name: 'gone', role: 'viewer', project_id: 'p1' });
    const ask = async (token: string) => {
      const response = await fetch(`${server.url}/api/v1/projects`, { headers: { authorization: `Bearer ${token}` } });
      const { error } = (await response.json()) as { error?: { code: string; message: string } };
      return [response.status, error?.code, error?.message];
    };
    expect((await ask(short.token))[0]).toBe(200);

    await call('DELETE', `/api/v1/tokens/${revoked.id}`);
    server.advance(61_000);
    const answers = [
      ...[await ask(short.token), await ask(revoked.token), await ask('nonsense')],
      ...[await ask(`gpuaas_${revoked.id}_${'A'.repeat(43)}`), await ask(`gpuaas_${'0'.repeat(16)}_${'A'.repeat(43)}`)],
    ];

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]?.slice(0, 2)).toEqual([401, 'request.unauthenticated']);
  });

  it.each([
    ['viewer', { role: 'viewer' }, 403],
    ['member', { role: 'operator' }, 403],
    ['operator', { role: 'admin' }, 403],
    ['member', { role: 'member', project_id: 'p2' }, 404],
    ['admin', { role: 'member' }, 400],
    ['admin', { role: 'member', project_id: 'nowhere' }, 404],
    ['admin', { role: 'operator', project_id: 'p1' }, 400],
    ['member', { role: 'member' }, 201],
    ['operator', { role: 'operator' }, 201],
  ])('let %s make %o only where that gives nobody more than they have', async (as, body, status) => {
    expect((await make(as, { name: 'x', ...body })).status).toBe(status);
  });

  it('of another project cannot be seen or taken back', async () => {
    const { body: foreign } = await make('stranger', { name: 'theirs', role: 'viewer' });

    expect((await call('DELETE', `/api/v1/tokens/${foreign.id}`, { as: 'member' })).status).toBe(404);
    expect(JSON.stringify((await call('GET', '/api/v1/tokens', { as: 'member' })).body)).not.toContain(foreign.id);
    expect((await call('GET', '/api/v1/tokens?project_id=p2', { as: 'member' })).status).toBe(404);
  });
});

describe('a token that was made by a token', () => {
  const child = { name: 'child', role: 'viewer' };
  const makeWith = async (token: string, body: object = child) => {
    const answer = await callWith(token, 'POST', '/api/v1/tokens', body);
    return { ...answer, ...answer.body };
  };
  const statusWith = async (token: string) => (await callWith(token, 'GET', '/api/v1/projects')).status;

  it('ends no later than that one, by default with it', async () => {
    const { body: maker } = await make('member', { name: 'an hour', role: 'member', expires_in_seconds: 3600 });

    const shorter = await makeWith(maker.token, { ...child, expires_in_seconds: 600 });
    const same = await makeWith(maker.token, { ...child, expires_in_seconds: 3600 });
    const unsaid = await makeWith(maker.token);
    const longer = await makeWith(maker.token, { ...child, expires_in_seconds: 3601 });

    expect(shorter.expires_at < maker.expires_at).toBe(true);
    expect([same.expires_at, unsaid.expires_at]).toEqual([maker.expires_at, maker.expires_at]);
    expect([longer.status, longer.error.code]).toEqual([400, 'request.invalid']);
    expect(longer.error.errors).toEqual([
      expect.objectContaining({
        path: '/expires_in_seconds',
        message: `ends after the token that makes it, at ${maker.expires_at}: ask for less, or leave it out`,
      }),
    ]);
  });

  it('stays where the one that made it is only replaced', async () => {
    const { body: maker } = await make('member', { name: 'old', role: 'member' });
    const heir = await makeWith(maker.token, { name: 'new', role: 'member' });

    const { body } = await call('DELETE', `/api/v1/tokens/${maker.id}?keep_made=true`, { as: 'member' });

    expect(body.also_revoked).toBe(0);
    expect([await statusWith(maker.token), await statusWith(heir.token)]).toEqual([401, 200]);
  });

  it('goes with it, and all that it has made in turn, each with its event; nothing else goes', async () => {
    const { body: maker } = await make('member', { name: 'leaked', role: 'member' });
    const first = await makeWith(maker.token, { name: 'first', role: 'member' });
    const second = await makeWith(maker.token);
    const third = await makeWith(first.token, { name: 'third', role: 'member' });
    const fourth = await makeWith(third.token);
    const { body: other } = await make('member', { name: 'other', role: 'viewer' });
    const last = (await store.read((tx) => tx.events.range())).last;
    await call('DELETE', `/api/v1/tokens/${fourth.id}`);

    const { body: revoked } = await call('DELETE', `/api/v1/tokens/${maker.id}`, { as: 'member' });
    const { body: again } = await call('DELETE', `/api/v1/tokens/${maker.id}`, { as: 'member' });

    expect(revoked).toMatchObject({ id: maker.id, also_revoked: 3, revoked_at: expect.any(String) });
    expect(again).toEqual({ ...revoked, also_revoked: 0 });
    for (const { token } of [maker, first, second, third, fourth]) expect(await statusWith(token)).toBe(401);
    expect(await statusWith(other.token)).toBe(200);
    const events = await store.read((tx) => tx.events.list({ after: last, limit: 100 }));
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['token.revoked']));
    const [, ...together] = events.map(({ subject }) => subject.id);
    expect(together.sort()).toEqual([maker, first, second, third].map(({ id }) => id).sort());
    expect(events.at(-1)?.message).toBe(`Token "third" was revoked with ${maker.id}.`);
  });

  it('is not made any more where that one is taken back meanwhile', async () => {
    const { body: maker } = await make('member', { name: 'quick', role: 'member' });
    const begun = Promise.withResolvers<void>();
    const write = vi.spyOn(store, 'write');
    const revoking = store.write(async (tx) => {
      begun.resolve();
      // Until the request has been let in and waits for its turn.
      await until(() => write.mock.calls.length === 2);
      const token = await tx.api_tokens.get(maker.id);
      if (token) await tx.api_tokens.put({ ...token, revoked_at: '2026-11-25T10:00:00.000Z' });
    });
    await begun.promise;

    const late = await makeWith(maker.token);

    await revoking;
    write.mockRestore();
    expect([late.status, late.error.code]).toEqual([401, 'request.unauthenticated']);
    expect(await store.read((tx) => tx.api_tokens.count({ created_by: maker.id }))).toBe(0);
  });
});

describe('a token that makes tokens without end', () => {
  /** Puts tokens into the store as if they had been made. */
  const stock = (count: number, given: Partial<ApiToken>) =>
    store.write(async (tx) => {
      const [sample] = await tx.api_tokens.list({ limit: 1 });
      for (let number = 0; number < count; number += 1) {
        const { id, secret_hash } = makeToken();
        if (sample) await tx.api_tokens.insert({ ...sample, id, secret_hash, role: 'viewer', ...given });
      }
    });
  const project = async () => {
    const name = `p-${Math.random().toString(36).slice(2)}`;
    return (await call('POST', '/api/v1/projects', { body: { name, display_name: name } })).body.id as string;
  };
  const viewer = { name: 'one more', role: 'viewer' };

  it('is refused one more, until it takes one back', async () => {
    const project_id = await project();
    const { body: maker } = await make('admin', { name: 'maker', role: 'member', project_id });
    await stock(999, { project_id, created_by: maker.id, revoked_at: null });
    const last = await callWith(maker.token, 'POST', '/api/v1/tokens', viewer);

    const refused = await callWith(maker.token, 'POST', '/api/v1/tokens', viewer);
    await callWith(maker.token, 'DELETE', `/api/v1/tokens/${last.body.id}`);

    expect([last.status, refused.status, refused.body.error.code]).toEqual([201, 409, 'resource.too_many']);
    expect((await callWith(maker.token, 'POST', '/api/v1/tokens', viewer)).status).toBe(201);
  });

  it('is refused by what its project has in all, taken back or not; the platform is not', async () => {
    const project_id = await project();
    const { body: maker } = await make('admin', { name: 'maker', role: 'member', project_id });
    await stock(4999, { project_id, created_by: 'others', revoked_at: '2026-11-25T10:00:00.000Z' });

    const refused = await callWith(maker.token, 'POST', '/api/v1/tokens', viewer);

    expect([refused.status, refused.body.error.code]).toEqual([409, 'resource.too_many']);
    expect((await make('admin', { ...viewer, project_id })).status).toBe(201);
  });
});
