/** Builds through the gate, on the real engine: what comes of them, what they cannot reach, and what a taken-over agent gets. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as listenRaw } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publishRoot } from '../../bootstrap/dev/publish.ts';
import type { AgentError } from '../../src/contract/failures.ts';
import type { BuildImage } from '../../src/contract/job-build.ts';
import { buildLabels, labels } from '../../src/contract/names.ts';
import type { ContainerObject, NetworkObject } from '../../src/gate/engine-objects.ts';
import { fileEntry } from '../../src/kit/tarball/write-tar.ts';
import { initLabel, readDockerfile, renderDockerfile } from '../../src/policy/dockerfile.ts';
import { dockerfileEntry } from '../../src/policy/dockerfile-lines.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { renderJobContainer } from '../../src/policy/render-job-container.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { BuildOptions, ContainerEngine } from '../../src/runtime/engine.ts';
import { engineCall } from '../support/engine-call.ts';
import { call, type GateGround, newInstance, openGateGround } from './gate-ground.ts';

let ground: GateGround;
let engine: ContainerEngine;
beforeAll(async () => {
  ground = await openGateGround({ builds: { cpu_cores: 1, memory_gib: 0.25, context_gib: 0.01 } });
  engine = openDockerEngine({ socketPath: ground.gate.socketPath });
});
afterAll(async () => {
  engine?.close();
  await ground?.close();
});

const never = () => AbortSignal.timeout(60_000);
const end = Buffer.alloc(1024);

/** Of a revision that no other test has. */
function sourceOf(over: Partial<BuildImage> = {}): BuildImage {
  return {
    ...{ kind: 'build', revision_sha256: createHash('sha256').update(randomBytes(8)).digest('hex'), revision_bytes: 1 },
    ...{ dockerfile: 'Dockerfile', context: '.', args: {}, bases: { tiny: ground.images.tiny }, init: [] },
    ...{ work_dir: '/workspace', network: 'none', timeout_seconds: 60, ...over },
  };
}

function canonical(text: string, source: BuildImage, env: readonly string[] = []): string {
  const read = readDockerfile(text, { args: source.args, target: source.target });
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const { bases, init, work_dir: workDir } = source;
  return renderDockerfile(read.dockerfile, { bases, init, workDir, env });
}

function contextOf(dockerfile: string, files: Record<string, string> = {}): Readable {
  const entries = Object.entries({ [dockerfileEntry]: dockerfile, ...files });
  return Readable.from([...entries.map(([name, content]) => fileEntry(name, Buffer.from(content))), end]);
}

async function build(
  text: string,
  {
    project = 'project-1',
    files = {},
    source = sourceOf(),
    ...options
  }: Partial<BuildOptions> & { project?: string; files?: Record<string, string>; source?: BuildImage } = {},
) {
  const request = { projectId: project, source };
  const [base] = Object.values(source.bases);
  const { env = [] } = (base === undefined ? undefined : await engine.image(base, never())) ?? {};
  const made = await engine.build(request, contextOf(canonical(text, source, env), files), {
    ...{ signal: never(), diskReserveBytes: 0, ...options },
    labelOf: (behind) => initLabel({ init: source.init, env }, behind),
  });
  return { made, request };
}

/** A gate on an engine of which something is answered by the test, where `answers` is true. */
async function withFront(
  answers: (request: IncomingMessage, response: ServerResponse) => boolean,
  work: (engine: ContainerEngine) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'builder-'));
  const socketPath = join(folder, 'engine.sock');
  const front = createServer((request, response) => {
    if (answers(request, response)) return;
    const { method, url: path, headers } = request;
    const passed = httpRequest({ socketPath: ground.engineSocket, method, path, headers }, (answer) => {
      answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
    });
    request.pipe(passed);
  });
  // As engines have it: who closes one half still has an answer.
  Object.assign(front, { httpAllowHalfOpen: true });
  await new Promise<void>((resolve) => front.listen(socketPath, resolve));
  const other = await openGateGround({ builds: { cpu_cores: 1, memory_gib: 0.25, context_gib: 0.01 } }, socketPath);
  const asked = openDockerEngine({ socketPath: other.gate.socketPath });
  try {
    await work(asked);
  } finally {
    asked.close();
    await other.close();
    front.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Ids of what builds have left on the engine for this host, images and layers alike. */
async function layers(project?: string): Promise<string[]> {
  const own = [`${buildLabels.allocation}=${ground.policy.allocation.id}`];
  const label = project === undefined ? own : [...own, `${buildLabels.project}=${project}`];
  const path = `/images/json?all=1&filters=${encodeURIComponent(JSON.stringify({ label }))}`;
  const { body } = await engineCall<{ Id: string }[]>(ground.engineSocket, 'GET', path);
  return body.map(({ Id }) => Id).sort();
}

const removeLayers = () => engine.removeLayers({ untilMs: undefined, signal: never() });
const recordOf = async (image: string) => {
  const record = (await engine.builds(never())).images.find(({ image_id }) => image_id === image);
  if (!record) throw new Error('no record');
  return record;
};

/** What a program of the image prints. */
async function printed(image: { id: string }, script: string): Promise<string> {
  const body = { Image: image.id, Entrypoint: ['/bin/sh', '-c', script], HostConfig: { NetworkMode: 'none' } };
  const { body: created } = await engineCall<{ Id: string }>(ground.engineSocket, 'POST', '/containers/create', body);
  const { Id } = created;
  try {
    await engineCall(ground.engineSocket, 'POST', `/containers/${Id}/start`);
    await engineCall(ground.engineSocket, 'POST', `/containers/${Id}/wait`);
    const logs = `/containers/${Id}/logs?stdout=1`;
    const { body: text } = await engineCall<string>(ground.engineSocket, 'GET', logs);
    return text.replaceAll(/\p{Cc}\0{3}.{4}/gsu, '').trim();
  } finally {
    await engineCall(ground.engineSocket, 'DELETE', `/containers/${Id}?force=1`);
  }
}

describe('a build', () => {
  it('makes an image of the files of its context, with its args, its target and no more (C-12, C-13, C-14)', async () => {
    const logs: string[] = [];
    const steps: string[] = [];
    const source = sourceOf({ args: { WHAT: 'a "b" $c' }, target: 'run' });
    const text = 'FROM tiny AS run\nARG WHAT\nCOPY . /ctx\nRUN echo "$WHAT" > /said && ls -A /ctx > /list\nFROM tiny\n';

    const { made } = await build(text, {
      ...{ source, files: { kept: 'x' }, onLog: (line) => logs.push(line) },
      onProgress: ({ step, steps: all, text: line }) => {
        steps.push(`${step}/${all}`);
        logs.push(line);
      },
    });

    expect(await printed(made, 'cat /said /list')).toBe('a "b" $c\nkept');
    expect(steps).toEqual(['1/5', '2/5', '3/5', '4/5', '5/5']);
    expect(logs.join('')).toContain('COPY . /ctx');
  });

  it('runs init commands in order, each with its own environment, and no network (C-23, C-24, C-25, C-26)', async () => {
    const shell = (script: string) => ['/bin/sh', '-c', script];
    const init = [
      { label: 'one', command: shell('echo "$PWD $A" >> /said'), cwd: '.', env: { A: '1' } },
      { label: 'two', command: shell('echo "$PWD [$A]" >> /said; ls /sys/class/net >> /said'), cwd: 'sub', env: {} },
    ];

    const { made } = await build('FROM tiny', { source: sourceOf({ init }) });

    expect(await printed(made, 'cat /said')).toBe('/workspace 1\n/workspace/sub []\nlo');
  });

  it('has an init command find its own value of what the image sets, which then is as it was (C-25)', async () => {
    const command = ['/bin/sh', '-c', 'echo "$PATH" >> /said'];
    const init = [
      { label: 'own', command, cwd: '.', env: { PATH: '/own:/bin:/usr/bin' } },
      { label: 'usual', command, cwd: '.', env: {} },
    ];
    const { env = [] } = (await engine.image(ground.images.tiny, never())) ?? {};

    const { made } = await build('FROM tiny', { source: sourceOf({ init }) });

    expect(await printed(made, 'cat /said')).toBe('/own:/bin:/usr/bin\n/bin:/usr/bin');
    expect([made.env, env]).toEqual([env, ['PATH=/bin:/usr/bin']]);
  });

  it('is found again by its source, also by the next gate, and by no other project', async () => {
    const { made, request } = await build('FROM tiny\nRUN echo again > /x');

    expect(await engine.builtImage(request, never())).toEqual(made);
    await ground.restartGate();
    expect(await engine.builtImage(request, never())).toEqual(made);
    expect(await engine.builtImage({ ...request, projectId: 'project-2' }, never())).toBeUndefined();
    expect(await engine.builtImage({ ...request, source: sourceOf() }, never())).toBeUndefined();
  });

  it('goes on from what was built before for its own project, and learns nothing of others', async () => {
    const text = 'FROM tiny\nCOPY secret /secret\nRUN cp /secret /x';
    const files = { secret: randomBytes(8).toString('hex') };
    const reused = async (project: string) => {
      const logs: string[] = [];
      const onProgress = ({ text: line }: { readonly text: string }) => logs.push(line);
      await build(text, { project, files, onProgress, onLog: (line) => logs.push(line) });
      const [, behind = ''] = logs.join('').split('COPY ');
      return behind.split('Using cache').length - 1;
    };

    expect([await reused('project-1'), await reused('project-2'), await reused('project-1')]).toEqual([0, 0, 2]);
  });

  it('is told step by step, whatever its commands write', async () => {
    const steps: string[] = [];

    const written =
      'for n in 1 3 5; do echo "Step $n/9 : x"; echo "Step 2/4 : x"; usleep 20000; echo "Step 4/4 : x"; usleep 20000; done';
    await build(`FROM tiny\nRUN ${written}\nRUN echo 'Step 3/4 : x'`, {
      onProgress: ({ step, steps: all, text }) => steps.push(`${step}/${all} ${text.slice(0, 5)}`),
    });

    expect(steps).toEqual(['1/4 FROM ', '2/4 LABEL', '3/4 RUN f', '4/4 RUN e']);
  });

  it('whose image is gone is not found', async () => {
    const { made, request } = await build('FROM tiny\nRUN echo gone > /x');

    await engineCall(ground.engineSocket, 'DELETE', `/images/${made.id}?force=1`);

    expect(await engine.builtImage(request, never())).toBeUndefined();
  });

  it('is taken away where nobody uses it, and never one in use, nor what the engine has for others as well', async () => {
    const { made, request } = await build('FROM tiny\nRUN echo old > /x');
    const listed = async ({ source: { revision_sha256: of } }: typeof request) =>
      (await engine.builds(never())).images.filter(({ revision_sha256 }) => revision_sha256 === of);
    const isThere = async (image: string) =>
      (await engineCall(ground.engineSocket, 'GET', `/images/${image}/json`)).status === 200;
    const [old = { project_id: '', key: '' }] = await listed(request);
    const body = { Image: made.id, HostConfig: { NetworkMode: 'none' } };
    const { body: container } = await engineCall<{ Id: string }>(
      ...[ground.engineSocket, 'POST', '/containers/create', body],
    );

    try {
      expect(await listed(request)).toMatchObject([{ project_id: 'project-1', image_id: made.id, in_use: true }]);
      await expect(engine.removeBuilt(old, never())).rejects.toMatchObject({ code: 'image.in_use' });
    } finally {
      await engineCall(ground.engineSocket, 'DELETE', `/containers/${container.Id}?force=1`);
    }
    expect(await listed(request)).toMatchObject([{ in_use: false }]);
    await engineCall(
      ground.engineSocket,
      'POST',
      `/images/${made.id}/tag?repo=caches-test&tag=${old.key.slice(0, 12)}`,
    );
    expect(await engine.removeBuilt(old, never())).toBe(true);
    expect([await listed(request), await isThere(made.id)]).toEqual([[], true]);
    await engineCall(ground.engineSocket, 'DELETE', `/images/caches-test:${old.key.slice(0, 12)}`);

    const { made: other, request: of } = await build('FROM tiny\nRUN echo other > /x');
    const [built = old] = await listed(of);
    expect(await engine.removeBuilt(built, never())).toBe(true);
    expect([await isThere(other.id), await engine.builtImage(of, never())]).toEqual([false, undefined]);
    expect(await engine.removeBuilt(built, never())).toBe(false);
    expect(await isThere(ground.images.tiny)).toBe(true);
  });

  it('that fails tells the instruction, its number and what it has written (C-26)', async () => {
    const shell = (label: string, script: string) => ({ label, command: ['/bin/sh', '-c', script], cwd: '.', env: {} });
    const source = sourceOf({ init: [shell('one', 'echo lost; exit 3'), shell('two', 'echo never')] });
    const begun: string[] = [];
    const onProgress: BuildOptions['onProgress'] = ({ text }) => begun.push(text);

    await expect(build('FROM tiny', { source, onProgress })).rejects.toMatchObject({
      code: 'build.failed',
      detail: {
        label: 'one',
        step: 5,
        steps: 8,
        instruction: expect.stringMatching(/^RUN /),
        tail: expect.stringContaining('lost'),
      },
    });
    expect(begun.at(-1)).toContain('lost');
    expect(await engine.builtImage({ projectId: 'project-1', source }, never())).toBeUndefined();
  });

  it('that takes too long, or that is given up, is ended, with its container', async () => {
    const giveUp = new AbortController();
    const marks = [randomBytes(4).toString('hex'), randomBytes(4).toString('hex')];
    const late = build(`FROM tiny\nRUN echo ${marks[0]} && sleep 600`, { source: sourceOf({ timeout_seconds: 20 }) });
    const ended = expect(late).rejects.toMatchObject({ code: 'build.timed_out', detail: { step: 3 } });
    const left = build(`FROM tiny\nRUN echo ${marks[1]} && sleep 600`, {
      signal: giveUp.signal,
      onLog: (text) => text.includes(`${marks[1]}\n`) && !text.startsWith('Step') && giveUp.abort(new Error('no more')),
    });

    await expect(left).rejects.toThrow('no more');
    await ended;
    await expect
      .poll(
        async () => {
          const { body } = await engineCall(ground.engineSocket, 'GET', '/containers/json?all=1');
          return marks.filter((mark) => JSON.stringify(body).includes(mark));
        },
        { timeout: 30_000 },
      )
      .toEqual([]);
  });

  it('that would take what the host keeps free is refused', async () => {
    await expect(build('FROM tiny', { diskReserveBytes: Number.MAX_SAFE_INTEGER })).rejects.toMatchObject({
      code: 'disk.full',
    });
  });
});

describe('what builds leave on the engine', () => {
  const asBuilt = { LogConfig: { Type: 'none' }, Memory: 2 ** 28, CpuPeriod: 100_000, CpuQuota: 100_000 };
  const failing = (mark: string) => `FROM tiny\nRUN echo ${mark} > /x\nRUN exit 3`;

  it('is found by its labels and taken away, and what an image that is kept stands on stays', async () => {
    const project = 'project-5';
    const { made } = await build(
      'FROM tiny AS one\nRUN echo one > /one\nFROM tiny\nCOPY --from=one /one /two\nRUN true',
      {
        project,
      },
    );
    await expect(build(failing('lost'), { project })).rejects.toMatchObject({ code: 'build.failed' });
    await expect(build('FROM tiny\nRUN ["/none"]', { project })).rejects.toMatchObject({ code: 'build.failed' });
    const left = await layers(project);
    const { unusedBytes } = await engine.builds(never());

    const { bytes } = await removeLayers();
    expect([bytes, (await engine.builds(never())).unusedBytes]).toEqual([unusedBytes, 0]);

    // Of the labels, COPY and RUN of the image; the RUN of its other stage and that of the build that failed are gone.
    expect([left.length, (await layers(project)).length]).toEqual([5, 3]);
    expect(await printed(made, 'cat /two')).toBe('one');
    expect(await engine.removeBuilt(await recordOf(made.id), never())).toBe(true);
    expect(await layers(project)).toEqual([]);
  });

  it('stays beside a build of its project, and goes beside one of another', async () => {
    const { made } = await build('FROM tiny\nRUN echo kept > /x', { project: 'project-3' });
    await expect(build(failing('three'), { project: 'project-3' })).rejects.toThrow();
    await expect(build(failing('four'), { project: 'project-4' })).rejects.toThrow();
    const begun = Promise.withResolvers<void>();
    const giveUp = new AbortController();
    const mark = randomBytes(4).toString('hex');
    const atWork = build(`FROM tiny\nRUN echo ${mark} && sleep 600`, {
      ...{ project: 'project-3', signal: giveUp.signal },
      onLog: (text) => text === `${mark}\n` && begun.resolve(),
    });
    const ended = expect(atWork).rejects.toThrow('no more');
    await begun.promise;
    // What its containers are known by once an engine has left them.
    const { body: running } = await engineCall<{ Id: string; Command: string }[]>(
      ...[ground.engineSocket, 'GET', '/containers/json?all=1'],
    );
    const { Id = '' } = running.find(({ Command }) => Command.includes(mark)) ?? {};
    const { body: of } = await engineCall<ContainerObject>(ground.engineSocket, 'GET', `/containers/${Id}/json`);
    expect(of).toMatchObject({ Name: expect.stringMatching(/^\/[a-z]+_[a-z]+\d?$/), HostConfig: asBuilt });
    const [three, record] = [await layers('project-3'), await recordOf(made.id)];

    await expect(engine.removeBuilt(record, never())).rejects.toMatchObject({ code: 'image.in_use' });
    await expect(engine.wipe(never())).rejects.toMatchObject({ code: 'image.in_use' });
    await removeLayers();

    expect([await layers('project-3'), await layers('project-4')]).toEqual([three, []]);
    giveUp.abort(new Error('no more'));
    await ended;
    // The gate hears a moment later that nobody waits for the build any more, and the engine another one.
    const removed = () => engine.removeBuilt(record, never()).catch(({ code }: AgentError) => code);
    await expect.poll(removed, { timeout: 30_000 }).toBe(true);
    const afterwards = async () => {
      await removeLayers();
      return await layers('project-3');
    };
    await expect.poll(afterwards, { timeout: 30_000 }).toEqual([]);
  });

  it('is a stopped container that the builder has made, and none that somebody else has', async () => {
    const { made } = await build('FROM tiny\nRUN echo stopped > /x', { project: 'project-6' });
    const create = async (HostConfig: object, name = '') => {
      const body = { Image: made.id, HostConfig };
      const path = `/containers/create${name}`;
      return (await engineCall<{ Id: string }>(ground.engineSocket, 'POST', path, body)).body.Id;
    };
    const [left, other] = [await create(asBuilt), await create({})];
    const named = await create(asBuilt, `?name=test-${randomBytes(4).toString('hex')}`);
    const isThere = async (id: string) =>
      (await engineCall(ground.engineSocket, 'GET', `/containers/${id}/json`)).status === 200;
    try {
      await removeLayers();
      expect([await isThere(left), await isThere(other), await isThere(named)]).toEqual([false, true, true]);
    } finally {
      for (const id of [left, other, named])
        await engineCall(ground.engineSocket, 'DELETE', `/containers/${id}?force=1`);
    }
  });

  it('is an image of a gate that wrote no labels, as long as there is its record', async () => {
    const noted = async (project: string) => {
      const body = { Image: ground.images.tiny, Cmd: [randomBytes(8).toString('hex')] };
      const { body: container } = await engineCall<{ Id: string }>(
        ...[ground.engineSocket, 'POST', '/containers/create', body],
      );
      const { body: image } = await engineCall<{ Id: string }>(
        ...[ground.engineSocket, 'POST', `/commit?container=${container.Id}`],
      );
      await engineCall(ground.engineSocket, 'DELETE', `/containers/${container.Id}`);
      const key = randomBytes(32).toString('hex');
      const record = { project, key, revision: key, image: image.Id, bases: [], engine: '', bytes: 1, built_at: '' };
      const name = createHash('sha256').update(`${project}\n${key}`).digest('hex');
      writeFileSync(join(ground.folder, 'state/builds', `${name}.json`), JSON.stringify(record));
      return image.Id;
    };
    const [one, two] = [await noted('project-7'), await noted('project-8')];
    await ground.restartGate();
    const isThere = async (image: string) =>
      (await engineCall(ground.engineSocket, 'GET', `/images/${image}/json`)).status === 200;

    expect(await engine.removeBuilt(await recordOf(one), never())).toBe(true);
    expect([await isThere(one), await isThere(two)]).toEqual([false, true]);
    expect((await engine.wipe(never())).removed).toContain(two);
    expect([await isThere(two), await isThere(ground.images.tiny)]).toEqual([false, true]);
  });

  it('goes with a wipe only when the engine has ended a build that was given up', async () => {
    const giveUp = new AbortController();
    const begun = Promise.withResolvers<void>();
    const half = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const wiping = Promise.withResolvers<void>();
    const order: string[] = [];
    await withFront(
      (request, response) => {
        if (/\/images\/json/.test(request.url ?? '')) order.push('listed');
        if (/\/volumes(?:$|\?)/.test(request.url ?? '')) wiping.resolve();
        if (!request.url?.includes('/build?')) return false;
        request.socket.once('end', half.resolve);
        request.resume();
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(`${JSON.stringify({ stream: 'begun\n' })}\n`);
        void over.promise.then(() => response.end());
        return true;
      },
      async (asked) => {
        const source = sourceOf();
        const built = asked.build({ projectId: 'p', source }, contextOf(canonical('FROM tiny', source)), {
          ...{ signal: giveUp.signal, diskReserveBytes: 0, onLog: () => begun.resolve() },
        });
        const ended = expect(built).rejects.toThrow('no more');
        await begun.promise;
        giveUp.abort(new Error('no more'));
        await ended;
        await half.promise;
        const wiped = asked.wipe(never()).then(() => order.push('wiped'));
        await wiping.promise;
        await expect(asked.builds(never())).resolves.toEqual({ images: [], unusedBytes: 0 });
        order.push('ended');
        over.resolve();
        await wiped;

        // First for who has asked what was built.
        expect(order).toEqual(['listed', 'ended', 'listed', 'wiped']);
      },
    );
  });

  it('goes with a wipe, as the images do', async () => {
    const { made, request } = await build('FROM tiny\nRUN echo wiped > /x');
    await expect(build(failing('wiped'))).rejects.toThrow();

    const { removed } = await engine.wipe(never());

    expect(removed).toContain(made.id);
    expect([await layers(), await engine.builds(never())]).toEqual([[], { images: [], unusedBytes: 0 }]);
    expect(await engine.builtImage(request, never())).toBeUndefined();
  });
});

describe('where the operator has set more', () => {
  const limits = { cpu_cores: 1, memory_gib: 0.25, context_gib: 0.01 };

  async function onGate(builds: NonNullable<HostPolicy['builds']>, work: () => Promise<void>): Promise<void> {
    const before = { ground, engine };
    ground = await openGateGround({ builds });
    engine = openDockerEngine({ socketPath: ground.gate.socketPath });
    const opened = { ground, engine };
    try {
      await work();
    } finally {
      ({ ground, engine } = before);
      opened.engine.close();
      await opened.ground.close();
    }
  }

  it('a build has the network of a job of its project, and no other', async () => {
    const server = listenRaw((socket) => socket.end('from outside'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const { port } = server.address() as AddressInfo;
    const instance = newInstance();
    const group = `svc-${randomBytes(12).toString('hex')}`;
    const ask = async (project: string, of = instance) => {
      const network = `gpuaas-${of}`;
      const { body } = await engineCall<NetworkObject>(ground.engineSocket, 'GET', `/networks/${network}`);
      const [base = ''] = body.IPAM?.Config?.[0]?.Subnet?.split('/') ?? [];
      const gateway = base.replace(/\d+$/, (last) => String(Number(last) + 1));
      const source = sourceOf({ network: 'bridge' });
      const text = `FROM tiny\nRUN nc -w 5 ${gateway} ${port} < /dev/null > /got`;
      return await engine.build({ projectId: project, source, network }, contextOf(canonical(text, source)), {
        ...{ signal: never(), diskReserveBytes: 0 },
      });
    };
    const makeNetwork = async (of = instance) =>
      expect((await call(ground.gate, 'POST', '/networks/create', ground.networkRequest(of))).status).toBe(201);
    try {
      await onGate({ ...limits, network: 'bridge' }, async () => {
        await makeNetwork();
        const owner = String((ground.networkRequest(instance)['Labels'] as Record<string, string>)[labels.project]);
        const made = await ask(owner);

        expect(await printed(made, 'cat /got')).toBe('from outside');
        await expect(ask('another')).rejects.toMatchObject({ code: 'policy.refused' });
        await makeNetwork(group);
        await expect(ask(owner, group)).rejects.toMatchObject({ code: 'policy.refused' });
      });
      await makeNetwork();
      await expect(ask('project-1')).rejects.toMatchObject({ code: 'build.denied' });
    } finally {
      server.close();
    }
  });

  it('a build waits for its turn, and is ended after the time of the host', async () => {
    await onGate({ ...limits, at_once: 1, timeout_seconds: 15 }, async () => {
      const order: string[] = [];
      const begun = Promise.withResolvers<void>();
      const mark = randomBytes(4).toString('hex');
      const first = build(`FROM tiny\nRUN echo ${mark} && sleep 600`, {
        onLog: (text) => text === `${mark}\n` && begun.resolve(),
      }).catch((error: unknown) => {
        order.push('first is over');
        throw error;
      });
      const late = expect(first).rejects.toMatchObject({
        code: 'build.timed_out',
        detail: { step: 3, timeout_seconds: 15 },
      });
      await begun.promise;
      const giveUp = new AbortController();
      const left = build('FROM tiny\nRUN true', { signal: giveUp.signal });
      const second = build('FROM tiny\nRUN echo two > /x', { onProgress: ({ step }) => order.push(`second, ${step}`) });
      giveUp.abort(new Error('no more'));

      await expect(left).rejects.toThrow('no more');
      await late;
      await second;
      expect(order).toEqual(['first is over', 'second, 1', 'second, 2', 'second, 3']);
    });
  });
});

describe('an engine without the builder that is asked for', () => {
  // As engines with another builder, or with none, say it.
  it.each([
    ['that does not know its version', 400, { message: 'invalid version 1: classic builder is not supported' }],
    ['that has no such call any more', 404, { message: 'page not found' }],
    ['that builds by BuildKit whatever it is asked', 200, { id: 'moby.buildkit.trace', aux: 'Cm8KR3NoYTI1Ng==' }],
    ['that names an image of BuildKit', 200, { id: 'moby.image.id', aux: { ID: `sha256:${'a'.repeat(64)}` } }],
    ['that would run commands as containers with cards', 0, { DefaultRuntime: 'nvidia' }],
  ])('%s is told of, and nothing is noted', async (_, status, words) => {
    const source = sourceOf();
    await withFront(
      (request, response) => {
        if (status === 0 && request.url?.endsWith('/info')) {
          response.end(JSON.stringify(words));
          return true;
        }
        if (!request.url?.includes('/build?')) return false;
        request.resume().once('end', () => {
          response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(words)}\n`);
        });
        return true;
      },
      async (asked) => {
        await expect(
          asked.build({ projectId: 'p', source }, contextOf(canonical('FROM tiny', source)), {
            ...{ signal: never(), diskReserveBytes: 0 },
          }),
        ).rejects.toMatchObject({ code: 'build.unsupported' });
        expect(await asked.builtImage({ projectId: 'p', source }, never())).toBeUndefined();
      },
    );
  });
});

describe('an image that was built', () => {
  const container = (project: string, image: Awaited<ReturnType<typeof build>>['made']) =>
    renderJobContainer({
      identity: {
        ...{ project_id: project, job_id: newInstance(), allocation_id: ground.policy.allocation.id },
        ...{ display_name: 'A job', dialect: 'nosana', document_sha256: 'c'.repeat(64) },
      },
      part: {
        ...{ id: 'step', command: ['true'], env: {}, mounts: [], aliases: [], ports: [] },
        restart: { policy: 'no', max_retries: 0 },
        resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.0625, shm_gib: 0.0625 },
      },
      ...{ sandbox: 'runc', network: 'none', read_only_root: true, log_limits: { max_size_mib: 1, max_files: 2 } },
      ...{ policy: ground.policy, reference: image.id, image, cards: noCards, taskId: 'task-1', fencing: 1 },
    });

  it('runs for its project, and for no other', async () => {
    const { made } = await build('FROM tiny\nRUN echo mine > /x');
    const own = container('project-1', made);
    const other = container('project-2', { ...made, builtFor: ['project-2'] });

    await expect(engine.create(own.name, own.request, never())).resolves.toMatchObject({ id: expect.any(String) });
    await expect(engine.create(other.name, other.request, never())).rejects.toMatchObject({ code: 'policy.refused' });
    expect(() => container('project-2', made)).toThrow(/not pinned/);
  });

  it('without a record does not run', async () => {
    const tiny = await engine.image(ground.images.tiny, never());
    if (!tiny) throw new Error('no image');
    const { name, request } = container('project-1', { ...tiny, builtFor: ['project-1'] });

    await expect(engine.create(name, request, never())).rejects.toMatchObject({ code: 'policy.refused' });
  });
});

describe('the gate builds nothing', () => {
  const query = `project=p&key=${'a'.repeat(64)}&revision=${'b'.repeat(64)}`;
  const stage = () => `FROM ${ground.images.tiny} AS stage0\n`;
  const file = (text: string) => fileEntry(dockerfileEntry, Buffer.from(text));
  const retyped = (type: string) => {
    const entry = fileEntry('x', Buffer.alloc(0));
    entry.write(type, 156);
    const sum = entry.fill(' ', 148, 156).reduce((all, byte) => all + byte, 0);
    entry.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return entry;
  };

  async function answer(parts: readonly Buffer[], search = query) {
    ground.recorder.forget();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const path = `/build?${search}`;
    const sent = httpRequest({ socketPath: ground.gate.socketPath, method: 'POST', path, agent: false }, resolve);
    sent.on('error', reject).end(Buffer.concat(parts));
    const response = await promise;
    return { status: response.statusCode ?? 0, text: await readText(response) };
  }

  it.each([
    ['with a first entry of another name', () => [fileEntry('Dockerfile', Buffer.from(stage())), end]],
    ['with an unknown image', () => [file(`FROM evil.example/x@sha256:${'a'.repeat(64)} AS stage0\n`), end]],
    ['by tag', () => [file('FROM busybox AS stage0\n'), end]],
    ['with a mount', () => [file(`${stage()}RUN --mount=type=bind,source=/,target=/x true\n`), end]],
    ['with a continuation', () => [file(`${stage()}RUN a \\\nFROM evil\n`), end]],
    ['with an address', () => [file(`${stage()}ADD http://169.254.169.254/ /x\n`), end]],
    ['with a label of hosts', () => [file(`${stage()}LABEL gpuaas.instance=x\n`), end]],
    ['with a value that grows', () => [file(`${stage()}ENV A=${'a'.repeat(3000)}\nENV A=$A$A$A$A$A$A\n`), end]],
    ['with a value in a form that only some builders know', () => [file(`${stage()}ENV A=\${B//b/$C}\n`), end]],
    ['of something that is no tar', () => [Buffer.from('x'.repeat(2048))]],
    ['that ends in the middle', () => [file(stage()).subarray(0, 600)]],
    ['with a device', () => [file(stage()), retyped('3'), end]],
    ['with a hard link', () => [file(stage()), retyped('1'), end]],
    ['with more files than are allowed', () => [file(stage()), fileEntry('x', Buffer.alloc(11 * 2 ** 20)), end]],
  ])('%s', async (_, parts) => {
    expect(await answer(parts())).toMatchObject({ status: 403, text: expect.stringContaining('policy.refused') });
  });

  it.each([
    ['without a key', 'project=p'],
    ['with a network', `${query}&networkmode=host`],
    ['with an address to build from', `${query}&remote=https://example.com`],
    ['with hosts of its own', `${query}&extrahosts=a:1.2.3.4`],
    ['with a cgroup', `${query}&cgroupparent=/`],
    ['by the other builder', `${query}&version=2`],
    ['with a pull', `${query}&pull=1`],
  ])('%s', async (_, search) => {
    expect((await answer([file(stage()), end], search)).status).toBe(403);
    expect(ground.recorder.requests().some((line) => line.includes('/build'))).toBe(false);
  });

  it('in whose context something stands in the place of the Dockerfile', async () => {
    const { made } = await build('FROM tiny\nCOPY . /ctx\nRUN ls -A /ctx > /list', {
      files: { Dockerfile: 'FROM evil', '.dockerignore': '*' },
    });

    expect(await printed(made, 'cat /list')).toBe('Dockerfile');
  });

  it('on an image that has instructions for those who build on it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'onbuild-'));
    const host = ground.policy.registries[0]?.host ?? '';
    const place = { socketPath: ground.engineSocket, host, repository: 'gpuaas-dev/onbuild', tag: newInstance() };
    try {
      const { reference, image_id } = await publishRoot(place, folder, ['ONBUILD RUN true']);
      const refused = await answer([file(`FROM ${reference} AS stage0\n`), end]);
      await engineCall(ground.engineSocket, 'DELETE', `/images/${image_id}?force=1`);

      expect(refused).toMatchObject({ status: 403, text: expect.stringContaining('ONBUILD') });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it.each([
    ['volumes', `VOLUME [${Array.from({ length: 65 }, (_, index) => `"/v${index}"`).join(', ')}]`],
    ['ports', 'EXPOSE 1-1025'],
  ])('on an image that has too many %s, which no job runs either', async (_, change) => {
    const folder = mkdtempSync(join(tmpdir(), 'bounds-'));
    const host = ground.policy.registries[0]?.host ?? '';
    const place = { socketPath: ground.engineSocket, host, repository: 'gpuaas-dev/bounds', tag: newInstance() };
    const { reference, image_id } = await publishRoot(place, folder, [change]);
    try {
      const refused = { status: 403, text: expect.stringContaining('image_refused') };

      expect(await answer([file(`FROM ${reference} AS stage0\n`), end])).toMatchObject(refused);
      const body = ground.containerRequest(newInstance(), { top: { Image: reference } });
      const name = `gpuaas-${(body['Labels'] as Record<string, string>)[labels.instance]}`;
      expect(await call(ground.gate, 'POST', `/containers/create?name=${name}`, body)).toMatchObject(refused);
    } finally {
      await engineCall(ground.engineSocket, 'DELETE', `/images/${image_id}?force=1`);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('where the operator does not allow it', async () => {
    const other = await openGateGround();
    try {
      const closed = openDockerEngine({ socketPath: other.gate.socketPath });
      const source = sourceOf();
      const options = { signal: never(), diskReserveBytes: 0 };
      await expect(
        closed.build({ projectId: 'p', source }, contextOf(canonical('FROM tiny', source)), options),
      ).rejects.toMatchObject({ code: 'build.denied' });
      closed.close();
    } finally {
      await other.close();
    }
  });
});
