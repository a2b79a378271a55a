import { describe, expect, it } from 'vitest';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const path = '/api/v1/service-accounts';
let made = 0;

async function add(given: object = {}, as = 'member') {
  made += 1;
  return server.call('POST', path, { as, body: { name: `bot-${made}`, role: 'viewer', ...given } });
}

/** A token as an instance of the account has it. */
async function tokenOf(account: string, createdBy = account): Promise<{ id: string; token: string }> {
  const { id, secret_hash, token } = makeToken();
  await server.store.write((tx) =>
    tx.api_tokens.insert({
      ...{ id, secret_hash, name: 'instance', project_id: 'p1', role: 'viewer', created_by: createdBy },
      ...{ created_at: '2026-11-25T10:00:00.000Z', expires_at: null, revoked_at: null },
    }),
  );
  return { id, token };
}

const works = async (token: string) => {
  const headers = { authorization: `Bearer ${token}` };
  return (await server.call('GET', '/api/v1/projects', { as: null, headers })).status === 200;
};

describe('a service account', () => {
  it('belongs to one project and has a role there, never one of the platform (G-63)', async () => {
    const { status, body } = await add({ name: 'builder', role: 'member' });

    expect(status).toBe(201);
    expect(body).toMatchObject({ name: 'builder', role: 'member', project_id: 'p1' });
    expect((await add({ role: 'operator' })).status).toBe(400);
    expect((await add({}, 'viewer')).status).toBe(403);
    expect((await add({ name: 'builder' })).status).toBe(409);
    expect((await server.call('GET', `${path}/${body.id}`, { as: 'viewer' })).body).toEqual(body);
    expect((await server.call('GET', `${path}/${body.id}`, { as: 'stranger' })).status).toBe(404);
    expect((await server.call('DELETE', `${path}/${body.id}`, { as: 'stranger' })).status).toBe(404);
    expect((await server.call('GET', path, { as: 'stranger' })).body.items).toEqual([]);
  });

  it('takes all tokens of its instances with it, and what those have made; nobody else’s', async () => {
    const [{ id }, { id: otherId }] = [(await add()).body, (await add()).body];
    const own = await tokenOf(id);
    const made = await tokenOf(id, own.id);
    const others = await tokenOf(otherId);
    expect([await works(own.token), await works(made.token)]).toEqual([true, true]);

    const { body } = await server.call('DELETE', `${path}/${id}`, { as: 'member' });

    expect(body).toMatchObject({ id, revoked: 2 });
    expect([await works(own.token), await works(made.token), await works(others.token)]).toEqual([false, false, true]);
    expect((await server.call('GET', `${path}/${id}`, { as: 'member' })).status).toBe(404);
  });
});
