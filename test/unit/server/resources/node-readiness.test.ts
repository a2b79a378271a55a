import { describe, expect, it } from 'vitest';
import { taskTypes } from '../../../../src/contract/tasks.ts';
import type { Node } from '../../../../src/server/db/entities/node.ts';
import { driftOf, readinessOf } from '../../../../src/server/resources/node-readiness.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { aNode, inventory, runtimeStatus } from '../../../support/launch-samples.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

type Runtime = NonNullable<Node['runtime']>;
type Probe = Runtime['runtimes'][number];

const docker: Probe = {
  ...{ name: 'docker', state: 'ready', found: '/usr/bin/docker', searched: [], version: '28.1', approved: true },
  reason: null,
};
const engine: NonNullable<Runtime['engine']> = {
  ...{ version: '28.1', api_version: '1.49', runtimes: ['runc', 'nvidia'], storage_driver: 'overlay2' },
  ...{ cgroup_driver: 'systemd', cgroup_version: '2', root_dir: '/var/lib/docker' },
};
const sound = { runtimes: [docker], compose_version: '2.26.1', engine, gpus: [sampleGpu()] };
const disk = { total: 100, reserved: 10, used: 20, free: 70 };
const host = (given: Partial<Runtime> = {}) => {
  const { resources } = runtimeStatus();
  return aNode({ runtime: runtimeStatus({ ...sound, resources: { ...resources, disk_gib: disk }, ...given }) });
};

function withFinding(blocks: boolean) {
  const finding = {
    name: 'engine.limits',
    status: 'fail',
    found: 'No limit for pids can be enforced.',
    fix: 'Enable it.',
  };
  const health = { ok: 20, warn: 0, fail: 1, skipped: 0, findings: [{ ...finding, status: 'fail' as const, blocks }] };
  return { ...inventory(), health };
}

describe('the readiness of a node', () => {
  it.each<[string, Partial<Node>, boolean, string, string[]]>([
    ['says so itself', {}, true, 'ready', []],
    ['is not heard of', {}, false, 'unknown', ['It is not connected']],
    ['has never said anything', { runtime: null }, true, 'unknown', ['It has not said yet']],
    [
      'has an engine that is away',
      { runtime: runtimeStatus({ ready: false, reasons: ['Docker does not answer.'] }) },
      true,
      'not_ready',
      ['Docker does not answer.'],
    ],
    [
      'has a doctor who says that no launch gets through',
      { inventory: withFinding(true) },
      true,
      'not_ready',
      ['No limit for pids can be enforced. Enable it.'],
    ],
    ['has a doctor who finds something else', { inventory: withFinding(false) }, true, 'ready', []],
    ['is draining', { drain: true }, true, 'not_ready', ['It is draining.']],
    ['drains itself', { inventory: inventory({ draining: true }) }, true, 'not_ready', ['It is draining: somebody']],
    ['was revoked', { status: 'revoked' }, false, 'not_ready', ['It is revoked.']],
    ['is in quarantine', { status: 'quarantined' }, false, 'not_ready', ['It is quarantined.']],
    [
      'has an agent that cannot launch',
      { task_types: [{ type: 'agent.drain', version: 1 }] },
      true,
      'not_ready',
      ['Its agent cannot carry out workload.oci_launch'],
    ],
  ])('that %s (G-198)', (_what, given, connected, state, reasons) => {
    const readiness = readinessOf({ ...host(), ...given }, connected);

    expect(readiness.state).toBe(state);
    expect(readiness.reasons).toEqual(reasons.map((reason) => expect.stringContaining(reason)));
  });
});

describe('the drift of a node', () => {
  it('is nothing where the host is as its bootstrap left it, or has not said how it is', () => {
    expect(driftOf(host())).toEqual([]);
    expect(driftOf(aNode({ runtime: null, task_types: [] }))).toEqual([]);
  });

  it.each<[string, Node, string, string, RegExp]>([
    [
      'an approved runtime that is gone',
      host({
        runtimes: [
          { ...docker, state: 'not_running' },
          { ...docker, name: 'podman', approved: false },
        ],
      }),
      'container runtime',
      'docker not running, podman ready',
      /^Rebootstrap the host/,
    ],
    ['Compose that is gone', host({ compose_version: null }), 'Compose', 'missing', /^Rebootstrap the host/],
    [
      'a toolkit for cards that is gone while the cards are there',
      host({ engine: { ...engine, gives_cards: null } }),
      'NVIDIA toolkit',
      'missing, and no CDI spec names the cards',
      /^Rebootstrap the host/,
    ],
    [
      'a runtime for cards that is gone, where the agent tells no more',
      host({ engine: { ...engine, runtimes: ['runc'] } }),
      'NVIDIA toolkit',
      'missing, and no CDI spec names the cards',
      /^Rebootstrap the host/,
    ],
    [
      'a disk at its reserve',
      host({ resources: { ...runtimeStatus().resources, disk_gib: { ...disk, used: 91, free: 0 } } }),
      'disk',
      'at 91 of 100 GiB',
      /^Free space/,
    ],
    [
      'an agent of before a task of ours',
      { ...host(), task_types: taskTypes.slice(1).map((type) => ({ type, version: 1 })) },
      'agent',
      `0.1.0, which does not know ${taskTypes[0]} as they are now`,
      /^Update the agent/,
    ],
    ['a clock that is ahead', { ...host(), clock_offset_seconds: 95 }, 'clock', '95 s ahead', /NTP/],
    ['a clock that is behind', { ...host(), clock_offset_seconds: -31 }, 'clock', '31 s behind', /NTP/],
  ])('tells of %s, and what a person does about it (G-197)', (_what, node, what, found, remedy) => {
    expect(driftOf(node)).toEqual([
      { what, expected: expect.any(String), found, remedy: expect.stringMatching(remedy) },
    ]);
  });

  it('is no matter of what is not wanted: no runtime for cards without cards, no clock within bounds', () => {
    expect(driftOf(host({ gpus: [], engine: { ...engine, runtimes: ['runc'] } }))).toEqual([]);
    expect(driftOf(host({ gpus: [sampleGpu({ vendor: 'amd' })], engine: { ...engine, runtimes: ['runc'] } }))).toEqual(
      [],
    );
    expect(driftOf({ ...host(), clock_offset_seconds: 30 })).toEqual([]);
  });

  it.each(['cdi', 'nvidia_ids'] as const)('is no matter of a runtime of NVIDIA where cards are given by %s', (way) => {
    expect(driftOf(host({ engine: { ...engine, runtimes: ['runc'], gives_cards: way } }))).toEqual([]);
  });
});

describe('GET /api/v1/nodes', () => {
  it('shows readiness, time of the last probe and drift of each, and lists by readiness, page by page (G-197, G-198)', async () => {
    const { store, call } = await testServer();
    await store.write(async (tx) => {
      await tx.allocations.insert(anAllocation());
      for (let at = 1; at <= 5; at += 1) {
        const given = at % 2 === 0 ? { compose_version: null } : { ready: false, reasons: ['Docker is away.'] };
        const runtime = runtimeStatus({ ...sound, ...given });
        await tx.nodes.insert(aNode({ id: `n${at}`, allocation_id: anAllocation().id, runtime, drain: at === 4 }));
      }
    });
    const listed = async (query: string) => {
      const { body } = await call('GET', `/api/v1/nodes?${query}`, { as: 'operator' });
      return { ids: body.items.map(({ id }: { id: string }) => id), next: body.next };
    };

    const { body } = await call('GET', '/api/v1/nodes/n2', { as: 'viewer' });
    expect(body).toMatchObject({
      readiness: { state: 'unknown', reasons: [expect.stringContaining('not connected')] },
      probed_at: '2026-11-25T10:00:00.000Z',
      drift: [{ what: 'Compose' }],
    });
    expect(await listed('readiness=not_ready')).toEqual({ ids: ['n4'], next: null });
    expect(await listed('readiness=unknown&limit=2')).toEqual({ ids: ['n5', 'n3'], next: 'n3' });
    expect(await listed('readiness=unknown&limit=2&after=n3')).toEqual({ ids: ['n2', 'n1'], next: null });
    expect(await listed('readiness=ready')).toEqual({ ids: [], next: null });
  });
});
