/**
 * The agent killed with SIGKILL while jobs are in every phase at once, and its next life: each job goes on where it was, nothing
 * is run twice, and what has ended meanwhile counts. Its gate is a part of it here, and dies with it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { containerName } from '../../src/contract/names.ts';
import { type DaemonGround, openConnectedGround, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { partsIn } from '../support/inputs-ground.ts';
import { service, words } from '../support/job-plans.ts';
import { aJob } from '../support/job-samples.ts';
import { inspectRaw, statusOf } from '../support/looking.ts';
import { bytesAsked, type Content, contentOf, type LoopbackSource, largeContent } from '../support/loopback-source.ts';
import { type EndedJob, endedJob, leftOf } from '../support/nosana-ground.ts';
import { definition, op, planFor, shared, volumeOp } from '../support/nosana-jobs.ts';
import { type OllamaRegistry, ollamaRegistry } from '../support/ollama-registry.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { s3Server } from '../support/s3-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { pushFreshImage } from './engine-images.ts';
import { dripBlob, onBlob, type RegistryFront, startRegistryFront } from './engine-registry-front.ts';

let front: EngineFront;
let registry: RegistryFront;
let ground: DaemonGround;
let daemon: RunningTask;
/** Of which only the half comes of each range that is asked for, until they are let go. */
const held = { bucket: largeContent(40 * 2 ** 20), registry: largeContent(8 * 2 ** 20) };
const letGo = Promise.withResolvers<void>();
let bucket: LoopbackSource;
let models: OllamaRegistry;
let fresh: { readonly name: string; readonly reference: string; readonly layer: string };

beforeAll(async () => {
  const { host } = await ensureRegistry();
  front = await startEngineFront(join(temporaryFolder('job-kill'), 'engine.sock'), (await ensureEngine()).socketPath);
  registry = await startRegistryFront(host);
  const shell = readFileSync(join(await unpackPackage('busybox-static'), 'bin/busybox'));
  const pushed = await pushFreshImage(registry.host, `fresh/${randomBytes(4).toString('hex')}`, { shell });
  const name = `${registry.host}/${pushed.repository}`;
  fresh = { name: `${name}:1`, reference: `${name}@${pushed.digest}`, layer: pushed.layers[0] ?? '' };
  const registries = [host, registry.host].map((each) => ({ host: each, prefixes: [''] }));
  const small = { 'a.txt': contentOf('a'), 'b.txt': contentOf('b') };
  bucket = await s3Server([{ name: 'data', objects: { ...small, large: halfOf(held.bucket) } }], { style: 'path' });
  models = await ollamaRegistry('library/small', 'latest', [halfOf(held.registry), contentOf('template')]);
  const inputs = {
    allow: [bucket, models, models.store].map(({ origin }) => new URL(origin).host),
    endpoints: { ollama: models.origin },
  };
  ({ ground, daemon } = await openConnectedGround({ policy: { registries }, inputs }, ({ folder }) => ({
    gate: {
      ...{ socket: join(folder, 'no-gate.sock'), state_dir: join(folder, 'gate') },
      engine_socket: front.socketPath,
    },
  })));
});
afterAll(async () => {
  await ground?.close();
  if (ground && fresh) await engineCall(ground.host.engineSocket, 'DELETE', `/images/${fresh.reference}`);
  await front?.close();
  await registry?.close();
});

function halfOf(content: Content): Content {
  return {
    ...content,
    async *read(start, end) {
      let left = (end - start) / 2;
      for await (const block of content.read(start, end)) {
        left -= block.length;
        if (left < 0) await letGo.promise;
        yield block;
      }
    },
  };
}

interface BegunJob {
  readonly id: string;
  readonly task: string;
  /** Resolves when the control plane has heard that of the op. */
  heard(type: 'step.started' | 'step.ended', op: string): Promise<void>;
  ended(): Promise<EndedJob>;
}

async function planOf(ops: Parameters<typeof definition>[0]): Promise<JobPlan> {
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  return await planFor(ground.host, definition([volumeOp('shared'), ...ops]), {
    pins: { [fresh.name]: { reference: fresh.reference, media_type } },
    resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 },
  });
}

async function begin(plan: JobPlan): Promise<BegunJob> {
  const { job_id: id } = plan.identity;
  const task = await ground.enqueue('workload.job_launch', plan);
  const isTold = (type: string, step: string) =>
    ground.sink.records.some(
      ({ kind, body }) =>
        kind === 'task.progress' &&
        body.task_id === task &&
        body.event.type === type &&
        body.event.values['step'] === step,
    );
  return {
    ...{ id, task },
    heard: async (type, step) => await until(() => isTold(type, step), `${type} of ${step}`, 60),
    ended: async () => endedJob(id, await ground.result(task)),
  };
}

function withService(plan: JobPlan): JobPlan {
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
  const image = plan.images[0]?.id ?? '';
  const beside = { ...service('beside'), image, resources, command: words('/bin/sh', '-c', 'exec sleep 1000') };
  return { ...plan, services: [beside], resources: { gpu_count: 0, cpu_cores: 0.3, memory_gib: 0.1875 } };
}

const beginOf = async (...ops: Parameters<typeof definition>[0]) => await begin(await planOf(ops));

/** An op that leaves a line for each time that it runs. */
const counted = (id: string, then = 'true', over: Parameters<typeof op>[2] = {}) =>
  op(id, `echo ${id} >> /v/ran; ${then}`, { ...shared, ...over });
const last = op('last', 'cat /v/ran', shared);
const untilUsr1 = 'trap "exit 0" USR1; while :; do sleep 0.05; done';

async function kill(): Promise<void> {
  daemon.child.kill('SIGKILL');
  expect((await daemon.ended).signal).toBe('SIGKILL');
}

/** A job of which that call of the engine is held back until the agent is killed. */
async function heldAt(what: 'request' | 'answer', method: string, path: RegExp, begun: Promise<BegunJob>) {
  const held = front.hold(what, method, path);
  const job = await begun;
  await held;
  return job;
}

/** The part of an output that the control plane has by now. */
function received(): number {
  const folder = join(ground.host.folder, 'job-outputs/p1');
  try {
    return Math.max(0, ...readdirSync(folder).map((name) => statSync(join(folder, name)).size));
  } catch {
    return 0;
  }
}

it('goes on with jobs that are prepared, start, run, are between two ops, at their outputs, and hand them over', async () => {
  const pulling = Promise.withResolvers<void>();
  registry.rule = onBlob(fresh.layer, (_request, response) => {
    dripBlob(response);
    pulling.resolve();
  });
  const preparing = await beginOf(op('fresh', 'echo fresh >> /v/ran', { ...shared, image: fresh.name }), last);
  await pulling.promise;

  const running = await beginOf(
    counted('before'),
    counted('short', untilUsr1, { execution: { group: 'g' } }),
    counted('long', untilUsr1, { execution: { group: 'g' } }),
    op('sorted', 'sort /v/ran', shared),
  );
  await Promise.all(['short', 'long'].map((id) => running.heard('step.started', id)));

  const between = await heldAt(
    ...(['request', 'POST', /\/containers\/create\?name=[^&]+\.after$/] as const),
    beginOf(counted('first'), counted('after'), last),
  );
  const starting = await heldAt('answer', 'POST', /\/containers\/[^/]+\/start$/, beginOf(counted('starting'), last));
  const atOutputs = await heldAt(
    ...(['request', 'GET', /\/containers\/[^/]+\/archive\?/] as const),
    begin(withService(await planOf([counted('writes', 'echo kept > /out/file', { output: '/out' }), last]))),
  );

  const plan = await planOf([
    counted('large', 'dd if=/dev/urandom of=/out/file bs=1M count=16 2>&-', { output: '/out' }),
    last,
  ]);
  await ground.write((tx) => tx.jobs.insert(aJob({ id: plan.identity.job_id, node_id: ground.nodeId })));
  ground.proxy.throttle(6 * 2 ** 20);
  const handingOver = await begin(plan);
  await until(() => received() >= 4 * 2 ** 20, 'a piece to be there');

  const names = ['short', 'long'].map((id) => containerName(running.id, id));
  const [short, long] = await Promise.all(names.map(async (name) => (await inspectRaw(ground.host, name)).Id));
  await kill();
  registry.rule = undefined;
  ground.proxy.throttle(undefined);
  await ground.host.signal(short ?? '', 'USR1');
  await until(async () => (await statusOf(ground.host, short ?? '')) === 'exited', 'an op to end while nobody looks');
  daemon = ground.start();
  await running.heard('step.ended', 'short');
  await ground.host.signal(long ?? '', 'USR1');

  const begun = [preparing, running, between, starting, atOutputs, handingOver];
  const jobs = await Promise.all(begun.map((job) => job.ended()));
  expect(jobs.map(({ result }) => [result.status, result.failure])).toEqual(begun.map(() => ['succeeded', null]));
  expect(jobs.map((job) => job.said(job.report.steps.at(-1)?.id ?? ''))).toEqual([
    ...[['fresh'], ['before', 'long', 'short'], ['first', 'after'], ['starting'], ['writes'], ['large']],
  ]);
  expect(jobs.flatMap(({ report }) => report.steps.filter(({ attempts }) => attempts !== 1))).toEqual([]);
  expect(['short', 'long'].map((id) => jobs[1]?.step(id).container_id)).toEqual([short, long]);
  const starts = front.reached.filter((line) => line.endsWith('/start'));
  expect(starts).toEqual([...new Set(starts)]);
  expect(begun.map(({ task }) => ground.sink.ended.filter(({ id }) => id === task).length)).toEqual(begun.map(() => 1));
  expect((await Promise.all(begun.map(({ id }) => leftOf(ground.host, id)))).flat()).toEqual([]);

  const [kept, large] = [atOutputs, handingOver].map(({ id }) =>
    jobs.find((job) => job.id === id)?.output.outputs.find(({ kind }) => kind === 'artifact'),
  );
  expect(kept).toMatchObject({ name: 'writes' });
  const there = join(ground.host.folder, 'job-outputs/p1', large?.sha256 ?? '');
  await until(() => readdirSync(join(there, '..')).includes(large?.sha256 ?? ''), 'the output to be there', 60);
  expect(createHash('sha256').update(readFileSync(there)).digest('hex')).toBe(large?.sha256);
});

it('ends jobs that are cancelled while nobody is there, and what ran of them', async () => {
  const jobs = await Promise.all([1, 2].map(() => beginOf(counted('forever', 'sleep 1000'), last)));
  await Promise.all(jobs.map((job) => job.heard('step.started', 'forever')));
  await kill();

  const [asked, takenBack] = jobs;
  const identity = {
    job_id: asked?.id ?? '',
    project_id: 'project-1',
    allocation_id: ground.host.policy.allocation.id,
  };
  const control = await ground.enqueue('workload.job_control', { identity, action: 'cancel' });
  await ground.cancel(takenBack?.task ?? '');
  daemon = ground.start();

  expect((await ground.result(control)).output).toMatchObject({ state: 'cancelled' });
  expect((await asked?.ended())?.states()).toEqual({ forever: 'cancelled', last: 'cancelled' });
  expect((await ground.result(takenBack?.task ?? '')).status).toBe('cancelled');
  await until(
    async () => (await Promise.all(jobs.map(({ id }) => leftOf(ground.host, id)))).flat().length === 0,
    'nothing to be left',
  );
});

it('fetches of inputs what is missing, from each of several sources, and nothing again', async () => {
  const { dir } = ground.host.policy.inputs;
  const objects = join(dir, 'cache/objects');
  const read = 'cd /in; find . -type f | sort | xargs sha256sum | cut -d " " -f 1';
  const resources = [
    { type: 'S3', url: `${bucket.origin}/data/`, target: '/in/bucket' },
    { type: 'Ollama', model: 'small', target: '/in/model' },
  ] as const;
  const job = await beginOf(op('reads', read, { resources: [...resources] }));
  // Two objects of the bucket; manifest, configuration and template of the model; and of the large ones all that comes for now.
  const isThere = () =>
    existsSync(objects) &&
    readdirSync(objects).length === 5 &&
    partsIn(dir).filter((bytes) => bytes > 3 * 2 ** 20).length === 2;
  await until(isThere, 'what comes of its inputs');
  await kill();
  const parts = partsIn(dir).toSorted((a, b) => a - b);
  const before = [bucket, models.store].map(({ asked }) => asked.splice(0).length);
  letGo.resolve();
  daemon = ground.start();
  const ended = await job.ended();

  expect([ended.result.failure, before.every((count) => count > 0)]).toEqual([null, true]);
  const manifest = createHash('sha256').update(models.manifest).digest('hex');
  const blobs = models.layers.map(({ sha256 }) => sha256).sort();
  const files = [contentOf('a').sha256, contentOf('b').sha256, held.bucket.sha256];
  expect(ended.said('reads')).toEqual([...files, ...blobs, manifest]);
  const again = bucket.asked.filter(({ url }) => !url.includes('list-type'));
  expect(again.filter(({ url }) => !url.startsWith('/data/large'))).toEqual([]);
  expect(models.store.asked.filter(({ url }) => !url.includes(held.registry.sha256))).toEqual([]);
  expect([bytesAsked(models.store.asked, held.registry.size), bytesAsked(again, held.bucket.size)]).toEqual([
    held.registry.size - (parts[0] ?? 0),
    held.bucket.size - (parts[1] ?? 0),
  ]);
});
