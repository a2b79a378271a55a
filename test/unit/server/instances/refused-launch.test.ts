/** A launch that is refused leaves nothing behind, and a body with a key that nobody knows is no launch. */
import { beforeAll, describe, expect, it } from 'vitest';
import { collectionNames } from '../../../../src/server/db/collections.ts';
import { aNode, anApp, anArtifact, aRequest, aVersion } from '../../../support/launch-samples.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const path = '/api/v1/app-instances';
let key = 0;

beforeAll(async () => {
  await server.store.write(async (tx) => {
    await tx.nodes.insert(aNode({ runtime_at: '2026-11-25T10:00:00.000Z' }));
    await tx.allocations.insert(anAllocation({ node_id: 'node-1' }));
    await tx.apps.insert(anApp());
    await tx.app_versions.insert(aVersion());
    await tx.artifacts.insert(anArtifact());
    const at = '2026-11-25T10:00:00.000Z';
    await tx.entitlements.insert({
      ...{ id: 'e1', app_slug: 'jupyterlab', project_id: 'p1', created_by: 'seed', created_at: at },
    });
  });
});

/** Of every collection but the audit log, which is to know of refusals. */
async function everything() {
  return server.store.read(async (tx) => {
    const names = collectionNames.filter((name) => !/audit/.test(name));
    const rows = await Promise.all(names.map(async (name) => [name, await tx[name].list()]));
    return { rows, events: await tx.events.range() };
  });
}

async function launch(body: object) {
  key += 1;
  return server.call('POST', path, { as: 'member', body, headers: { 'idempotency-key': `key-${key}` } });
}

describe('POST /api/v1/app-instances', () => {
  it.each<[string, object, string[]]>([
    [
      'of three checks at once',
      { app_version: 'none', placement_intent: {}, artifact_id: 'none' },
      ['launch.allocation_missing', 'launch.version_not_found'],
    ],
    [
      'of artifact, amounts and port together',
      {
        ...{ artifact_id: 'none', config: { host_port: 80 }, resource_overrides: { gpu_count: 5, memory_gib: 4096 } },
        access_credential_id: 'none',
      },
      [
        ...['launch.artifact_not_found', 'launch.values_invalid', 'launch.values_invalid'],
        ...['launch.resources_exceed_allocation', 'launch.resources_exceed_allocation'],
      ],
    ],
  ])('refused because %s says all of it and keeps nothing, not even an answer (G-116)', async (_what, given, codes) => {
    const before = await everything();

    const { status, body } = await launch(aRequest(given));

    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.error.errors.map(({ code }: { code: string }) => code)).toEqual(codes);
    expect(await everything()).toEqual(before);
  });

  it.each<[string, object, string]>([
    [
      'the placement of Slurm (G-105)',
      { placement_intent: { controller_allocation_id: 'x' } },
      '/placement_intent/controller_allocation_id',
    ],
    [
      'the placement of RKE2 (G-106)',
      { placement_intent: { server_allocation_id: 'x' } },
      '/placement_intent/server_allocation_id',
    ],
    ['a path of the host (G-205)', { host_path: '/etc' }, '/host_path'],
    ['mounts (G-205, G-216)', { mounts: [{ source: '/var/run/docker.sock' }] }, '/mounts'],
    ['an image (G-215)', { image: 'docker.io/library/x:latest' }, '/image'],
    ['a digest beside the artifact (G-215)', { digest: 'sha256:x' }, '/digest'],
    ['a document of Compose (G-97)', { compose: 'services: {}' }, '/compose'],
    ['privileges (G-216)', { privileged: true }, '/privileged'],
    ['capabilities (G-216)', { cap_add: ['SYS_ADMIN'] }, '/cap_add'],
    ['devices (G-216)', { devices: ['/dev/mem'] }, '/devices'],
    ['the network of the host (G-216)', { network_mode: 'host' }, '/network_mode'],
    ['an amount nobody knows (G-103)', { resource_overrides: { disk_gib: 4 } }, '/resource_overrides/disk_gib'],
  ])('takes no key for %s', async (_what, given, pointer) => {
    const before = await everything();

    const { status, body } = await launch({ ...aRequest(), ...given });

    expect(status).toBe(400);
    expect(body.error.code).toBe('request.invalid');
    expect(body.error.errors.map((error: { path: string }) => error.path)).toContain(pointer);
    expect(await everything()).toEqual(before);
  });
});
