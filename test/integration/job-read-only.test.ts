/** Jobs whose root is read-only: they write where the plan says and nowhere else, whoever they run as, in every sandbox. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { pushFreshImage } from './engine-images.ts';

const users = ['0', '1000', '2000:2000'] as const;
let dir: string;
let engine: PrivateEngine;
let host: TestHost;
let images: JobPlan['images'];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'read-only-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] });
  const sandboxes = { runc: 'runc', gvisor: GVISOR_RUNTIME };
  host = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes } });
  const shell = readFileSync(`${await unpackPackage('busybox-static')}/bin/busybox`);
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  images = await Promise.all(
    users.map(async (user, index): Promise<JobPlan['images'][number]> => {
      const name = `gpuaas-dev/read-only-${index}`;
      const { repository, digest } = await pushFreshImage(host.registryHost, name, {
        ...{ shell, user, data: { uid: Number.parseInt(user, 10), files: {} } },
      });
      const reference = `${host.registryHost}/${repository}@${digest}`;
      return { id: `user-${index}`, source: { kind: 'registry', reference, media_type } };
    }),
  );
});
afterAll(async () => {
  await host?.close();
  await engine?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const place = '/computalot';
const mounts = [
  ...['scratch', 'artifacts'].map((volume) => ({ volume, path: `${place}/${volume}`, read_only: false })),
  { volume: 'payload', path: `${place}/payload`, read_only: true },
];

/** What each of the users says who tries to write everywhere, one after the other in one job. */
async function tried(sandbox: JobPlan['sandbox'], script: string): Promise<(readonly string[])[]> {
  const channels = ['stdout' as const, 'stderr' as const];
  const base = planOf();
  const plan: JobPlan = {
    ...{ ...base, sandbox, images, network: 'none', read_only_root: true },
    ...{ volumes: ['scratch', 'artifacts', 'payload'].map((name) => ({ name })), resources: base.resources },
    identity: {
      ...{
        ...base.identity,
        job_id: `test-${randomBytes(5).toString('hex')}`,
        allocation_id: host.policy.allocation.id,
      },
    },
    inputs: [
      {
        ...{ id: 'payload', volume: 'payload', required: true, cache_seconds: 0 },
        source: { kind: 'inline', file_name: 'payload.json', text: '{"n": 1}\n' },
      },
    ],
    steps: images.map(({ id }) =>
      step(id, {
        ...{ image: id, command: words('/bin/sh', '-c', script), work_dir: '/data', mounts },
        results: [{ name: 'said', regex: '(.+)', channels }],
      }),
    ),
  };
  const result = await host.run('workload.job_launch', plan);
  const steps = (result.output as JobTaskOutput | null)?.report?.steps ?? [];
  expect({ failure: result.failure, left: await leftOf(host, plan.identity.job_id) }).toEqual({
    failure: null,
    left: [],
  });
  return steps.map(({ results }) => results['said'] ?? []);
}

it.each(['runc', 'gvisor'] as const)(
  'under %s, every user can write to the volumes of its job alone (C-78 to C-80)',
  async (sandbox) => {
    const script = [
      'id -u',
      'for place in scratch artifacts; do echo by $(id -u) > $PLACE/$place/$(id -u); done',
      'cat $PLACE/scratch/* $PLACE/artifacts/*; stat -c %a $PLACE/scratch',
      'cat $PLACE/payload/payload.json; pwd',
      'for file in new $PLACE/payload/new $PLACE/new /new; do (echo x > $file) 2>&1 | sed "s/.*: //"; done',
    ].join('\n');

    const said = await tried(sandbox, script.replaceAll('$PLACE', place));

    const ids = ['0', '1000', '2000'];
    const refused = 'Read-only file system';
    // It may ask first whether the user may write to that folder at all.
    const elsewhere = (id: string) =>
      sandbox === 'gvisor' && id !== '0'
        ? expect.stringMatching(/^(Permission denied|Read-only file system)$/)
        : refused;
    expect(said).toEqual(
      ids.map((id, index) => {
        const by = ids.slice(0, index + 1).map((each) => `by ${each}`);
        return [id, ...by, ...by, '777', '{"n": 1}', '/data', refused, ...Array(3).fill(elsewhere(id))];
      }),
    );
  },
);
