import { describe, expect, it } from 'vitest';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { store, call } = server;
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
