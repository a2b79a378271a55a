/** Images that jobs name by their hash, on the real engine: from mirrors that fail to containers that run, and whose they are. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { buildLabels } from '../../src/contract/names.ts';
import type { PlanPayload } from '../../src/contract/payload-manifest.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import { renderJobContainer } from '../../src/policy/render-job-container.ts';
import { engineCall } from '../support/engine-call.ts';
import { type Gvmi, gvmiOf, squashfsOf, tinyGvmi } from '../support/gvmi.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { type MirrorKind, type Mirrors, mirrorsOf } from '../support/mirrors.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { type TarItem, tarOfItems } from '../support/tar-items.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let dir: string;
let engine: PrivateEngine;
let host: TestHost;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'payload-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] });
  host = await openTestHost({
    ...{ engineSocket: engine.socketPath, inputs: { allow: ['127.0.0.0/8'] }, idleMs: 300 },
    policy: {
      payloads: { max_gib: 0.02, unpacked_gib: 0.02 },
      sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME },
    },
  });
});
afterAll(async () => {
  await host?.close();
  await engine?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const never = () => AbortSignal.timeout(60_000);
const small = { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 };

interface Shown extends Gvmi {
  readonly at: Mirrors;
  /** Of this image alone. */
  readonly mark: string;
  payload(...kinds: MirrorKind[]): PlanPayload;
}

/** An image of a hash that no other test has. */
async function anyImage(): Promise<Shown> {
  const mark = randomBytes(8).toString('hex');
  const Env = ['GREETING=hello "you" $HOME \\n', 'PATH=/bin', 'no name=1', 7, 'LD_PRELOAD=/x.so'];
  const gvmi = await tinyGvmi({ Env, WorkingDir: '/work here', Cmd: ['/bin/false'], User: 'nobody' }, [
    { name: 'work here/', type: 'directory', mode: 0o755 },
    { name: 'work here/mark', content: `${mark}\n`, uid: 1234, gid: 5678, mode: 0o640 },
    { name: 'work here/linked', type: 'link', linkname: 'work here/mark' },
    { name: 'work here/disk', type: 'block-device', devmajor: 8, devminor: 0 },
  ]);
  const at = await mirrorsOf(gvmi.bytes);
  return { ...gvmi, at, mark, payload: (...kinds) => ({ urls: kinds.map((kind) => at.url(kind)), hash: gvmi.hash }) };
}

const line = 'pwd; cat linked; stat -c "%u %g %a %h" mark; echo "$GREETING"; echo "pre:$LD_PRELOAD"; id -u; ls -A';

function planWith(job: string, payload: PlanPayload[], over: Partial<JobPlan> = {}, project = 'project-7'): JobPlan {
  const identity = { ...planOf().identity, job_id: job, project_id: project };
  return planOf({
    ...{ images: [{ id: 'main', source: { kind: 'payload', payload } }], network: 'none' },
    steps: [
      step('one', {
        ...{ command: words('/bin/sh', '-c', line), resources: small },
        results: [{ name: 'said', regex: '.+', channels: ['stdout'] }],
      }),
    ],
    ...over,
    identity: { ...identity, allocation_id: host.policy.allocation.id },
  });
}

async function run(plan: JobPlan) {
  const result = await host.run('workload.job_launch', plan);
  return { result, output: result.output as JobTaskOutput | undefined };
}

const expected = (mark: string) => [
  ...['/work here', mark, '1234 5678 640 2', 'hello "you" $HOME \\n', 'pre:', '0', 'linked', 'mark'],
];

describe('a job whose image is downloaded', () => {
  it.each(['runc', 'gvisor'] as const)('runs it under %s, from the one mirror that is good', async (sandbox) => {
    const image = await anyImage();
    const job = `payload-${sandbox}`;

    const { result, output } = await run(planWith(job, [image.payload('gone', 'stalls', 'lies', 'good')], { sandbox }));

    expect(result.failure).toBeNull();
    expect(output?.report?.steps[0]?.results['said']).toEqual(expected(image.mark));
    expect(await leftOf(host, job)).toEqual([]);
  });

  it('takes that for its platform, and an OCI image by its digest as well', async () => {
    const tiny = await host.image('tiny');
    const digest = tiny.split('@')[1] ?? '';
    const urls = [`docker://elsewhere.example/other@${digest}`, `docker://${tiny}`];
    const elsewhere = { urls: ['https://example.com/x'], hash: `sha3:${'0'.repeat(64)}` };
    const platform = { arch: 'riscv64', os: 'linux' };

    const { output } = await run(
      planWith(
        'payload-oci',
        [
          { ...elsewhere, platform },
          { urls, hash: digest },
        ],
        {
          steps: [step('one', { command: words('/bin/true'), resources: small })],
        },
      ),
    );
    const none = await run(planWith('payload-none', [{ ...elsewhere, platform }]));

    expect(output?.report?.state).toBe('succeeded');
    expect(none.result.failure).toMatchObject({
      code: 'payload.other_platform',
      message: expect.stringContaining('is for linux on riscv64, and this host is linux on'),
    });
  });

  it('imports it once for a project, and downloads it once for a host; another project cannot run it by its id', async () => {
    const image = await anyImage();
    const first = await run(planWith('payload-p1', [image.payload('good')]));
    const asked = image.at.asked.splice(0).length;
    const [one] = (await host.engine.builds(never())).images.filter(({ payload }) => payload === image.hash);

    const second = await run(planWith('payload-p2', [image.payload('good')]));
    const ofOne = (await host.engine.builds(never())).images.filter(({ payload }) => payload === image.hash);
    const other = await run(planWith('payload-p3', [image.payload('good')], {}, 'project-8'));
    const ofBoth = (await host.engine.builds(never())).images.filter(({ payload }) => payload === image.hash);

    expect(asked).toBe(2);
    expect([first, second, other].map(({ output }) => output?.report?.state)).toEqual(Array(3).fill('succeeded'));
    expect(image.at.asked).toEqual([]);
    expect(ofOne.map(({ image_id }) => image_id)).toEqual([one?.image_id]);
    expect(ofBoth.map(({ project_id }) => project_id)).toEqual(['project-7', 'project-8']);
    await expect(create(one?.image_id ?? '', 'project-9')).rejects.toMatchObject({ code: 'policy.refused' });
    expect(await host.engine.importedImage({ projectId: 'project-9', hash: image.hash }, never())).toBeUndefined();
    // Also one that is gone from under the gate is had again, and what is taken away is gone.
    await engineCall(engine.socketPath, 'DELETE', `/images/${one?.image_id}`);
    expect((await run(planWith('payload-p4', [image.payload('gone')]))).output?.report?.state).toBe('succeeded');
    const [again] = (await host.engine.builds(never())).images.filter(({ payload }) => payload === image.hash);
    expect(await host.engine.removeBuilt({ project_id: 'project-7', key: again?.key ?? '' }, never())).toBe(true);
    expect(await host.engine.importedImage({ projectId: 'project-7', hash: image.hash }, never())).toBeUndefined();
  });

  it('has it downloaded again where the cache was changed', async () => {
    const image = await anyImage();
    await run(planWith('payload-c1', [image.payload('good')]));
    const folder = join(host.policy.inputs.dir, 'cache/objects');
    for (const name of readdirSync(folder)) {
      chmodSync(join(folder, name), 0o600);
      writeFileSync(
        join(folder, name),
        image.bytes.map((byte, at) => (at === 5000 ? byte ^ 1 : byte)),
      );
    }
    image.at.asked.length = 0;

    const { output } = await run(planWith('payload-c2', [image.payload('good')], {}, 'project-8'));

    expect(output?.report?.steps[0]?.results['said']).toEqual(expected(image.mark));
    expect(image.at.asked.length).toBe(2);
  });

  it('does not run what has another hash', async () => {
    const image = await anyImage();
    const { output, result } = await run(planWith('payload-lie', [image.payload('lies', 'gone')]));
    const alone = await run(planWith('payload-lies', [image.payload('lies')]));

    expect(output?.report?.steps[0]).toMatchObject({ state: 'skipped' });
    expect(result.failure).toMatchObject({
      code: 'payload.unavailable',
      detail: { tried: [{ code: 'hash_mismatch' }, { code: 'input.refused' }] },
    });
    expect(alone.result.failure).toMatchObject({ code: 'payload.hash_mismatch' });
  });

  it.each<[string, () => Promise<Buffer> | Buffer, string]>([
    ['no squashfs', () => Buffer.from('<html>'.repeat(1000)), 'It is no squashfs'],
    ['one that is broken', async () => broken((await anyImage()).bytes), 'cannot be unpacked'],
    ['one that is larger unpacked than allowed', () => filled(30), 'bytes that this host unpacks'],
    ['one with nothing in it', () => squashed([]), 'no file in it'],
  ])('is told that it is %s', async (_name, make, why) => {
    const gvmi = gvmiOf(Buffer.from(await make()));
    const at = await mirrorsOf(gvmi.bytes);

    const { result } = await run(planWith('payload-bad', [{ urls: [at.url('good')], hash: gvmi.hash }]));

    expect(result.failure).toMatchObject({ code: 'payload.unreadable', message: expect.stringContaining(why) });
    expect((await host.engine.builds(never())).images.filter(({ payload }) => payload === gvmi.hash)).toEqual([]);
    expect(unpackers()).toEqual([]);
  });
});

describe('the gate', () => {
  const imports = `/gpuaas/v1/projects/project-7/imports?payload=sha3:${'0'.repeat(64)}`;
  const headers = (config: unknown) => ({
    'x-gpuaas-image-config': Buffer.from(JSON.stringify(config) ?? '').toString('base64'),
  });

  it.each<[string, string, unknown]>([
    ['a line of its own', imports, { env: ['A=b\nUSER root'] }],
    ['a key that it does not know', imports, { env: [], labels: {} }],
    ['nothing', imports, undefined],
    ['another hash', imports.replace('sha3', 'sha1'), { env: [] }],
    ['no hash', imports.split('?')[0] ?? '', { env: [] }],
  ])('imports nothing with %s', async (_name, path, config) => {
    const answer = await post(path, await tarOfItems([{ name: 'a' }]), headers(config));

    expect([answer.status, answer.code]).toEqual([403, 'policy.refused']);
  });

  it('imports no compressed tar', async () => {
    const squeezed = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(1000)]);

    expect((await post(imports, squeezed, headers({ env: [] }))).code).toBe('policy.refused');
  });
});

describe('what was imported', () => {
  const ours = async () => {
    const label = [`${buildLabels.allocation}=${host.policy.allocation.id}`];
    const filters = encodeURIComponent(JSON.stringify({ label }));
    const { body } = await engineCall<{ Id: string }[]>(
      engine.socketPath,
      'GET',
      `/images/json?all=1&filters=${filters}`,
    );
    return body.map(({ Id }) => Id);
  };

  it('is nothing where whoever sends it leaves in the middle, and the same can be had again', async () => {
    const image = await anyImage();
    const before = await ours();
    const leaving = new AbortController();
    const tar = Readable.from(
      halfOf(await tarOfItems([{ name: 'a', content: 'x'.repeat(100_000) }]), () => leaving.abort()),
    );
    const options = { signal: leaving.signal, config: { env: [] }, diskReserveBytes: 0 };
    const wanted = { projectId: 'project-7', hash: image.hash };

    await expect(host.engine.importImage(wanted, tar, options)).rejects.toThrow('aborted');
    expect(await host.engine.importedImage(wanted, never())).toBeUndefined();
    expect((await run(planWith('payload-again', [image.payload('good')]))).output?.report?.state).toBe('succeeded');
    expect((await ours()).length).toBe(before.length + 1);
  });

  it('goes with a wipe, under whatever project it was imported', async () => {
    const image = await anyImage();
    await run(planWith('payload-w1', [image.payload('good')]));
    await run(planWith('payload-w2', [image.payload('good')], {}, 'project-8'));
    expect((await ours()).length).toBeGreaterThan(1);

    await host.engine.wipe(never());

    expect(await ours()).toEqual([]);
    expect((await host.engine.builds(never())).images).toEqual([]);
  });
});

async function* halfOf(bytes: Buffer, then: () => void): AsyncGenerator<Buffer> {
  yield bytes.subarray(0, bytes.length / 2);
  await new Promise((resolve) => setTimeout(resolve, 200));
  then();
  await new Promise(() => undefined);
}

const squashed = async (items: readonly TarItem[]) => await squashfsOf(await tarOfItems(items));

/** A few thousand bytes that become so many MiB. */
async function filled(mebibytes: number): Promise<Buffer> {
  return await squashed([{ name: 'zeros', content: '\0'.repeat(mebibytes * 2 ** 20) }]);
}

/** Its files are spoilt; its head and its length are as they were. */
function broken(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes);
  other.fill(0xa5, 96, Math.floor(bytes.length * 0.9));
  return other;
}

async function create(imageId: string, project: string): Promise<unknown> {
  const image = { id: imageId, builtFor: [project], repoDigests: [], env: [], volumes: [], workingDir: '' };
  const { name, request: wanted } = renderJobContainer({
    identity: { ...planOf().identity, project_id: project, allocation_id: host.policy.allocation.id },
    part: {
      ...{ id: 'step', command: ['/bin/true'], env: {}, mounts: [], aliases: [], ports: [] },
      ...{ restart: { policy: 'no', max_retries: 0 }, resources: { ...small, shm_gib: 0.0625 } },
    },
    ...{ sandbox: 'runc', network: 'none', read_only_root: true, log_limits: { max_size_mib: 1, max_files: 2 } },
    ...{ policy: host.policy, reference: imageId, image: { ...image, hasHealthcheck: false }, cards: noCards },
    ...{ taskId: 'task-1', fencing: 1 },
  });
  return await host.engine.create(name, wanted, never());
}

async function post(path: string, body: Buffer, headers: Record<string, string>) {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { socketPath } = host.gate;
  const sent = request(
    { socketPath, method: 'POST', path, headers: { ...headers, 'content-length': body.length } },
    resolve,
  );
  sent.once('error', reject);
  sent.end(body);
  const answer = await promise;
  return { status: answer.statusCode, code: ((await json(answer)) as { code?: string }).code };
}

/** Programs of ours that unpack. */
function unpackers(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const [, name, , parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return name === 'sqfs2tar' && parent === String(process.pid);
    } catch {
      return false;
    }
  });
}
