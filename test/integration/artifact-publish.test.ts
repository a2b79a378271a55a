/** From the intent to publish to a verified artifact, with the real registry and the real engine. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { type PublishedImage, publishRoot } from '../../bootstrap/dev/publish.ts';
import { type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import { tokenIssuer } from '../../src/server/keys/registry-key.ts';
import { tokenPath } from '../../src/server/registry/registry-routes.ts';
import { registryService } from '../../src/server/registry/registry-tokens.ts';
import { engineCall } from '../support/engine-call.ts';
import { writeLayout } from '../support/oci-layout.ts';
import { runGpuaas } from '../support/run-gpuaas.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { testServer } from '../support/test-server.ts';

const folder = temporaryFolder('artifact-publish');
const prefix = `publish-${randomBytes(4).toString('hex')}`;
const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
const registries: string[] = [];
const { call, advance, context, url, tokens } = await testServer({ registries, tokenRegistries: registries });
const published: PublishedImage[] = [];
let registry: PrivateRegistry;
let socketPath: string;

beforeAll(async () => {
  // The registry goes by its own clock.
  advance(Date.now() - context.clock.wallMs());
  registry = await startRegistry(join(folder, 'registry'), {
    token: {
      ...{ realm: `http://127.0.0.1:1${tokenPath}`, service: registryService, issuer: tokenIssuer },
      certificate: context.keys.registry.certificate,
    },
  });
  registries.push(registry.host);
  ({ socketPath } = await ensureEngine());
});
afterAll(async () => {
  for (const { image_id } of published) await engineCall(socketPath, 'DELETE', `/images/${image_id}?force=true`);
  await registry?.stop();
});

const publish = (repository: string, headers: Record<string, string> = {}) =>
  call('POST', '/api/v1/artifacts/publish', { as: 'operator', body: { repository }, headers });
const where = (name: string) => `${registry.host}/${prefix}/${name}`;

async function push(name: string, registrytoken: string): Promise<PublishedImage> {
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'content'), randomBytes(64));
  const target = { socketPath, host: registry.host, repository: `${prefix}/${name}`, tag: 'v1' };
  const image = await publishRoot({ ...target, auth: { registrytoken } }, root, []);
  published.push(image);
  return image;
}

async function registered(name: string, digest: string) {
  const body = { name: `${prefix}-${name}`, repository: where(name), digest, media_type };
  return (await call('POST', '/api/v1/artifacts', { as: 'operator', body })).body;
}

it('an operator gets a token, pushes straight to the registry, registers the digest, and verify finds it (X-8)', async () => {
  const intent = await publish(where('one'));
  const image = await push('one', intent.body.token);
  const { id, trust } = await registered('one', image.digest);

  const { body } = await call('POST', `/api/v1/artifacts/${id}/verify`, { as: 'operator' });

  expect(intent.status).toBe(201);
  expect(trust).toBe('unverified');
  expect(body).toMatchObject({ trust: 'verified', platform_digest: image.digest, launchable: true });
  expect(body.size_bytes).toBeGreaterThan(0);
});

it('verify finds out that the registry has no such image, also where the repository is there', async () => {
  const { body: intent } = await publish(where('two'));
  await push('two', intent.token);
  const { id } = await registered('two', `sha256:${'0'.repeat(64)}`);

  const { body } = await call('POST', `/api/v1/artifacts/${id}/verify`, { as: 'operator' });

  expect(body).toMatchObject({ trust: 'failed', platform_digest: null, launchable: false });
});

it('the token pushes to its repository alone, and not at all without it', async () => {
  const { body: intent } = await publish(where('three'));

  await expect(push('four', intent.token)).rejects.toThrow();
  await expect(push('three', 'no.such.token')).rejects.toThrow();

  await expect(push('three', intent.token)).resolves.toMatchObject({ digest: expect.stringMatching(/^sha256:/) });
});

it('the token is shown once to the one who asked, and is in no event and no table', async () => {
  const { body } = await publish(where('five'), { 'idempotency-key': 'publish-five' });

  const kept = await context.store.read(async (tx) => [
    await tx.events.list({ after: 0, limit: 1000 }),
    await tx.idempotent_answers.list(),
  ]);

  expect(body.token).toMatch(/^ey/);
  expect(JSON.stringify(kept)).toContain(where('five'));
  expect(JSON.stringify(kept)).not.toContain(body.token);
});

it('is refused for a registry that is not ours, and to people of a project', async () => {
  const body = { repository: 'registry.example.com/curated/one' };

  const foreign = await call('POST', '/api/v1/artifacts/publish', { as: 'operator', body });
  const member = await call('POST', '/api/v1/artifacts/publish', { as: 'member', body: { repository: where('six') } });

  expect(foreign.body.error).toMatchObject({ code: 'artifact.refused' });
  expect(member.status).toBe(403);
});

/** Leads to the control plane, and knows how many bytes it was sent. */
async function countingProxy(): Promise<{ url: string; sent(): number }> {
  let bytes = 0;
  const server = createServer((socket) => {
    const target = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.pipe(target).pipe(socket);
    for (const each of [socket, target]) each.on('error', () => each.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: () => bytes };
}

const operator = (words: string) => runGpuaas({ url, token: tokens['operator'] ?? '' }, words.split(' '));

it('one command pushes an image, registers and verifies it, and no byte of it goes through the control plane (X-8)', async () => {
  const proxy = await countingProxy();
  const layer = randomBytes(4 * 1024 ** 2);
  const layout = writeLayout(join(folder, 'layout'), { layers: [layer, 'a second layer'] });
  const push = () =>
    runGpuaas({ url: proxy.url, token: tokens['operator'] ?? '' }, [
      ...['artifacts', 'push', `${prefix}-pushed`, layout.folder, where('pushed')],
      ...['--revision', 'abc', '--json'],
    ]);

  const first = await push();
  const again = await push();

  const artifact = JSON.parse(first.out);
  expect([first.status, again.status]).toEqual([0, 0]);
  expect(artifact).toMatchObject({ trust: 'verified', digest: layout.digest, provenance: { revision: 'abc' } });
  expect(JSON.parse(again.out).id).toBe(artifact.id);
  expect(proxy.sent()).toBeGreaterThan(0);
  expect(proxy.sent()).toBeLessThan(32 * 1024);
});

it('a push of what another repository has already, or to a tag, is refused before a byte is sent', async () => {
  const layout = writeLayout(join(folder, 'twice'), { layers: [randomBytes(64)] });
  const push = (to: string) => operator(`artifacts push ${prefix}-twice ${layout.folder} ${to} --json`);
  const { id } = JSON.parse((await push(where('twice'))).out);

  const elsewhere = await push(where('elsewhere'));
  const tagged = await push(`${where('tagged')}:latest`);

  expect(JSON.parse(elsewhere.out).failure).toMatchObject({
    code: 'resource.conflict',
    message: expect.stringContaining(id),
  });
  expect(JSON.parse(tagged.out).failure).toMatchObject({ code: 'command.invalid' });
  const has = await fetch(`http://${where('elsewhere').replace('/', '/v2/')}/manifests/${layout.digest}`);
  expect(has.status).not.toBe(200);
});

it('verify fails where the registry has no such image', async () => {
  const reference = `${where('nothing')}@sha256:${'0'.repeat(64)}`;
  const { id } = JSON.parse((await operator(`artifacts register ${prefix}-nothing ${reference} --json`)).out);

  expect((await operator(`artifacts verify ${id} --json`)).status).toBe(1);
});

it('the commands that it names as next steps work as they are printed', async () => {
  const layout = writeLayout(join(folder, 'steps'), { layers: [randomBytes(64)] });
  const linesOf = (text: string, command: string) =>
    text.split('\n').flatMap((line) => (line.includes(`gpuaas ${command}`) ? [line.slice(line.indexOf(command))] : []));

  const intent = await operator(`artifacts publish ${where('steps')}`);
  const [push = ''] = linesOf(intent.err, 'artifacts push');
  const pushed = await operator(push.replace('NAME', `${prefix}-steps`).replace('FOLDER', layout.folder));
  const [promote = ''] = linesOf(pushed.err, 'artifacts promote');
  const promoted = await operator(promote);
  const [register = ''] = linesOf(intent.err, 'artifacts register');
  const other = register.replace('NAME', `${prefix}-steps-again`).replace('$(cat digest)', layout.digest);

  expect([intent.status, pushed.status, promoted.status]).toEqual([0, 0, 0]);
  expect(promoted.out).toMatch(/^lifecycle +promoted$/m);
  expect(await operator(other)).toMatchObject({ status: 0, out: expect.stringMatching(/^trust +unverified$/m) });
});

it.each<[string, (folder: string) => void, string]>([
  ['is no image', () => undefined, 'index.json cannot be read (ENOENT)'],
  [
    'was changed',
    (at) => {
      const { digest } = writeLayout(at);
      writeFileSync(join(at, 'blobs', ...digest.split(':')), '{}');
    },
    'has another digest than its name',
  ],
])('a folder that %s is refused before anything is asked of anybody', async (_what, make, message) => {
  const at = join(folder, `wrong-${randomBytes(4).toString('hex')}`);
  mkdirSync(at);
  make(at);

  const { status, err } = await operator(`artifacts push x ${at} ${where('wrong')}`);

  expect([status, err]).toEqual([2, expect.stringContaining(message)]);
});
