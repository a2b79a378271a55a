/** docs/app-developers.md, as somebody follows it: its commands in their order, in one shell, on a real host. */
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { engineCall } from '../support/engine-call.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/app-developers.md'), 'utf8');
const steps = page
  .split(/^## /m)
  .filter((part) => /^\d\. /.test(part))
  .map((part) => [...part.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block).join(''));
let wire: Wire;
let folder: string;
let registry: string;

beforeAll(async () => {
  wire = await openWire();
  folder = join(wire.folder, 'checkout');
  registry = `${(await ensureRegistry()).host}/gpuaas-dev/docs-${randomBytes(4).toString('hex')}`;
  mkdirSync(join(folder, 'fixtures/smoke'), { recursive: true });
  cpSync(join(root, 'fixtures/manifests'), join(folder, 'fixtures/manifests'), { recursive: true });
  // Another environment than quickstart: other names, and a port that is free.
  const inputs = JSON.parse(readFileSync(join(root, 'fixtures/smoke/dev.json'), 'utf8'));
  const here = { project: 'first', placement: { allocation: 'a host' }, config: { host_port: await freePort() } };
  writeFileSync(join(folder, 'fixtures/smoke/dev.json'), JSON.stringify({ ...inputs, ...here }));
  await layoutOf('python', join(folder, 'image-cpu'));
});
afterAll(async () => await wire?.close());

/** An image of the ground as a folder, which is what people get from their builder. */
async function layoutOf(name: 'python', target: string): Promise<void> {
  const ground = { socketPath: (await ensureEngine()).socketPath, host: (await ensureRegistry()).host };
  const [repository = '', digest = ''] = (await ensureImage(ground, name)).reference.split('@');
  const from = `http://${repository.replace('/', '/v2/')}`;
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  mkdirSync(join(target, 'blobs/sha256'), { recursive: true });
  const keep = async (of: string, address: string) => {
    const answer = await fetch(`${from}/${address}/${of}`, { headers: { accept: mediaType } });
    const bytes = Buffer.from(await answer.arrayBuffer());
    writeFileSync(join(target, 'blobs', ...of.split(':')), bytes);
    return bytes;
  };
  const manifest = JSON.parse((await keep(digest, 'manifests')).toString('utf8'));
  for (const blob of [manifest.config, ...manifest.layers]) await keep(blob.digest, 'blobs');
  writeFileSync(join(target, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, digest }] }));
}

it('has five steps, each with commands', () => {
  expect(steps.map((commands) => commands.split('\n').filter((line) => line !== '').length)).toEqual([2, 3, 6, 3, 3]);
});

it('works as it is written, and leaves nothing behind (G-240)', async () => {
  const { exitCode, all } = await execa('sh', ['-eux', '-c', steps.join('\n')], {
    ...{ cwd: folder, all: true, reject: false },
    env: {
      PATH: `${join(root, 'src/cli/bin')}:${process.env['PATH']}`,
      ...{ GPUAAS_URL: wire.url, GPUAAS_TOKEN: wire.admin.token, REGISTRY: registry },
    },
  });

  expect([exitCode, all]).toEqual([0, expect.stringContaining('ok    cleanup')]);
  const { items } = ok(await wire.admin.call('GET', '/api/v1/artifacts?name=runtime-cpu'));
  const [artifact] = items;
  expect(artifact).toMatchObject({ lifecycle: 'retired', provenance: { revision: 'abc1234' } });
  expect(artifact.promotions.map(({ channel }: { channel: string }) => channel)).toEqual(['dev', 'test']);
  const version = ok(await wire.admin.call('GET', '/api/v1/catalog/apps/smoke-stack/versions/1'));
  expect(version).toMatchObject({
    status: 'withdrawn',
    lock: { channel: 'test', artifacts: { 'runtime-cpu': { artifact_id: artifact.id } } },
  });
  const instances = ok(await wire.admin.call('GET', '/api/v1/app-instances')).items;
  expect(instances.map(({ state }: { state: string }) => state)).toEqual(['decommissioned']);
  expect(existsSync(join(folder, '.gpuaas-smoke.json'))).toBe(false);
  expect(readFileSync(join(folder, 'profile.schema.json'), 'utf8')).toBe(
    readFileSync(join(root, 'docs/schemas/launchable_oci_workload_profile.v1.schema.json'), 'utf8'),
  );
  const { socketPath } = await ensureEngine();
  await engineCall(socketPath, 'DELETE', `/images/${registry}/apps/runtime-cpu@${artifact.digest}`);
});
