/** The proxy of a job is made of the program that runs: also where that is a bundle, or the single binary, which has no sources beside it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildBinary } from '../../bootstrap/dev/sea.ts';
import type { ReleaseArchitecture } from '../../src/contract/release.ts';
import { type Outside, openOutside } from '../support/egress-ground.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { programOf } from '../support/programs.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { ownRange } from './gate-ground.ts';

let host: TestHost;
let outside: Outside;

beforeAll(async () => {
  outside = await openOutside(await ownRange());
  const { open } = outside;
  host = await openTestHost({ policy: { egress: { allow: [`${open}/32`], name_servers: [open] } } });
});
afterAll(async () => {
  await host?.close();
  await outside?.close();
});

it.each(['bundle', 'binary'] as const)('reaches what the list names, made by the %s (M-36)', async (kind) => {
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  const reference = await host.image('tiny');
  const plan = planOf({
    identity: { ...planOf().identity, job_id: `egress-${kind}`, allocation_id: host.policy.allocation.id },
    images: [{ id: 'main', source: { kind: 'registry', reference, media_type } }],
    steps: [
      step('one', {
        command: words('/bin/sh', '-c', 'wget -qO- http://open.example/; wget -qO- http://closed.example/; true'),
        resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.0625 },
        results: [{ name: 'said', regex: '(allowed|inside)', channels: ['stdout'] }],
      }),
    ],
    network: 'allow_list',
    egress: { rules: [{ scheme: 'http', host: 'open.example', port: 80 }], any_public: [] },
  });
  const file = join(host.folder, `${kind}.json`);
  writeFileSync(file, JSON.stringify({ type: 'workload.job_launch', params: plan }));
  const bundle = programOf('node-agent');
  const program = kind === 'bundle' ? bundle : join(host.folder, 'node-agent');
  if (kind === 'binary') await buildBinary(bundle, process.arch as ReleaseArchitecture, program);

  const { result, stderr } = await startNodeAgent(['run-task', file, '--config', host.configFile, '--json'], {
    program,
  }).ended;

  expect(result, stderr).toMatchObject({
    status: 'succeeded',
    output: { report: { steps: [{ results: { said: ['allowed'] } }] } },
  });
});
