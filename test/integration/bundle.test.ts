/** The bundle of the agent does what the sources do: a task on the real engine, and a session with a real control plane. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildAgent } from '../../bootstrap/dev/build.ts';
import { type DaemonGround, openDaemonGround, outputOf } from '../support/daemon-ground.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { readyAtOnce } from '../support/test-host.ts';

let ground: DaemonGround;
let program: string;

beforeAll(async () => {
  ground = await openDaemonGround();
  program = await buildAgent(join(ground.host.folder, 'dist'));
});
afterAll(async () => await ground?.close());

it('has beside it the licence of every package that its source map names', () => {
  const { sources } = JSON.parse(readFileSync(`${program}.map`, 'utf8')) as { sources: string[] };
  const names = sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []);
  const licences = readFileSync(join(dirname(program), 'THIRD-PARTY-LICENSES'), 'utf8');
  const told = licences.split(/^={80}$/m).map((licence) => licence.trim());

  expect(new Set(told.map((licence) => licence.split(' ')[0]))).toEqual(new Set(names));
  expect(told.filter((licence) => !/copyright/i.test(licence))).toEqual([]);
  expect(names).toContain('dockerode');
});

it('carries out a task from the command line', async () => {
  const params = ground.host.launchParams(await ground.host.image('tiny'), { readiness: readyAtOnce });
  const file = join(ground.host.folder, 'task.json');
  writeFileSync(file, JSON.stringify({ type: 'workload.oci_launch', params }));

  const { code, result } = await startNodeAgent(['run-task', file, '--config', ground.host.configFile], { program })
    .ended;

  expect({ code, status: result?.status }).toEqual({ code: 0, status: 'succeeded' });
});

it('finds what doctor looks at', async () => {
  const { stdout } = await startNodeAgent(['doctor', '--json', '--config', ground.configFile], { program }).ended;

  expect(JSON.parse(stdout).checks.length).toBeGreaterThan(5);
});

it('runs as the daemon: connects, and launches what the control plane asks for', async () => {
  ground.start({ program });
  await ground.connected();

  const params = ground.host.launchParams(await ground.host.image('tiny'), { readiness: readyAtOnce });
  const id = await ground.enqueue('workload.oci_launch', params);

  expect(outputOf(await ground.result(id)).state).toBe('running');
});
