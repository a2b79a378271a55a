/** Containers of jobs through the gate: what they are, what goes into them and out of them, and what a taken-over agent gets. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publishRoot } from '../../bootstrap/dev/publish.ts';
import { labels } from '../../src/contract/names.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import type { JobContainerRequest } from '../../src/policy/job-request.ts';
import { type JobContainerInput, type JobPart, renderJobContainer } from '../../src/policy/render-job-container.ts';
import { groupOfLabels, type ServiceGroup } from '../../src/policy/service-group.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../../src/runtime/engine.ts';
import { engineCall } from '../support/engine-call.ts';
import { call, type GateGround, newInstance, openGateGround, until } from './gate-ground.ts';

let ground: GateGround;
let engine: ContainerEngine;
let outside: string;
beforeAll(async () => {
  ground = await openGateGround();
  engine = openDockerEngine({ socketPath: ground.gate.socketPath });
  outside = join(ground.folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'treasure'), 'gold');
});
afterAll(async () => {
  engine?.close();
  await ground?.close();
});

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);
const never = () => AbortSignal.timeout(60_000);
const volume = (name: string, path: string, over: Partial<JobPart['mounts'][number]> = {}) => ({
  ...{ volume: name, path, read_only: false, from: 'volume' as const },
  ...over,
});

/** A container of a job that runs this script, as the agent renders it. */
function rendered(job: string, script: string, changes: Partial<JobPart> = {}, over: Partial<JobContainerInput> = {}) {
  const { policy } = ground;
  const reference = over.reference ?? ground.images.tiny;
  return renderJobContainer({
    identity: {
      ...{ project_id: 'project-1', job_id: job, allocation_id: policy.allocation.id, display_name: 'A job' },
      ...{ dialect: 'nosana', document_sha256: 'c'.repeat(64) },
    },
    part: {
      ...{ id: 'step', entrypoint: ['/bin/sh', '-c'], command: [script], env: {}, mounts: [volume('data', '/data')] },
      ...{ aliases: [], ports: [], restart: { policy: 'no', max_retries: 0 } },
      resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.0625, shm_gib: 0.0625 },
      ...changes,
    },
    ...{ sandbox: 'runc', network: 'none', read_only_root: false, log_limits: { max_size_mib: 1, max_files: 2 } },
    image: { id: '', repoDigests: [reference], env: [], volumes: [], workingDir: '', hasHealthcheck: false },
    ...{ policy, reference, cards: noCards, taskId: 'task-1', fencing: 1 },
    ...over,
  });
}

/** Services that jobs of a project share, with a network of theirs. */
async function madeGroup(project: string): Promise<ServiceGroup> {
  const [revision, made_of] = [randomBytes(32).toString('hex'), 'e'.repeat(64)];
  const owner = { [labels.allocation]: ground.policy.allocation.id, [labels.project]: project };
  const id = groupOfLabels({ ...owner, [labels.revision]: revision, [labels.shared]: made_of }) ?? '';
  await engine.ensureNetwork(`gpuaas-${id}`, { ...owner, [labels.instance]: id }, never());
  return { id, revision, made_of };
}

/** Created and not started; answers with its name. */
async function made(...args: Parameters<typeof rendered>): Promise<string> {
  const { name, request: body } = rendered(...args);
  await engine.create(name, body, never());
  return name;
}

/** A tar whose first bytes are these, in hex. */
function named(mark: string): Buffer {
  const tar = tarWith({ a: 'b' });
  tar.write(mark, 'hex');
  return tar;
}

/** Runs a container to its end: the lines that it said, and how it ended. */
async function ran(name: string): Promise<{ said: string[]; code: number }> {
  await engine.start(name, never());
  const code = await engine.wait(name, never());
  const said: string[] = [];
  for await (const { data } of engine.logs(name, { signal: never(), follow: false })) said.push(data.toString());
  return { said, code };
}

/** An image that nobody has but this test, with what is put into its root; by its digest. */
async function imageWith(fill: (root: string) => void): Promise<string> {
  const root = join(ground.folder, newInstance());
  mkdirSync(root);
  fill(root);
  const [registry = ''] = ground.images.tiny.split('/');
  const target = { socketPath: ground.engineSocket, host: registry, repository: `gpuaas-dev/${newInstance()}` };
  return (await publishRoot({ ...target, tag: 'test' }, root, [])).reference;
}

/** A tar with these files. */
function tarWith(files: Readonly<Record<string, string>>): Buffer {
  const folder = join(ground.folder, newInstance());
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const tar = ['-C', folder, '--owner=0', '--group=0', '-cf', '-', ...Object.keys(files)];
  return execFileSync('tar', tar, { maxBuffer: 2 ** 26 });
}

/** Names and content of the files in a tar. */
async function bytesOf(tar: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(tar, (chunk) => Buffer.from(chunk)));
}

async function filesIn(tar: AsyncIterable<Buffer> = Readable.from([])): Promise<string> {
  const input = await bytesOf(tar);
  return execFileSync('tar', ['-xOvf', '-'], { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
}

const engineSays = <T>(method: string, path: string, body?: unknown) =>
  engineCall<T>(ground.engineSocket, method, path, body);
const statusOf = async (name: string) => (await engineSays(`GET`, `/containers/${name}/json`)).status;

describe('a container of a job', () => {
  it('gives what is in its volumes, and nothing that is behind a link on the way', async () => {
    const script = [
      'cd /data; mkdir -p a/b; echo own > a/b/file; ln -s a/b near; ln -s /etc a/etc; ln -s /other far',
      'echo other > /other/file; ln -s /etc/passwd last',
    ].join('\n');
    const mounts = [volume('data', '/data'), volume('other', '/other')];
    const name = await made(newInstance(), script, { mounts });
    expect(await ran(name)).toEqual({ said: [], code: 0 });

    for (const path of ['near/file', 'a/etc/passwd', 'a/etc/ssl/none', 'far/file']) {
      const asked = engine.getArchive(name, `/data/${path}`, never());
      await expect(asked).rejects.toMatchObject({
        code: 'output.refused',
        detail: { reason: /^\/data\/.* is a link\.$/ },
      });
    }

    expect(await filesIn(await engine.getArchive(name, '/data/a/b/file', never()))).toBe('own\n');
    expect(await filesIn(await engine.getArchive(name, '/data/last', never()))).toBe('');
    expect(await engine.getArchive(name, '/data/a/none/file', never())).toBeUndefined();
  });

  it('is written to before it runs, runs as root with less than root has, is read from, and goes with its volumes', async () => {
    const job = newInstance();
    const folder = await engine.ensureInputs(job, 'model', never());
    writeFileSync(join(folder, 'weights'), 'heavy\n');
    const script = [
      'id -u; cat /data/in /models/weights',
      'grep -E "CapEff|NoNewPrivs" /proc/self/status',
      'chown 1234 /data/in && stat -c %u /data/in',
      'mknod /data/disk b 8 0 2>/dev/null || echo no device',
      'echo x 2>/dev/null > /models/new || echo read only',
      'echo x 2>/dev/null > /kept/new || echo kept',
      'pwd; mkdir /data/out; echo result > /data/out/file',
    ].join('\n');
    const mounts = [
      ...[volume('data', '/data'), volume('kept', '/kept', { read_only: true })],
      volume('model', '/models', { from: 'inputs', read_only: true }),
    ];
    const name = await made(job, script, { mounts, work_dir: '/data' });
    await engine.putArchive(name, '/data', Readable.from([tarWith({ in: 'written before\n' })]), never());

    const { said, code } = await ran(name);

    expect(said).toEqual([
      ...['0', 'written before', 'heavy'],
      // The engine's usual set without MKNOD, NET_RAW, SETFCAP, SYS_CHROOT.
      ...['CapEff:\t00000000200005fb', 'NoNewPrivs:\t1', '1234', 'no device', 'read only', 'kept', '/data'],
    ]);
    expect(code).toBe(0);
    expect(await filesIn(await engine.getArchive(name, '/data/out', never()))).toContain('result');
    expect(await engine.getArchive(name, '/data/none', never())).toBeUndefined();
    expect(ground.recorder.requests().filter((line) => line.includes('=%2Fdata%2Fnone'))).toHaveLength(1);
    const names = (await engine.volumes(never())).map((each) => each.name);
    expect(names).toEqual(expect.arrayContaining([`gpuaas-${job}.data`, `gpuaas-${job}.kept`]));
    await expect(engine.removeVolume(`gpuaas-${job}.data`, never())).rejects.toMatchObject({ code: 'engine.failed' });
    await engine.remove(name, never());
    expect(await engine.removeVolume(`gpuaas-${job}.data`, never())).toBe(true);
    expect(await engine.removeVolume(`gpuaas-${job}.data`, never())).toBe(false);
    expect(await engine.removeVolume(`gpuaas-${job}.kept`, never())).toBe(true);
    expect((await engine.removeData(job, { data: true }, never())).removed).toEqual([join(folder, '..')]);
    expect(existsSync(folder)).toBe(false);
  });

  it('is known after a restart of the gate, whoever its image says it is, and starts in the folder of its job', async () => {
    const job = newInstance();
    // Root by its image, with volumes, labels and variables of its own.
    const about = { reference: ground.images.hostile };
    const facts = await engine.image(about.reference, never());
    if (facts === undefined) throw new Error('the image is not there');
    const mounts = [volume('work', '/work')];
    const name = await made(job, 'id -u; pwd; env', { mounts, work_dir: '/work/deep' }, { ...about, image: facts });

    await ground.restartGate();

    expect((await engine.list(never())).map((each) => each.name)).toContain(name);
    const { said } = await ran(name);
    expect(said).toEqual(expect.arrayContaining(['0', '/work/deep', 'NVIDIA_VISIBLE_DEVICES=void']));
    expect(said.join()).not.toMatch(/LD_PRELOAD|LD_LIBRARY_PATH/);
    await engine.remove(name, never());
  });

  it.concurrent('is found by the others of its job by its id and its aliases', async () => {
    const job = newInstance();
    await engine.ensureNetwork(
      `gpuaas-${job}`,
      ground.networkRequest(job)['Labels'] as Record<string, string>,
      never(),
    );
    const over = { network: 'bridge' } as const;
    const web = 'while :; do echo -e "HTTP/1.0 200 OK\\n\\nserved" | nc -l -p 80; done';
    const server = await made(job, web, { id: 'server', aliases: ['web', 'api.local'] }, over);
    await engine.start(server, never());
    const get = (host: string) => `until wget -q -O - http://${host}/ 2>/dev/null; do sleep 0.1; done`;
    const client = await made(job, ['server', 'web', 'api.local'].map(get).join('\n'), { id: 'client' }, over);

    expect((await ran(client)).said).toEqual(['served', 'served', 'served']);
  });

  it.concurrent('gets into no network of services that another project shares, whatever it calls itself', async () => {
    const group = await madeGroup('project-2');
    const { id, revision } = group;
    const { name, request: body } = rendered(newInstance(), 'true', {}, { network: 'bridge', group });
    const service = rendered(id, 'true', {}, { network: 'bridge', group });

    const refused = { code: 'policy.refused' };
    await expect(engine.create(name, body, never())).rejects.toMatchObject(refused);
    await expect(engine.create(service.name, service.request, never())).rejects.toMatchObject(refused);
    expect((await go('POST', `/networks/gpuaas-${id}/connect`, { Container: name })).status).toBe(403);

    expect([await statusOf(name), await statusOf(service.name)]).toEqual([404, 404]);
    const own = { ...body, Labels: { ...body.Labels, [labels.project]: 'project-2' } };
    await engine.create(name, own, never());
    expect((await engineSays<object>('GET', `/containers/${name}/json`)).body).toMatchObject({
      Config: { Labels: { [labels.project]: 'project-2', [labels.revision]: revision } },
      HostConfig: { NetworkMode: `gpuaas-${id}` },
    });
  });

  it.concurrent('finds the services of its job by their names, and none of another job, in a network that both are in', async () => {
    const group = await madeGroup('project-1');
    const over = { network: 'bridge', group } as const;
    const jobs = [newInstance(), newInstance()];
    const serve = (said: string) => `while :; do echo -e "HTTP/1.0 200 OK\\n\\n${said}" | nc -l -p 80; done`;
    const get = (host: string) => `until wget -q -O - http://${host}/ 2>/dev/null; do sleep 0.1; done`;
    for (const job of jobs) await engine.start(await made(job, serve(job), { id: 'embed' }, over), never());
    const shared = rendered(group.id, serve('all'), { id: 'model' }, over);
    await engine.create(shared.name, shared.request, never());
    await engine.start(shared.name, never());

    const ask = `${get('embed')}; ${get('embed')}; ${get('model')}`;
    const said = await Promise.all(
      jobs.map(async (job) => (await ran(await made(job, ask, {}, { ...over, peers: ['embed'] }))).said),
    );

    expect(said).toEqual(jobs.map((job) => [job, job, 'all']));
    // Nobody is called so there.
    const alone = await ran(await made(newInstance(), 'wget -T 2 -qO- http://embed/ || echo nobody', {}, over));
    expect(alone.said).toContain('nobody');
  });

  it.concurrent('has no network but the loopback where its job has none, and no root to write to where that is closed', async () => {
    const script = 'ls /sys/class/net; touch /new 2>/dev/null || echo closed; touch /data/new && echo open';
    const name = await made(newInstance(), script, {}, { read_only_root: true });

    expect((await ran(name)).said).toEqual(['lo', 'closed', 'open']);
  });

  it('whose root is closed has its volumes opened by another one of its job, which an engine that goes away leaves to it', async () => {
    const job = newInstance();
    const name = await made(job, 'stat -c %a /data', {}, { read_only_root: true });
    const its = async () =>
      (await engine.list(never())).filter((each) => each.labels[labels.instance] === job).map((each) => each.name);
    ground.recorder.before(/^PUT \S+archive/, () => ground.recorder.cut(true));
    await expect(engine.start(name, never())).rejects.toMatchObject({ code: 'engine.unavailable' });
    ground.recorder.cut(false);
    const [left, ...others] = (await its()).filter((each) => each !== name);
    expect([left, others]).toEqual([expect.stringMatching(new RegExp(`^gpuaas-${job}.open-[0-9a-f]{12}$`)), []]);

    const { said } = await ran(name);

    expect(said).toEqual(['777']);
    expect((await its()).toSorted()).toEqual([name, left].toSorted());
    await engine.remove(left ?? '', never());
    expect(await its()).toEqual([name]);
  });
});

describe('a volume of a job', () => {
  const names = (job: string) => ({ container: `gpuaas-${job}.step`, data: `gpuaas-${job}.data` });

  it.concurrent.each<[string, (name: string) => Promise<object>]>([
    ['made by somebody else', async () => ({})],
    ['that is a folder of the host', async () => ({ DriverOpts: { type: 'none', o: 'bind', device: outside } })],
    [
      'that carries the labels of another',
      async () => {
        const other = newInstance();
        await made(other, 'true');
        const { body } = await engineSays<{ Labels: object }>('GET', `/volumes/${names(other).data}`);
        return { Labels: body.Labels, DriverOpts: { type: 'none', o: 'bind', device: outside } };
      },
    ],
  ])('is not taken for its own: %s', async (_whose, options) => {
    const job = newInstance();
    const { container, data } = names(job);
    expect((await engineSays('POST', '/volumes/create', { Name: data, ...(await options(data)) })).status).toBe(201);

    await expect(made(job, 'true')).rejects.toMatchObject({ code: 'name.conflict', detail: { volume: data } });

    expect(await statusOf(container)).toBe(404);
    expect((await engine.volumes(never())).map(({ name }) => name)).not.toContain(data);
    expect(await engine.removeVolume(data, never())).toBe(false);
    expect((await engineSays('DELETE', `/volumes/${data}`)).status).toBe(204);
  });

  it.concurrent('belongs to one project and one allocation', async () => {
    const job = newInstance();
    await made(job, 'true');
    const { name, request: body } = rendered(job, 'true', { id: 'other' });
    const foreign = { ...body, Labels: { ...body.Labels, [labels.project]: 'project-2' } };

    await expect(engine.create(name, foreign, never())).rejects.toMatchObject({ code: 'name.conflict' });
  });

  it.concurrent('is shared by the containers of its job under a name of that job, and by no others (N-22)', async () => {
    const job = newInstance();
    const first = await made(job, 'echo shared > /data/file', { id: 'first' });
    await ran(first);
    const second = await made(job, 'cat /data/file', { id: 'second' });
    expect((await ran(second)).said).toEqual(['shared']);

    const { name, request: body } = rendered(newInstance(), 'cat /data/file');
    const stolen = { ...body.HostConfig, Mounts: [{ ...body.HostConfig.Mounts[0], Source: names(job).data }] };
    const answer = await go('POST', `/containers/create?name=${name}`, { ...body, HostConfig: stolen });

    expect(answer).toMatchObject({ status: 403, json: { errors: [{ path: '/HostConfig/Mounts/0/Source' }] } });
  });
});

describe('a look into a container', () => {
  const bare = { mounts: [] };
  const refused = (path: string) => ({
    ...{ code: 'policy.refused', detail: { errors: [expect.objectContaining({ path })] } },
  });
  const file = { kind: 'file', executable: false };
  const program = { kind: 'file', executable: true };

  it.concurrent('tells what the image has, follows links within it and no link out of it (C-18, C-19)', async () => {
    const reference = await imageWith((root) => {
      for (const name of ['bin', 'etc']) mkdirSync(join(root, name));
      writeFileSync(join(root, 'bin/prog'), '#!/bin/none\n', { mode: 0o755 });
      writeFileSync(join(root, 'etc/text'), 'text');
      const links = { near: 'bin/prog', far: '/etc/text', folder: 'etc', gone: 'nowhere', a: 'b', b: 'a' };
      for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
      symlinkSync(outside, join(root, 'out'));
      symlinkSync(`../../../../../../${outside}/treasure`, join(root, 'climbs'));
      // Longer than anybody needs, and it does lead somewhere.
      symlinkSync('etc/text', join(root, 'l0'));
      for (let at = 1; at <= 20; at += 1) symlinkSync(`l${at - 1}`, join(root, `l${at}`));
    });
    const name = await made(newInstance(), 'true', bare, { reference });
    const look = async (path: string) => (await engine.statPath(name, path, never())) ?? null;
    const seen: Record<string, unknown> = {};
    const expected = {
      ...{ '/': { kind: 'folder', executable: true }, '/bin/prog': program, '/etc/text': file, '/near': program },
      ...{ '/far': file, '/folder': { kind: 'folder', executable: true }, '/folder/text': file, '/l20': file },
      ...{ '/none': null, '/none/at/all': null, '/gone': null, '/a': null, '/etc/text/below': null, '/out': null },
      ...{ '/out/treasure': null, '/climbs': null, [join(outside, 'treasure')]: null, '/../etc/text': file },
    };

    for (const path of Object.keys(expected)) seen[path] = await look(path);

    expect(seen).toEqual(expected);
  });

  it.concurrent('is into one of a job that has no volume and never ran, and by a whole path', async () => {
    const withVolume = await made(newInstance(), 'true');
    const name = await made(newInstance(), 'true', bare);
    const workload = `gpuaas-${await ground.makeInstance()}`;

    await expect(engine.statPath(withVolume, '/bin/sh', never())).rejects.toMatchObject(refused(''));
    await expect(engine.statPath(workload, '/bin/sh', never())).rejects.toMatchObject(refused(''));
    await expect(engine.statPath(name, 'bin/sh', never())).rejects.toMatchObject(refused('?path'));
    expect(await engine.statPath(name, '/bin/sh', never())).toEqual(program);
    await ran(name);
    await expect(engine.statPath(name, '/bin/sh', never())).rejects.toMatchObject(refused(''));
  });
});

describe('an archive', () => {
  const put = (name: string, path: string, body = tarWith({ a: 'b' })) =>
    engine.putArchive(name, path, Readable.from([body]), never());
  const refused = (path: string) => ({
    code: 'policy.refused',
    detail: { errors: [expect.objectContaining({ path })] },
  });

  it.concurrent.each<[string, string]>([
    ['a folder in the volume', '/data/in'],
    ['the volume with a slash', '/data/'],
    ['above the volume', '/'],
    ['elsewhere', '/etc'],
    ['a way out', '/data/../etc'],
    ['what may only be read', '/kept'],
    ['the inputs', '/models'],
  ])('goes nowhere but to a volume that may be written: %s', async (_where, path) => {
    const job = newInstance();
    await engine.ensureInputs(job, 'model', never());
    const mounts = [
      ...[volume('data', '/data'), volume('kept', '/kept', { read_only: true })],
      volume('model', '/models', { from: 'inputs', read_only: true }),
    ];
    const name = await made(job, 'true', { mounts });

    await expect(put(name, path)).rejects.toMatchObject(refused('?path'));
  });

  it.concurrent('does not go into a container that runs, nor into one that ever did', async () => {
    const name = await made(newInstance(), 'trap "exit 0" TERM; while :; do sleep 0.1; done');
    await engine.start(name, never());
    await expect(put(name, '/data')).rejects.toMatchObject(refused(''));

    await engine.stop(name, 10, never());
    await expect(put(name, '/data')).rejects.toMatchObject(refused(''));
  });

  it.concurrent('goes neither into nor out of what is no job', async () => {
    const name = `gpuaas-${await ground.makeInstance()}`;

    await expect(put(name, '/workspace')).rejects.toMatchObject(refused('?path'));
    await expect(engine.getArchive(name, '/workspace', never())).rejects.toMatchObject(refused('?path'));
  });

  it.concurrent('does not come out of anything but a volume', async () => {
    const job = newInstance();
    await engine.ensureInputs(job, 'model', never());
    const mounts = [volume('data', '/data'), volume('model', '/models', { from: 'inputs', read_only: true })];
    const name = await made(job, 'true', { mounts });

    for (const path of ['/', '/etc/passwd', '/database', '/data/../etc/passwd', '/data//x', '/data/.', '/models']) {
      await expect(engine.getArchive(name, path, never()), path).rejects.toMatchObject(refused('?path'));
    }
  });

  it.concurrent('of a link that a container makes while the gate looks leads to nothing but files of the container', async () => {
    const script = `ln -s ${outside} /data/out; ln -s / /data/root; mkdir /tmp/own; echo own > /tmp/own/file; echo ready; sleep 60`;
    const name = await made(newInstance(), script);
    await engine.start(name, never());
    for await (const { data } of engine.logs(name, { signal: never(), follow: true })) {
      if (data.toString() === 'ready') break;
    }

    // As the engine is asked then.
    const archive = (path: string) => engineSays<string>('GET', `/containers/${name}/archive?path=${path}`);
    expect((await archive('/data/out/treasure')).status).toBe(404);
    expect((await archive(`/data/root${outside}/treasure`)).status).toBe(404);
    expect((await archive('/data/root/tmp/own/file')).body).toContain('own');
    await expect(engine.getArchive(name, '/data/root/tmp/own/file', never())).rejects.toMatchObject({
      code: 'output.refused',
    });
    await engine.remove(name, never());
  });

  it.concurrent('that is read while its container is started is no mount that should not be there', async () => {
    const name = await made(newInstance(), 'sleep 60');
    let outcome: unknown;
    const starting = engine.start(name, never()).then(
      () => {
        outcome = 'started';
      },
      (error: unknown) => {
        outcome = error;
      },
    );

    while (outcome === undefined) {
      // What was begun before the start has ended with it.
      await engine
        .getArchive(name, '/data', never())
        .then(filesIn)
        .catch((error: unknown) => expect(error).toMatchObject({ code: 'engine.unavailable' }));
    }
    await starting;

    expect(outcome).toBe('started');
    await engine.remove(name, never());
  });

  it.concurrent('that nobody reads on holds up no start of its container: it is cut off, and can be asked for again', async () => {
    const name = await made(newInstance(), 'sleep 60');
    await put(name, '/data', tarWith({ large: 'x'.repeat(2 ** 24) }));
    const ask = async () => (await engine.getArchive(name, '/data/large', never())) ?? Readable.from([]);
    const chunks = (await ask())[Symbol.asyncIterator]();
    await chunks.next();

    await engine.start(name, never());

    const rest = { [Symbol.asyncIterator]: () => chunks };
    await expect(bytesOf(rest)).rejects.toMatchObject({ code: 'engine.unavailable' });
    expect((await bytesOf(await ask())).length).toBeGreaterThan(2 ** 24);
    await engine.remove(name, never());
  });

  it.concurrent('that is cut off on the way leaves the container as it may be filled again', async () => {
    const name = await made(newInstance(), 'cat /data/a');
    const part = tarWith({ a: 'x'.repeat(2 ** 19) }).subarray(0, 2 ** 18);
    const sent = request({
      socketPath: ground.gate.socketPath,
      method: 'PUT',
      path: `/containers/${name}/archive?path=/data`,
    });
    sent.on('error', () => undefined);
    sent.write(part);
    await until('the engine has begun', () => ground.recorder.requests().some((line) => line.startsWith('PUT ')));
    sent.destroy();

    await put(name, '/data', tarWith({ a: 'whole\n' }));

    expect((await ran(name)).said).toEqual(['whole']);
  });

  it.concurrent('whose source breaks fails with what broke it', async () => {
    const name = await made(newInstance(), 'true');
    const broken = new Readable({
      read() {
        this.destroy(new Error('no such file'));
      },
    });

    await expect(engine.putArchive(name, '/data', broken, never())).rejects.toThrow('no such file');
  });

  it.concurrent('that the engine cannot read is its failure, and nothing of it is left open', async () => {
    const name = await made(newInstance(), 'true');
    const noTar = Buffer.concat([tarWith({ a: 'b' }).subarray(0, 1024), Buffer.alloc(8 * 2 ** 20, 'no tar')]);

    await expect(put(name, '/data', noTar)).rejects.toMatchObject({ code: 'engine.failed' });
    await put(name, '/data');
  });

  it.concurrent.each<[string, () => Buffer]>([
    ['by gzip', () => gzipSync(tarWith({ a: 'b' }))],
    ['by zstd', () => zstdCompressSync(tarWith({ a: 'b' }))],
    ['by xz, as far as its first bytes go', () => named('fd377a585a00')],
    ['by gzip, and is a tar as well', () => named('1f8b08')],
    ['by bzip2, and is a tar as well', () => named('425a68')],
    ['by zstd, and is a tar as well', () => named('28b52ffd')],
    ['by zstd, behind a part to be skipped, and is a tar as well', () => named('502a4d18')],
    ['not at all, and is no tar', () => Buffer.alloc(2 ** 20, 'no tar')],
    ['not at all, and is cut off', () => tarWith({ a: 'b' }).subarray(0, 511)],
    ['not at all, and is nothing', () => Buffer.alloc(0)],
  ])('that the engine might unpack with a program of the container is refused: compressed %s', async (_how, bodyOf) => {
    const name = await made(newInstance(), 'cat /data/a');

    await expect(put(name, '/data', bodyOf())).rejects.toMatchObject(refused(''));

    await put(name, '/data', tarWith({ a: 'plain\n' }));
    expect((await ran(name)).said).toEqual(['plain']);
  });

  it.concurrent('is taken at the pace of its reader, and ends with it', async () => {
    const name = await made(newInstance(), 'dd if=/dev/zero of=/data/large bs=1M count=24');
    await ran(name);
    const tar = await engine.getArchive(name, '/data/large', never());
    if (tar === undefined) throw new Error('nothing came');
    await tar[Symbol.asyncIterator]().next();
    tar.destroy();

    expect(await engine.remove(name, never())).toBe(true);
  });
});

describe('the inputs of a job', () => {
  const inputs = volume('model', '/models', { from: 'inputs', read_only: true });

  it.concurrent('lie where only the gate can change the way to them, for its clients to fill', async () => {
    const folder = await engine.ensureInputs(newInstance(), 'model', never());
    const modes = [folder, join(folder, '..'), join(folder, '../..'), ground.policy.inputs.dir].map((path) => {
      const { uid, mode } = statSync(path);
      return [uid, (mode & 0o777).toString(8)];
    });

    expect(modes).toEqual([
      [0, '775'],
      [0, '755'],
      [0, '755'],
      [0, '750'],
    ]);
    expect(existsSync(join(ground.policy.inputs.dir, 'cache'))).toBe(true);
    expect(await engine.ensureInputs(newInstance(), 'model', never())).not.toBe(folder);
  });

  it.concurrent('are refused where they are not there, or a link has taken their place', async () => {
    const job = newInstance();
    await expect(made(job, 'true', { mounts: [inputs] })).rejects.toMatchObject({ code: 'mount.refused' });

    const folder = await engine.ensureInputs(job, 'model', never());
    rmSync(folder, { recursive: true });
    symlinkSync(outside, folder);
    await expect(made(job, 'true', { mounts: [inputs] })).rejects.toMatchObject({ code: 'mount.refused' });
    await expect(engine.ensureInputs(job, 'model', never())).rejects.toMatchObject({ code: 'mount.refused' });
  });

  it.concurrent.each<[string, (path: string) => void]>([
    ['belongs to somebody else', (path) => chownSync(path, 61_931, 61_931)],
    ['is open to everybody', (path) => chmodSync(path, 0o777)],
  ])('are refused where a folder above %s', async (_what, open) => {
    const job = newInstance();
    const above = join(await engine.ensureInputs(job, 'model', never()), '..');
    const name = await made(job, 'true', { mounts: [inputs] });
    open(above);

    await expect(engine.start(name, never())).rejects.toMatchObject({ code: 'mount.refused', detail: { path: above } });
    await expect(made(job, 'true', { id: 'next', mounts: [inputs] })).rejects.toMatchObject({ code: 'mount.refused' });
  });

  it.concurrent('are not those of another job, and never to be written', async () => {
    const other = await engine.ensureInputs(newInstance(), 'model', never());
    const { name, request: body } = rendered(newInstance(), 'true', { mounts: [inputs] });
    const create = (over: object) => {
      const Mounts = [{ ...body.HostConfig.Mounts[0], ...over }];
      return go('POST', `/containers/create?name=${name}`, { ...body, HostConfig: { ...body.HostConfig, Mounts } });
    };

    for (const over of [
      { Source: other },
      { ReadOnly: false },
      { Source: outside },
      { Source: ground.policy.inputs.dir },
    ]) {
      expect(await create(over), JSON.stringify(over)).toMatchObject({ status: 403, json: { code: 'policy.refused' } });
    }
  });
});

describe('whoever says that a container is of a job', () => {
  type Change = (request: JobContainerRequest, home: string) => object;
  const host =
    (over: object): Change =>
    (request) => ({ ...request, HostConfig: { ...request.HostConfig, ...over } });

  it.concurrent.each<[string, Change]>([
    [
      'a home',
      ({ HostConfig, ...rest }, home) => ({
        ...rest,
        HostConfig: {
          ...HostConfig,
          Mounts: [
            {
              Type: 'bind',
              Source: `${home}/gpuaas/workloads/x/ws`,
              Target: '/data',
              ReadOnly: true,
              BindOptions: { Propagation: 'rprivate' },
            },
          ],
        },
      }),
    ],
    ['a user', (request) => ({ ...request, User: '61931:61931' })],
    ['capabilities', host({ CapAdd: ['SYS_ADMIN'] })],
    ['all that engines give', host({ CapDrop: [] })],
    ['privileges', host({ Privileged: true })],
    ['the network of the host', host({ NetworkMode: 'host' })],
    [
      'an engine that makes volumes of its own',
      host({
        Mounts: [
          {
            Type: 'volume',
            Source: 'gpuaas-x.data',
            Target: '/data',
            ReadOnly: false,
            VolumeOptions: { DriverConfig: { Name: 'local', Options: { type: 'none', o: 'bind', device: '/' } } },
          },
        ],
      }),
    ],
  ])('gets no more for it: %s', async (_what, change) => {
    const job = newInstance();
    const { name, request: body } = rendered(job, 'true');

    const answer = await go('POST', `/containers/create?name=${name}`, change(body, ground.policy.allocation.home));

    expect(answer).toMatchObject({ status: 403, json: { code: 'policy.refused' } });
    expect(await statusOf(name)).toBe(404);
    expect((await engineSays('GET', `/volumes/gpuaas-${job}.data`)).status).toBe(404);
  });

  it.concurrent('or leaves it out, is refused what only jobs have', async () => {
    const instance = newInstance();
    const mounts = [{ Type: 'volume', Source: `gpuaas-${instance}.data`, Target: '/data', ReadOnly: false }];
    const cases = [
      ground.containerRequest(instance, { labels: { [labels.kind]: 'job' } }),
      ground.containerRequest(instance, { labels: { [labels.aliases]: 'web' } }),
      ground.containerRequest(instance, { host: { Mounts: mounts } }),
      ground.containerRequest(instance, { top: { User: '' } }),
      ground.containerRequest(instance, { host: { NetworkMode: 'none' } }),
    ];
    for (const body of cases) {
      const answer = await go('POST', `/containers/create?name=gpuaas-${instance}`, body);
      expect(answer).toMatchObject({ status: 403, json: { code: 'policy.refused' } });
    }
    expect(await statusOf(`gpuaas-${instance}`)).toBe(404);
  });
});
