/** The container engine interface through the real gate on the real engine: life and facts of a container. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { labels, networkName } from '../../src/contract/names.ts';
import { untilReady } from '../../src/runtime/probes/until-ready.ts';
import { engineCall } from '../support/engine-call.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { prepareWorkload, runWorkload, soon } from './engine-workload.ts';

let host: TestHost;

beforeAll(async () => {
  host = await openTestHost();
});

afterAll(async () => {
  await host.close();
});

const port = (hostPort: number) => ({
  ...{ name: 'web', container_port: 8080, host_port: hostPort, protocol: 'tcp' as const },
});

describe('a container', () => {
  it('is created, started, stopped and removed, each of them twice', async () => {
    const { engine } = host;
    const { name, instance, request } = await prepareWorkload(host, 'trap "exit 7" TERM; while :; do sleep 0.1; done');

    const { id } = await engine.create(name, request, soon());
    const created = await engine.inspect(name, soon());
    await engine.start(name, soon());
    await engine.start(name, soon());
    const running = await engine.inspect(name, soon());
    await engine.stop(name, 10, soon());
    await engine.stop(name, 10, soon());
    const stopped = await engine.inspect(name, soon());
    const removals = [await engine.remove(name, soon()), await engine.remove(name, soon())];

    expect(created).toMatchObject({ id, name, status: 'created', exitCode: null, startedAt: null, finishedAt: null });
    expect(created?.labels[labels.instance]).toBe(instance);
    expect(running).toMatchObject({ status: 'running', exitCode: null, oomKilled: false, error: '', health: null });
    expect(running?.pid).toBeGreaterThan(0);
    expect(running?.cpuCores).toBe(request.HostConfig.NanoCpus / 1e9);
    expect(running?.memoryBytes).toBe(request.HostConfig.Memory);
    expect(stopped).toMatchObject({ status: 'exited', exitCode: 7, oomKilled: false });
    expect(removals).toEqual([true, false]);
    expect(await engine.inspect(name, soon())).toBeUndefined();
  });

  it('is listed with what it is promised, and nothing that is not ours is', async () => {
    const name = await runWorkload(host, 'sleep 300', {
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.125 },
    });
    const foreign = await engineCall<{ Id: string }>(host.engineSocket, 'POST', '/containers/create', {
      ...{
        Image: await host.image('tiny'),
        Cmd: ['sleep', '1'],
        Labels: { [labels.allocation]: host.policy.allocation.id },
      },
    });

    const listed = await host.engine.list(soon());

    expect(listed.find((container) => container.name === name)).toMatchObject({
      ...{ status: 'running', cpuCores: 0.5, memoryBytes: 0.125 * 2 ** 30 },
    });
    expect(listed.map(({ id }) => id)).not.toContain(foreign.body.Id);
  });

  it('is killed when its grace is over', async () => {
    const name = await runWorkload(host, 'trap "" TERM; touch /tmp/deaf; while :; do sleep 0.1; done');
    const deaf = { type: 'exec' as const, command: ['/bin/test', '-f', '/tmp/deaf'], timeout_seconds: 60 };
    await untilReady([deaf], { engine: host.engine, name, ports: [], signal: soon() });

    await host.engine.stop(name, 1, soon());

    expect(await host.engine.inspect(name, soon())).toMatchObject({
      status: 'exited',
      exitCode: 137,
      oomKilled: false,
    });
  });

  it('is taken away once when two remove it at the same time', async () => {
    const name = await runWorkload(host, 'sleep 300');

    const removals = await Promise.all(Array.from({ length: 4 }, () => host.engine.remove(name, soon())));

    expect(removals).toContain(true);
    expect(await host.engine.inspect(name, soon())).toBeUndefined();
  });

  it('is waited for until it ends, also when it has ended already', async () => {
    const name = await runWorkload(host, 'sleep 0.3; exit 5');

    const waiting = host.engine.wait(name, soon());

    expect(await waiting).toBe(5);
    expect(await host.engine.wait(name, soon())).toBe(5);
  });

  it('gives up waiting with the reason of the signal', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const abort = new AbortController();
    const reason = new Error('not interested any more');

    const waiting = host.engine.wait(name, abort.signal);
    setTimeout(() => abort.abort(reason), 100);

    await expect(waiting).rejects.toBe(reason);
  });

  it('is container.not_found for every call that needs one', async () => {
    const name = 'gpuaas-nobody';
    const { engine } = host;

    const outcomes = await Promise.allSettled([
      engine.start(name, soon()),
      engine.stop(name, 0, soon()),
      engine.wait(name, soon()),
      engine.exec(name, ['true'], { signal: soon() }),
      engine.stats(name, soon()),
      engine.logs(name, { signal: soon(), follow: false }).next(),
    ]);

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'container.not_found' } });
    }
    expect(await engine.inspect(name, soon())).toBeUndefined();
  });

  it('is name.conflict where a foreign container has its name, which stays untouched', async () => {
    const { engine } = host;
    const { name, request } = await prepareWorkload(host, 'sleep 300');
    const image = await host.image('tiny');
    const foreign = await engineCall<{ Id: string }>(host.engineSocket, 'POST', `/containers/create?name=${name}`, {
      ...{ Image: image, Cmd: ['sleep', '300'], Labels: { [labels.allocation]: host.policy.allocation.id } },
    });

    await expect(engine.create(name, request, soon())).rejects.toMatchObject({ code: 'name.conflict' });
    await expect(engine.inspect(name, soon())).rejects.toMatchObject({ code: 'name.conflict' });
    const untouched = await engineCall<{ Id: string; State: { Status: string } }>(
      ...([host.engineSocket, 'GET', `/containers/${name}/json`] as const),
    );
    expect(untouched.body).toMatchObject({ Id: foreign.body.Id, State: { Status: 'created' } });
  });
});

describe('a host port', () => {
  it('that another process holds is port.conflict at the start, with the port', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const taken = (holder.address() as { port: number }).port;
    const { name, request } = await prepareWorkload(host, 'sleep 300', { ports: [port(taken)] });
    await host.engine.create(name, request, soon());

    const start = host.engine.start(name, soon());

    await expect(start).rejects.toMatchObject({ code: 'port.conflict', detail: { port: taken, container: name } });
    expect(holder.listening).toBe(true);
    holder.close();
  });

  it('that another container holds is port.conflict at the start, with the port', async () => {
    const taken = await freePort();
    const first = await runWorkload(host, 'sleep 300', { ports: [port(taken)] });
    const { name, request } = await prepareWorkload(host, 'sleep 300', { ports: [port(taken)] });
    await host.engine.create(name, request, soon());

    const start = host.engine.start(name, soon());

    await expect(start).rejects.toMatchObject({ code: 'port.conflict', detail: { port: taken } });
    expect(await host.engine.inspect(first, soon())).toMatchObject({ status: 'running', hostPorts: [taken] });
  });
});

describe('the network of an instance', () => {
  it('is made once and removed once', async () => {
    const { engine } = host;
    const instance = `net-${randomBytes(5).toString('hex')}`;
    const name = networkName(instance);
    const owner = {
      ...{ [labels.instance]: instance, [labels.project]: 'p', [labels.allocation]: host.policy.allocation.id },
    };

    await Promise.all([engine.ensureNetwork(name, owner, soon()), engine.ensureNetwork(name, owner, soon())]);
    await engine.ensureNetwork(name, owner, soon());
    const filters = encodeURIComponent(JSON.stringify({ name: [name] }));
    const there = await engineCall<unknown[]>(host.engineSocket, 'GET', `/networks?filters=${filters}`);
    const listed = await engine.networks(soon());
    const removals = [await engine.removeNetwork(name, soon()), await engine.removeNetwork(name, soon())];

    expect(there.body).toHaveLength(1);
    expect(listed).toContainEqual({ name, labels: expect.objectContaining({ [labels.instance]: instance }) });
    expect(removals).toEqual([true, false]);
  });

  it('is removed although its container is only just going', async () => {
    const name = await runWorkload(host, 'sleep 300');

    const gone = host.engine.remove(name, soon());
    const removed = host.engine.removeNetwork(name, soon());

    expect(await gone).toBe(true);
    expect(await removed).toBe(true);
  });
});

describe('the engine', () => {
  it('tells its facts', async () => {
    const facts = await host.engine.facts(soon());

    const version = await engineCall<{ Version: string; ApiVersion: string }>(host.engineSocket, 'GET', '/version');
    expect(facts).toMatchObject({ version: version.body.Version, apiVersion: version.body.ApiVersion });
    expect(facts.runtimes).toContain('runc');
    expect(facts.rootDir).toMatch(/^\//);
    expect(facts.cgroupVersion).toMatch(/^[12]$/);
  });

  it('tells how much a running container uses', async () => {
    const name = await runWorkload(host, 'dd if=/dev/zero of=/dev/shm/x bs=1M count=20; while :; do :; done');

    const first = await host.engine.stats(name, soon());
    const deadline = performance.now() + 60_000;
    let later = first;
    while ((later.memoryBytes < 20 * 2 ** 20 || later.cpuSeconds <= first.cpuSeconds) && performance.now() < deadline) {
      later = await host.engine.stats(name, soon());
    }

    expect(later.memoryBytes).toBeGreaterThan(20 * 2 ** 20);
    expect(later.memoryLimitBytes).toBe(2 ** 26);
    expect(later.cpuSeconds).toBeGreaterThan(first.cpuSeconds);
    expect(later.pids).toBeGreaterThanOrEqual(1);
    expect(Date.parse(later.time)).toBeGreaterThan(Date.parse(first.time));
  });

  it('does not tell how much a stopped container uses', async () => {
    const name = await runWorkload(host, 'exit 0');
    await host.engine.wait(name, soon());

    await expect(host.engine.stats(name, soon())).rejects.toMatchObject({ code: 'container.exited' });
  });

  it('is engine.unavailable where nobody listens', async () => {
    const { openDockerEngine } = await import('../../src/runtime/docker/docker-engine.ts');
    const engine = openDockerEngine({ socketPath: `${host.folder}/nobody.sock` });

    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'engine.unavailable' });
  });

  it('hands over secrets and takes away data through the gate', async () => {
    const instance = `sec-${randomBytes(5).toString('hex')}`;

    await host.engine.putSecrets(instance, { 'api-key': Buffer.from([0, 255, 10]) }, soon());
    const { readFile } = await import('node:fs/promises');
    const content = await readFile(`${host.policy.secrets_dir}/${instance}/api-key`);
    const removed = await host.engine.removeData(instance, { data: true }, soon());

    expect(content).toEqual(Buffer.from([0, 255, 10]));
    expect(removed).toEqual({ removed: [`${host.policy.secrets_dir}/${instance}`], kept: [] });
    expect(await host.engine.removeData(instance, { data: true }, soon())).toEqual({ removed: [], kept: [] });
  });
});
