import { describe, expect, it } from 'vitest';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const path = '/api/v1/access-credentials';
const canary = 'canary-4f1c9d-value';
const key = `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary}\n-----END OPENSSH PRIVATE KEY-----\n`;
let made = 0;

async function add(given: object = {}, as = 'member') {
  made += 1;
  const body = { name: `key-${made}`, kind: 'token', value: canary, ...given };
  return server.call('POST', path, { as, body });
}

describe('an access credential', () => {
  it('is known by its name and kind alone: its value is in no answer, no event and nowhere in the store (G-62, G-160)', async () => {
    const added = await add({ name: 'deploy-key', kind: 'ssh_private_key', value: key });
    const { id } = added.body;
    const rotated = await server.call('POST', `${path}/${id}/rotate`, { as: 'member', body: { value: key } });
    const answers = [
      ...[added, rotated, await server.call('GET', path, { as: 'viewer' })],
      ...[await server.call('GET', `${path}/${id}`, { as: 'admin' })],
      ...[await server.call('DELETE', `${path}/${(await add()).body.id}`, { as: 'member' })],
    ];

    expect(added).toMatchObject({
      status: 201,
      body: { name: 'deploy-key', kind: 'ssh_private_key', project_id: 'p1' },
    });
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 200]);
    for (const { body } of answers) expect(JSON.stringify(body)).not.toContain(canary);
    const kept = await server.store.read(async (tx) => [
      ...[await tx.access_credentials.list(), await tx.idempotent_answers.list()],
      await tx.events.list({ after: 0, limit: 1000 }),
    ]);
    expect(JSON.stringify(kept)).toContain('deploy-key');
    expect(JSON.stringify(kept)).not.toContain(canary);
  });

  it('opens for itself alone, under the key of this control plane', async () => {
    const [one, other] = [(await add()).body.id, (await add()).body.id];
    const { vault } = server.context.keys;
    const sealedOf = async (id: string) => (await server.store.read((tx) => tx.access_credentials.get(id)))?.sealed;

    expect(vault.open((await sealedOf(one)) ?? '', one)).toBe(canary);
    expect(() => vault.open('AAAA', one)).toThrow(expect.objectContaining({ code: 'credential.unreadable' }));
    const others = (await sealedOf(other)) ?? '';
    expect(() => vault.open(others, one)).toThrow(expect.objectContaining({ code: 'credential.unreadable' }));
  });

  it('has another value after a rotation, and tells when', async () => {
    const { id, value_set_at } = (await add()).body;
    server.advance(1000);

    const { body } = await server.call('POST', `${path}/${id}/rotate`, { as: 'member', body: { value: 'another' } });

    expect(body.value_set_at > value_set_at).toBe(true);
    const kept = await server.store.read((tx) => tx.access_credentials.get(id));
    expect(server.context.keys.vault.open(kept?.sealed ?? '', id)).toBe('another');
  });

  it('of another project is as if there were none', async () => {
    const { id } = (await add()).body;
    const unknown = await server.call('GET', `${path}/unknown`, { as: 'stranger' });

    for (const [method, address] of [
      ['GET', `${path}/${id}`],
      ['DELETE', `${path}/${id}`],
    ] as const) {
      const { status, body } = await server.call(method, address, { as: 'stranger' });
      expect([status, body.error.code]).toEqual([404, unknown.body.error.code]);
    }
    const { status } = await server.call('POST', `${path}/${id}/rotate`, { as: 'stranger', body: { value: 'x' } });
    expect(status).toBe(404);
    expect((await server.call('GET', path, { as: 'stranger' })).body.items).toEqual([]);
    expect((await add({ project_id: 'p2' })).status).toBe(404);
  });

  it('is made and changed by members, and looked at by viewers', async () => {
    const { id } = (await add()).body;

    expect((await add({}, 'viewer')).status).toBe(403);
    expect((await server.call('DELETE', `${path}/${id}`, { as: 'viewer' })).status).toBe(403);
    expect((await server.call('GET', `${path}/${id}`, { as: 'viewer' })).status).toBe(200);
    expect((await add({ project_id: 'p1' }, 'operator')).status).toBe(201);
    expect((await add({}, 'operator')).body.error.errors).toMatchObject([{ path: '/project_id' }]);
  });

  it.each<[string, object]>([
    ['a token of several lines', { kind: 'token', value: 'a\nb' }],
    ['a token with a space', { kind: 'token', value: `${canary} x` }],
    ['a key that is none', { kind: 'ssh_private_key', value: canary }],
    ['nothing', { kind: 'other', value: '' }],
    ['a name for a shell', { name: '$(id)' }],
  ])('is not %s; what was given is not repeated', async (_what, given) => {
    const { status, body } = await add(given);

    expect(status).toBe(400);
    expect(JSON.stringify(body)).not.toContain(canary);
  });

  it('has a name of its own in the project', async () => {
    await add({ name: 'hub' });

    expect((await add({ name: 'hub' })).status).toBe(409);
    expect((await add({ name: 'hub' }, 'stranger')).status).toBe(201);
  });

  it('is one of two hundred at most', async () => {
    await server.store.write(async (tx) => {
      const [one, ...others] = await tx.access_credentials.list({ where: { project_id: 'p1' } });
      for (let at = others.length + 1; one && at < 199; at += 1) {
        await tx.access_credentials.insert({ ...one, id: `more-${at}`, name: `more-${at}` });
      }
    });

    expect((await add()).status).toBe(201);
    expect((await add()).body.error.code).toBe('resource.too_many');
    expect((await add({}, 'stranger')).status).toBe(201);
  });
});
