/** The real registry believes our tokens, and only as far as they go; the real engine pushes and pulls with them (G-213). */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compactDecrypt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { streamEngine } from '../../bootstrap/dev/engine-api.ts';
import { type PublishedImage, paddedBase64Url, publishRoot } from '../../bootstrap/dev/publish.ts';
import { type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import type { RegistryCredentialAnswer } from '../../src/contract/enrolment.ts';
import { registryCredentialsPath } from '../../src/contract/signing.ts';
import { makeToken } from '../../src/server/http/tokens.ts';
import { tokenIssuer } from '../../src/server/keys/registry-key.ts';
import { tokenPath } from '../../src/server/registry/registry-routes.ts';
import { registryService } from '../../src/server/registry/registry-tokens.ts';
import { engineCall } from '../support/engine-call.ts';
import { type HubGround, openHubGround } from '../support/hub-ground.ts';
import { launchTask } from '../support/launch-task.ts';
import type { AgentKeys } from '../support/scripted-agent.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('registry-token');
const prefix = `token-${randomBytes(4).toString('hex')}`;
const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';
let ground: HubGround;
let registry: PrivateRegistry;
let socketPath: string;
let image: PublishedImage;
let other: PublishedImage;
let keys: AgentKeys;
let bearer: string;

beforeAll(async () => {
  const tokenRegistries: string[] = [];
  ground = await openHubGround(join(folder, 'server'), { tokenRegistries });
  registry = await startRegistry(join(folder, 'registry'), {
    token: {
      ...{ realm: ground.origin + tokenPath, service: registryService, issuer: tokenIssuer },
      certificate: ground.serverKeys.registry.certificate,
    },
  });
  tokenRegistries.push(registry.host);
  ({ socketPath } = await ensureEngine());
  const auth = { username: 'operator', password: await operatorToken() };
  image = await push(`${prefix}/one`, auth);
  other = await push(`${prefix}/two`, auth);
  keys = await ground.addNode('node-1');
  ({ bearer } = await ground.dial().enter(keys, 'node-1', 0));
});
afterAll(async () => {
  for (const published of [image, other]) {
    if (published) await engineCall(socketPath, 'DELETE', `/images/${published.image_id}?force=true`);
  }
  await registry?.stop();
  await ground?.close();
});

async function operatorToken(): Promise<string> {
  const { id, secret_hash, token } = makeToken();
  await ground.store.write((tx) =>
    tx.api_tokens.insert({
      ...{ id, name: 'publisher', role: 'operator', project_id: null, secret_hash, created_by: 'init' },
      ...{ expires_at: null, revoked_at: null, created_at: '2026-11-25T09:00:00.000Z' },
    }),
  );
  return token;
}

async function push(repository: string, auth: { username: string; password: string }): Promise<PublishedImage> {
  const root = join(folder, repository);
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'content'), randomBytes(64));
  return await publishRoot({ socketPath, host: registry.host, repository, tag: 'v1', auth }, root, []);
}

/** What a node gets for a task with this image, opened with its key. */
async function pullToken(reference: string): Promise<string> {
  const task = await ground.store.write((tx) => ground.queue.enqueue(tx, launchTask('node-1', reference)));
  const response = await fetch(ground.origin + registryCredentialsPath, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` } },
    body: JSON.stringify({ task_id: task.id }),
  });
  const { credential } = (await response.json()) as RegistryCredentialAnswer;
  const { plaintext } = await compactDecrypt(credential ?? '', keys.wrapping);
  return (JSON.parse(Buffer.from(plaintext).toString()) as { bearer: string }).bearer;
}

async function ask(
  method: string,
  { reference }: PublishedImage,
  token: string | undefined,
  rest?: string,
): Promise<number> {
  const [name = '', digest = ''] = reference.slice(registry.host.length + 1).split('@');
  const response = await fetch(`http://${registry.host}/v2/${name}/${rest ?? `manifests/${digest}`}`, {
    method,
    headers: { accept: manifestType, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
  });
  await response.body?.cancel();
  return response.status;
}

it('the pull token of a task opens its repository for pulling and nothing else', async () => {
  const token = await pullToken(image.reference);

  expect(await ask('GET', image, token)).toBe(200);
  expect(await ask('GET', other, token)).toBe(401);
  expect(await ask('POST', image, token, 'blobs/uploads/')).toBe(401);
  expect(await ask('DELETE', image, token)).toBe(401);
});

it('nobody gets in without a token, or with one of another issuer', async () => {
  const stranger = await openHubGround(join(folder, 'stranger'), { tokenRegistries: [registry.host] });
  const claims = { iss: tokenIssuer, aud: registryService, exp: Date.now() / 1000 + 60, nbf: 0 };
  const access = [{ type: 'repository', name: `${prefix}/one`, actions: ['pull'] }];
  const forged = await stranger.serverKeys.registry.sign({ ...claims, access });
  await stranger.close();

  expect(await ask('GET', image, undefined)).toBe(401);
  expect(await ask('GET', image, forged)).toBe(401);
});

it('the engine pulls with it as it is handed over for one pull, and not without', async () => {
  const token = await pullToken(image.reference);
  await engineCall(socketPath, 'DELETE', `/images/${image.image_id}?force=true`);
  const path = `/images/create?${new URLSearchParams({ fromImage: image.reference })}`;
  const auth = paddedBase64Url(Buffer.from(JSON.stringify({ registrytoken: token })));

  await expect(streamEngine({ socketPath, method: 'POST', path })).rejects.toThrow();
  await streamEngine({ socketPath, method: 'POST', path, headers: { 'x-registry-auth': auth } });

  expect((await engineCall(socketPath, 'GET', `/images/${image.reference}/json`)).status).toBe(200);
});
