import { compactDecrypt, decodeJwt, importX509, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RegistryCredentialAnswer } from '../../../../src/contract/enrolment.ts';
import { registryCredentialsPath } from '../../../../src/contract/signing.ts';
import type { Role } from '../../../../src/server/db/entities/project.ts';
import type { Task } from '../../../../src/server/db/entities/task.ts';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import { tokenPath } from '../../../../src/server/registry/registry-routes.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { launchTask } from '../../../support/launch-task.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import type { AgentKeys } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const clock = manualClock();
const digest = `sha256:${'a'.repeat(64)}`;
const login = { username: 'puller', password: 'canary-password' };
let ground: HubGround;
let keys: AgentKeys;
let bearer: string;

const root = temporaryFolder('registry');
beforeAll(async () => {
  ground = await openHubGround(root, {
    ...{ clock, tokenRegistries: ['registry.local:5000'], upstream: { 'upstream.example': login } },
  });
  keys = await ground.addNode('node-1');
  bearer = (await ground.dial().enter(keys, 'node-1', 0)).bearer;
  await until(() => ground.hub.isConnected('node-1'));
});
afterAll(() => ground.close());

const launch = (reference: string, node = 'node-1'): Promise<Task> =>
  ground.store.write((tx) => ground.queue.enqueue(tx, launchTask(node, reference)));

async function ask(task_id: string, token = bearer): Promise<{ status: number; body: RegistryCredentialAnswer }> {
  const response = await fetch(ground.origin + registryCredentialsPath, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } },
    body: JSON.stringify({ task_id }),
  });
  return { status: response.status, body: (await response.json()) as RegistryCredentialAnswer };
}

async function opened(jwe: string | null, { wrapping }: AgentKeys): Promise<unknown> {
  const { plaintext } = await compactDecrypt(jwe ?? '', wrapping);
  return JSON.parse(Buffer.from(plaintext).toString());
}

describe('the pull credential of a task', () => {
  it('is for pulling the one repository of that task, for a quarter of an hour, and readable by its node alone (G-121, G-213)', async () => {
    const { id } = await launch(`registry.local:5000/apps/jupyter@${digest}`);

    const { status, body } = await ask(id);

    expect(status).toBe(200);
    expect(body.expires_at).toBe(new Date(clock.wallMs() + 900_000).toISOString());
    const credential = (await opened(body.credential, keys)) as { bearer: string };
    const { payload } = await jwtVerify(
      credential.bearer,
      await importX509(ground.serverKeys.registry.certificate, 'ES256'),
      {
        ...{ issuer: 'gpuaas', audience: 'gpuaas-registry', currentDate: new Date(clock.wallMs()) },
      },
    );
    expect(payload['access']).toEqual([{ type: 'repository', name: 'apps/jupyter', actions: ['pull'] }]);
    expect((payload.exp ?? 0) - clock.wallMs() / 1000).toBeLessThanOrEqual(900);
    const stranger = await ground.addNode('node-stranger');
    await expect(opened(body.credential, stranger)).rejects.toThrow();
  });

  it('is the configured login for a registry that is not ours, and none where it is open', async () => {
    const closed = await ask((await launch(`upstream.example/apps/jupyter@${digest}`)).id);
    const open = await ask((await launch(`open.example/apps/jupyter@${digest}`)).id);

    expect(JSON.stringify(closed)).not.toContain(login.password);
    expect(await opened(closed.body.credential, keys)).toEqual(login);
    expect(open.body).toEqual({ credential: null, expires_at: null });
  });

  it('is for all repositories of a stack, and for one registry alone', async () => {
    const stack = async (...images: string[]) => {
      const services = images.map((image, index) => [`s${index}`, { image, cpus: 1, mem_limit: 2 ** 26 }]);
      const params = { document: { services: Object.fromEntries(services) } };
      const task = { ...launchTask('node-1', `registry.local:5000/none@${digest}`), params: params as never };
      return await ask((await ground.store.write((tx) => ground.queue.enqueue(tx, task))).id);
    };
    const [app, store] = ['apps/jupyter', 'apps/store'].map((name) => `registry.local:5000/${name}@${digest}`);

    const given = await stack(String(app), String(store), String(app));
    const open = await stack(`open.example/a@${digest}`, `other.example/b@${digest}`);
    const mixed = await stack(String(app), `upstream.example/apps/jupyter@${digest}`);

    const { bearer: token } = (await opened(given.body.credential, keys)) as { bearer: string };
    expect(decodeJwt(token)['access']).toEqual(
      ['apps/jupyter', 'apps/store'].map((name) => ({ type: 'repository', name, actions: ['pull'] })),
    );
    expect(open.body).toEqual({ credential: null, expires_at: null });
    expect(mixed).toMatchObject({ status: 403, body: { error: { code: 'credential.refused' } } });
  });

  it('is refused for what is not such a task of this node', async () => {
    const foreign = await launch(`registry.local:5000/apps/jupyter@${digest}`, 'node-2');
    const ended = await launch(`registry.local:5000/apps/jupyter@${digest}`);
    await ground.store.write((tx) => ground.queue.cancel(tx, ended.id));
    const imageless = await ground.enqueue();

    for (const id of [foreign.id, ended.id, imageless.id, 'task-nobody']) {
      expect(await ask(id)).toMatchObject({ status: 403, body: { error: { code: 'credential.refused' } } });
    }
  });

  it('is given for the bearer of a session only', async () => {
    const { id } = await launch(`registry.local:5000/apps/jupyter@${digest}`);

    for (const wrong of ['', 'x', `${bearer}x`, bearer.replace('.1.', '.2.')]) {
      expect(await ask(id, wrong)).toMatchObject({ status: 401, body: { error: { code: 'node.untrusted' } } });
    }
  });

  it('is kept nowhere: neither the store nor the task has it', async () => {
    const { id } = await launch(`upstream.example/apps/jupyter@${digest}`);
    const { body } = await ask(id);

    const all = await ground.store.read(async (tx) => [
      ...[await tx.tasks.list(), await tx.nodes.list(), await tx.idempotent_answers.list()],
      await tx.events.list({ after: 0, limit: 1000 }),
    ]);
    expect(JSON.stringify(all)).not.toContain(login.password);
    expect(JSON.stringify(all)).not.toContain(body.credential);
  });
});

describe('the token service', () => {
  async function tokenFor(role: Role | undefined, query: string): Promise<{ status: number; access: unknown }> {
    const { id, secret_hash, token } = makeToken();
    await ground.store.write((tx) =>
      tx.api_tokens.insert({
        ...{
          id,
          name: id,
          role: role ?? 'viewer',
          project_id: null,
          secret_hash,
          created_by: 'init',
          expires_at: null,
        },
        ...{ revoked_at: null, created_at: '2026-11-25T09:00:00.000Z' },
      }),
    );
    const password = role === undefined ? 'wrong' : token;
    const headers = { authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}` };
    const response = await fetch(`${ground.origin}${tokenPath}?service=gpuaas-registry&${query}`, { headers });
    const body = (await response.json()) as { token?: string };
    return { status: response.status, access: body.token === undefined ? null : decodeJwt(body.token)['access'] };
  }

  it('gives operators what they ask for', async () => {
    expect(await tokenFor('operator', 'scope=repository:apps/jupyter:pull,push')).toEqual({
      status: 200,
      access: [{ type: 'repository', name: 'apps/jupyter', actions: ['pull', 'push'] }],
    });
    const both = await tokenFor('admin', 'scope=repository:a:pull&scope=repository:b:push&account=x');
    expect(both.access).toHaveLength(2);
  });

  it.each(['registry:catalog:*', 'repository:../etc:pull', 'repository:apps/jupyter:delete', 'nonsense'])(
    'grants nothing for the scope %s',
    async (scope) => {
      expect(await tokenFor('admin', `scope=${encodeURIComponent(scope)}`)).toEqual({ status: 200, access: [] });
    },
  );

  it('grants members and viewers nothing: their images are launched, not pulled by hand', async () => {
    expect((await tokenFor('member', 'scope=repository:apps/jupyter:pull')).access).toEqual([]);
    expect((await tokenFor('viewer', 'scope=repository:apps/jupyter:pull')).access).toEqual([]);
  });

  it('turns strangers away', async () => {
    expect(await tokenFor(undefined, 'scope=repository:apps/jupyter:pull')).toEqual({ status: 401, access: null });
    expect((await fetch(`${ground.origin}${tokenPath}?service=gpuaas-registry`)).status).toBe(401);
  });
});
