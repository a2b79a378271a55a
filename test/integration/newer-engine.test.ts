/**
 * What a launch can ask for, on an engine of a newer generation than the ground's (26.1): folders of both kinds, a secret and a
 * port. Engines fill in more from release to release, and a seal has to hold on what they show.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { newerEngineEnv } from '../../bootstrap/dev/newer-engine.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { containerOf, succeeded } from '../support/looking.ts';
import { openPool, ownPool } from '../support/open-pool.ts';
import { ask, newRevision, sharingJob } from '../support/sharing-jobs.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { expectWholeJobs } from '../support/whole-job.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpn-'));
let engine: PrivateEngine;
let host: TestHost;
let closePool: (() => Promise<void>) | undefined;

beforeAll(async () => {
  engine = await startPrivateEngine(join(folder, 'e'), { env: await newerEngineEnv() });
  const network_pool = ownPool();
  host = await openTestHost({ engineSocket: engine.socketPath, policy: { network_pool } });
  closePool = await openPool(network_pool);
});
afterAll(async () => {
  await closePool?.();
  await host?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('runs, starts again and takes away a workload with folders, a secret and a port', async () => {
  const params = host.launchParams(await host.image('tiny'), {
    mounts: [
      { name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false },
      { name: 'data', path: '/data', mode: 'scratch', read_only: true },
    ],
    sealed_files: { '/run/secrets/key': await sealed('a secret') },
    ports: [{ name: 'web', container_port: 8000, host_port: await freePort(18_000), protocol: 'tcp' }],
    readiness: [{ type: 'exec', command: ['/bin/test', '-s', '/run/secrets/key'], timeout_seconds: 60 }],
  });
  const { identity } = params;

  const launched = await host.run('workload.oci_launch', params);
  const restarted = await host.run('workload.oci_control', { identity, action: 'restart', grace_seconds: 0 });
  const show = '(cat /run/secrets/key; touch /workspace/a && echo " kept"; touch /data/a) 2>&1';
  const { tail } = await host.engine.exec(containerOf(params), ['/bin/sh', '-c', show], {
    signal: AbortSignal.timeout(60_000),
  });
  const removed = await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 });

  expect(succeeded(launched).state).toBe('running');
  expect(succeeded(restarted).state).toBe('running');
  expect(tail).toMatch(/^a secret kept\n.*\/data\/a: Read-only file system/);
  expect(removed.status).toBe('succeeded');
});

it('runs jobs to their ends', async () => {
  await expectWholeJobs(host, await host.image('tiny'), 'runc');
});

it('has jobs share services, while each finds its own by its name', async () => {
  const revision = newRevision();
  const ground = { allocation: host.policy.allocation.id, tiny: await host.image('tiny') };
  const line = `${ask}; wget -qO- http://helper:8080/said`;

  const both = ['one', 'two'].map(async (helper) => {
    const { output } = await host.run('workload.job_launch', sharingJob(ground, revision, line, { helper }));
    return (output as JobTaskOutput).report?.steps[0]?.results['said'];
  });

  const [first, second] = await Promise.all(both);
  expect([first?.[1], second?.[1]]).toEqual(['one', 'two']);
  expect([first?.[0], second?.[0]].sort()).toEqual(['1', '2']);
  await host.jobs.groups.endIdle({ engine: host.engine, idleSeconds: 0 });
});

async function sealed(text: string): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(host.key.publicJwk, 'ECDH-ES'));
}
