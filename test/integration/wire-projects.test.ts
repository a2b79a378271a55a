/** A project from its folder to its output, by the CLI, with a real control plane, agent, gate and engine, under gVisor. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildLabels, labels } from '../../src/contract/names.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openProjectWire, type ProjectWire } from '../support/project-wire.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { taggedImage } from '../support/tagged-image.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, type Wire } from '../support/wire-ground.ts';

const folder = temporaryFolder('wire-projects');
let ground: ProjectWire;
let wire: Wire;
let image: string;

beforeAll(async () => {
  image = await taggedImage();
  ground = await openProjectWire(folder);
  wire = ground.wire;
}, 240_000);
afterAll(() => ground?.close());

const manifest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['/bin/sh', 'job.sh'] },
  requirements: { cpu: 0.5, memory_mb: 128 },
  artifacts: { upload: [{ name: 'result', path: 'result.txt', required: true }] },
};
const script = `cat "$COMPUTALOT_TASK_PAYLOAD" fixed.txt noted.txt > "$COMPUTALOT_ARTIFACT_DIR/result.txt"; echo done`;

function project(name: string, files: Readonly<Record<string, string>>): string {
  const at = join(folder, name);
  mkdirSync(at);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(at, file), content);
  return at;
}

const engineGet = async <T>(path: string) => (await engineCall<T>(ground.engine.socketPath, 'GET', path)).body;

async function run(...args: readonly string[]) {
  const { code, stdout, stderr } = await wire.member.cli('jobs', ...args).ended;
  return { code, stdout, stderr, last: stdout.trim().split('\n').at(-1) ?? '' };
}

it('is pushed, built by its host, run with what the job gives it, and kept; the host that built it is known, and signs what it has run (C-4, C-23, X-14, X-15)', async () => {
  // A shell of its own has a here-document where the builder has none.
  const init = { commands: [{ command: ['/bin/sh', '-c', 'cat > noted.txt <<EOF\n and $((1<<4)) noted\nEOF'] }] };
  const at = project('sound', {
    'computalot.project.json': JSON.stringify({ ...manifest, runtime: { ...manifest.runtime, init } }),
    Dockerfile: `FROM ${image}\nCOPY job.sh fixed.txt /workspace/\n`,
    'job.sh': script,
    'fixed.txt': ' and fixed',
  });
  const pushed = await run('push', at, '--json');
  expect(pushed).toMatchObject({ code: 0 });
  const { sha256, accepting_jobs, prepared_on, bases } = JSON.parse(pushed.last);
  expect([accepting_jobs, prepared_on]).toEqual([true, []]);
  const payload = join(folder, 'payload.json');
  writeFileSync(payload, '{"rounds": 3}');

  const asked = ['--payload', payload, '--requirements', '{"memory_mb": 192}'];
  const submit = ['submit', '--revision', sha256, ...asked, '--wait', '--json'];
  const { code, last, stderr } = await run(...submit);

  expect({ code, stderr }).toMatchObject({ code: 0 });
  const job = JSON.parse(last) as JobView;
  expect(job.outputs.map(({ name }) => name)).toContain('build.log');
  expect(job).toMatchObject({ state: 'succeeded', dialect: 'computalot', steps: [{ id: 'task', exit_code: 0 }] });
  const got = join(folder, 'result.txt');
  expect(await run('artifacts', job.id, 'result', '--output', got)).toMatchObject({ code: 0 });
  expect(readFileSync(got, 'utf8')).toBe('{"rounds":3} and fixed and 16 noted\n');
  expect((await run('logs', job.id)).stdout).toBe('task | done\n');
  const said = (await run('logs', job.id, '--step', 'build')).stdout;
  expect(said).toMatch(/^Step 1 of \d+: FROM /);
  expect(said.split('COPY job.sh')).toHaveLength(2);
  expect((await run('revisions', 'describe', sha256)).stdout).toContain(wire.nodeId);

  const [receipt, keys] = [join(folder, 'receipt.jws'), join(folder, 'keys.json')];
  const signed = JSON.parse((await run('receipt', job.id, '--output', receipt, '--json')).last);
  const filters = encodeURIComponent(JSON.stringify({ label: [`${buildLabels.project}=${job.project_id}`] }));
  const [built] = await engineGet<{ Id: string }[]>(`/images/json?filters=${filters}`);
  const { Version: engine } = await engineGet<{ Version: string }>('/version');
  expect(signed.said.images).toEqual([
    {
      ...{ id: 'project', image_id: built?.Id, reference: `revision@sha256:${sha256}` },
      provenance: { revision_sha256: sha256, bases: [bases[0].reference], builder: 'docker-classic', engine },
    },
  ]);
  expect(await wire.admin.cli('nodes', 'keys', wire.nodeId, '-o', keys).ended).toMatchObject({ code: 0 });
  const verified = await run('verify', receipt, '--key', keys, '--document', join(at, 'computalot.project.json'));
  expect([verified.code, verified.stdout]).toEqual([
    0,
    expect.stringContaining(`image project: ${built?.Id}, revision`),
  ]);

  const again = await run(...submit);
  expect(again).toMatchObject({ code: 0 });
  const second = JSON.parse(again.last) as JobView;
  expect(second.outputs.map(({ name }) => name)).not.toContain('build.log');
});

it('that cannot be a revision is told all that is wrong before anything is sent', async () => {
  const at = project('unsound', {
    'computalot.project.json': JSON.stringify({ ...manifest, version: 0, validation: { files: ['none.txt'] } }),
    'job.sh': script,
  });

  const { code, stderr } = await run('push', at);

  expect(code).toBe(3);
  expect(stderr).toContain('version must be a positive integer');
  expect(stderr).toContain('build.dockerfile does not exist in the tarball');
  expect(stderr).toContain('/validation/files/0: is no file of the tarball');
});

/** Containers of builds, of which the engine has no other. */
async function building(): Promise<{ readonly Id: string; readonly State: string }[]> {
  const all =
    await engineGet<{ Id: string; State: string; Labels: Record<string, string> }[]>('/containers/json?all=1');
  return all.filter(({ Labels }) => Labels[labels.instance] === undefined);
}

/** All of them as soon as one runs that was not there before. */
async function nextBuild(...before: readonly string[]): Promise<string[]> {
  let found: Awaited<ReturnType<typeof building>> = [];
  await until(async () => {
    found = await building();
    return found.some(({ Id, State }) => State === 'running' && !before.includes(Id));
  }, 'a build to be at work');
  return found.map(({ Id }) => Id);
}

/** Resolves once it has printed that, while it runs. To be called at once: what came before is not seen. */
async function printed({ child, ended }: RunningTask, wanted: RegExp): Promise<void> {
  let text = '';
  const found = Promise.withResolvers<void>();
  child.stdout?.on('data', (more: Buffer) => {
    text += more;
    if (wanted.test(text)) found.resolve();
  });
  const early = ended.then(({ stderr }) => Promise.reject(new Error(`it ended before: ${stderr}`)));
  await Promise.race([found.promise, early]);
}

/** What builds have left for which there is no image. */
async function layers(): Promise<unknown[]> {
  const filters = { label: [`${buildLabels.allocation}=${wire.allocationId}`], dangling: ['true'] };
  return await engineGet(`/images/json?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`);
}

it('a build ends with a job that is cancelled; the next job of the revision builds and runs, also where its agent is killed meanwhile', async () => {
  const at = project('waits', {
    'computalot.project.json': JSON.stringify({ ...manifest, artifacts: {} }),
    Dockerfile: `FROM ${image}\nCOPY job.sh /workspace/\nRUN echo waits; trap "exit 0" USR1; while :; do sleep 0.05; done\n`,
    'job.sh': 'echo done',
  });
  const { sha256 } = JSON.parse((await run('push', at, '--json')).last);
  const submit = async () => JSON.parse((await run('submit', '--revision', sha256, '--json')).last) as JobView;
  const jobOf = async (id: string) => ok(await wire.member.call('GET', `/api/v1/jobs/${id}`)) as JobView;
  const left = async (id: string) => await leftOf({ engineSocket: ground.engine.socketPath }, id);

  const given = await submit();
  const said = wire.member.cli('jobs', 'logs', given.id, '--step', 'build', '--follow');
  const seen = printed(said, /^waits$/m);
  const first = await nextBuild();
  // It waits for what only this test does: whatever is read of it now is read before it is over.
  await seen;
  const onHost = await startNodeAgent(['logs', given.id, '--config', wire.configFile]).ended;
  expect(onHost.stdout).toMatch(/^build \| Step 1 of \d+: FROM [\s\S]*^build \| waits$/m);
  expect((await run('logs', given.id)).stdout).toBe(onHost.stdout);
  expect((await run('cancel', given.id)).stdout).toContain('is cancelled');
  await until(async () => (await building()).length === 0, 'the build to be over');
  const { stdout: followed } = await said.ended;
  expect((await run('logs', given.id, '--step', 'build')).stdout).toBe(followed);
  expect([await left(given.id), (await layers()).length > 0]).toEqual([[], true]);
  const removed = await startNodeAgent(['caches', 'remove', '--all', '--config', wire.configFile]).ended;
  expect([removed.code, await layers()]).toEqual([0, []]);

  const { id } = await submit();
  const second = await nextBuild(...first);
  await wire.agent.stop('SIGKILL');
  await wire.agent.start();
  const third = await nextBuild(...second);
  // One at a time, and never what was begun before.
  expect(new Set([...first, ...second, ...third]).size).toBe(3);
  await until(async () => {
    await engineCall(ground.engine.socketPath, 'POST', `/containers/${third[0]}/kill?signal=USR1`);
    return (await building()).length === 0;
  }, 'the build to end');
  await until(async () => (await jobOf(id)).state === 'succeeded', 'the job to end');
  expect((await run('logs', id)).stdout).toBe('task | done\n');
  await until(async () => (await left(id)).length === 0, 'its host to have taken it away');
});
