/** An engine of its own that is frozen, restarted and short of disk (FAULTS 16, 17, 36; row 18 for images). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { run } from '../../bootstrap/dev/processes.ts';
import { ensureRegistry, type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import type { AgentError } from '../../src/contract/failures.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine, EngineEvent, LogEntry } from '../../src/runtime/engine.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { pushFreshImage } from './engine-images.ts';
import { dripBlob, onBlob, type RegistryFront, startRegistryFront } from './engine-registry-front.ts';
import { prepareWorkload, runWorkload, soon } from './engine-workload.ts';

/** An engine that is only slow answers within it. */
const lookMs = 2000;

let folder: string;
let privateEngine: PrivateEngine;
let registry: PrivateRegistry;
let front: RegistryFront;
let host: TestHost;
let engine: ContainerEngine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpe-'));
  // Containers outlive a restart of this engine, as they do on a host that is set up as it should be.
  privateEngine = await startPrivateEngine(join(folder, 'e'), { flags: ['--live-restore'] });
  registry = await startRegistry(join(folder, 'registry'));
  front = await startRegistryFront(registry.host);
  host = await openTestHost({ engineSocket: privateEngine.socketPath, policy: await policy() });
  engine = openDockerEngine({
    socketPath: host.gate.socketPath,
    timeouts: { lookMs, changeMs: lookMs * 2, stopSlackMs: lookMs, stallMs: lookMs * 2, execOutageMs: 30_000 },
    pulls: { attempts: 2, backoff: { firstMs: 50, maxMs: 100, factor: 2 } },
  });
});

afterEach(() => {
  privateEngine.thaw();
  front.rule = undefined;
});

afterAll(async () => {
  engine?.close();
  await host?.close();
  await Promise.all([privateEngine?.stop(), front?.close(), registry?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function policy() {
  const hosts = [(await ensureRegistry()).host, registry.host, front.host];
  return { registries: hosts.map((name) => ({ host: name, prefixes: [''] })) };
}

describe('an engine that hangs', () => {
  it('is engine.timed_out for every call within its own deadline, and answers again when it goes on', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const prepared = await prepareWorkload(host, 'sleep 300');
    await privateEngine.freeze();

    const outcomes = await Promise.allSettled([
      engine.facts(soon()),
      engine.list(soon()),
      engine.inspect(name, soon()),
      engine.create(prepared.name, prepared.request, soon()),
      engine.start(name, soon()),
      engine.stop(name, 0, soon()),
      engine.remove(name, soon()),
      engine.wait(name, soon()),
      engine.exec(name, ['true'], { signal: soon() }),
      engine.stats(name, soon()),
      engine.logs(name, { signal: soon(), follow: true }).next(),
      engine.events({ signal: soon() }).next(),
      engine.ensureNetwork(prepared.name, prepared.owner, soon()),
      engine.removeNetwork('gpuaas-frozen', soon()),
      engine.networks(soon()),
      engine.image(prepared.request.Image, soon()),
      engine.pull(imageOf(prepared.request.Image), { signal: soon(), diskReserveBytes: 0 }),
    ]);
    privateEngine.thaw();

    for (const [index, outcome] of outcomes.entries()) {
      expect(outcome, `call ${index}`).toMatchObject({ status: 'rejected', reason: { code: 'engine.timed_out' } });
      const { detail } = (outcome as { reason: AgentError }).reason;
      expect(detail['timeout_ms'], `call ${index}`).toBeLessThanOrEqual(lookMs * 2);
    }
    expect((await host.engine.facts(soon())).version).not.toBe('');
  });

  it('gives way to the signal of the caller', async () => {
    const reason = new Error('the task was cancelled');
    const abort = new AbortController();
    await privateEngine.freeze();

    const cancelled = expect(host.engine.facts(abort.signal)).rejects.toBe(reason);
    await expect(host.engine.list(AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'TimeoutError' });
    abort.abort(reason);

    await cancelled;
  });

  it('in the middle of a pull is engine.timed_out, not the registry', async () => {
    const { repository, digest, layers } = await pushFreshImage(registry.host, 'outage/frozen');
    const image = imageOf(`${front.host}/${repository}@${digest}`);
    const { promise: downloading, resolve: sawIt } = Promise.withResolvers<void>();
    front.rule = onBlob(layers[0] ?? '', (_request, response) => {
      dripBlob(response);
      sawIt();
    });

    const pulling = expect(engine.pull(image, { signal: soon(), diskReserveBytes: 0 })).rejects.toMatchObject({
      ...{ code: 'engine.timed_out' },
    });
    await Promise.race([downloading, pulling]);
    await privateEngine.freeze();

    await pulling;
    front.rule = undefined;
    privateEngine.thaw();
    expect((await host.engine.pull(image, { signal: soon(), diskReserveBytes: 0 })).repoDigests).toEqual([
      image.reference,
    ]);
  });
});

describe('an engine that restarts', () => {
  it('ends every stream with engine.unavailable, and each goes on where it was', async () => {
    const script = 'i=0; while [ $i -lt 100000 ]; do echo $i; i=$((i+1)); sleep 0.05; done';
    const name = await runWorkload(host, script);
    const entries: LogEntry[] = [];
    const readSome = async (count: number) => {
      const cursor = entries.at(-1)?.cursor;
      for await (const entry of host.engine.logs(name, { signal: soon(), follow: true, cursor })) {
        entries.push(entry);
        if (entries.length >= count) {
          return;
        }
      }
    };
    await readSome(5);

    const logs = readSome(1_000_000).catch((error: unknown) => error);
    const waiting = host.engine.wait(name, soon()).catch((error: unknown) => error);
    // Something of earlier tests may end only now, and be told.
    const events = readEvents([], undefined, soon()).catch((error: unknown) => error);
    await until(() => entries.length > 10);
    await privateEngine.restart();

    expect(await logs).toMatchObject({ code: 'engine.unavailable' });
    expect(await waiting).toMatchObject({ code: 'engine.unavailable' });
    expect(await events).toMatchObject({ code: 'engine.unavailable' });
    expect(await host.engine.inspect(name, soon())).toMatchObject({ status: 'running' });
    await readSome(entries.length + 20);
    expect(entries.map(({ data }) => data.toString())).toEqual(entries.map((_entry, index) => String(index)));
    await host.engine.remove(name, soon());
  });

  it('is waited for by a command that was running, or tells that it forgot it', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const running = host.engine.exec(name, ['sh', '-c', 'touch /tmp/began; sleep 300'], { signal: soon(120) });
    const outcome = running.catch((error: unknown) => error);
    await until(async () => {
      return (await host.engine.exec(name, ['test', '-e', '/tmp/began'], { signal: soon() })).exitCode === 0;
    });

    await privateEngine.restart();

    // An engine of this age does not know its commands any more after a restart.
    expect(await outcome).toMatchObject({ code: 'engine.failed', detail: { container: name } });
    await host.engine.remove(name, soon());
  });

  it('is engine.unavailable meanwhile, and there again afterwards', async () => {
    process.kill(privateEngine.pid, 'SIGKILL');
    const gone = await failure(() => host.engine.facts(soon()));

    await privateEngine.restart();

    expect(gone).toMatchObject({ code: 'engine.unavailable' });
    expect((await host.engine.facts(soon())).rootDir).toContain(folder);
  });
});

describe('events', () => {
  it('tell of our containers in order, with the time and the exit code of the engine, and resume without repeating', async () => {
    const abort = new AbortController();
    const seen: EngineEvent[] = [];
    const reading = readEvents(seen, undefined, abort.signal);
    // What happened before the stream was open is not told: wait for a sign of life first.
    await until(async () => {
      if (seen.length === 0) {
        await host.engine.remove(await runWorkload(host, 'true'), soon());
      }
      return seen.length > 0;
    });

    const name = await runWorkload(host, 'sleep 0.3; exit 3');
    await until(() => seen.some((event) => event.container === name && event.action === 'die'));
    abort.abort();
    await reading;
    const created = seen.find((event) => event.container === name && event.action === 'create');
    await host.engine.remove(name, soon());
    const later: EngineEvent[] = [];
    const again = new AbortController();
    const resumed = readEvents(later, created?.time, again.signal);
    await until(() => later.some((event) => event.container === name && event.action === 'destroy'));
    again.abort();
    await resumed;

    const ours = (events: EngineEvent[]) => events.filter((event) => event.container === name);
    expect(ours(seen).map(({ action }) => action)).toEqual(['create', 'start', 'die']);
    expect(ours(seen).at(-1)).toMatchObject({ exitCode: 3, instance: name.slice('gpuaas-'.length) });
    expect(ours(later).map(({ action }) => action)).toEqual(['start', 'die', 'destroy']);
    for (const { time } of [...seen, ...later]) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    }
  });

  it('never tell the arguments of a command', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const abort = new AbortController();
    const seen: EngineEvent[] = [];
    const since = new Date(Date.now() - 60_000).toISOString();
    const reading = readEvents(seen, since, abort.signal);

    await host.engine.exec(name, ['echo', 'sk-canary-argument'], { signal: soon() });
    await host.engine.remove(name, soon());
    await until(() => seen.some((event) => event.container === name && event.action === 'destroy'));
    abort.abort();
    await reading;

    expect(JSON.stringify(seen)).not.toContain('sk-canary-argument');
  });
});

describe('an engine whose disk is small', () => {
  let small: PrivateEngine;
  let smallHost: TestHost;
  const disk = () => join(folder, 's', 'data');

  beforeAll(async () => {
    await run('mkdir', ['-p', disk()]);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'gpuaas-test', disk()]);
    small = await startPrivateEngine(join(folder, 's'));
    smallHost = await openTestHost({ engineSocket: small.socketPath, policy: await policy() });
  });

  afterAll(async () => {
    await smallHost?.close();
    await small?.stop();
    await run('sh', ['-c', 'mountpoint -q "$0" && umount -l "$0" || true', disk()]);
  });

  it('is disk.full as soon as the layers are known not to fit', async () => {
    const { repository, digest, layers } = await pushFreshImage(registry.host, 'outage/large');
    front.rule = onBlob(layers[0] ?? '', (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 60_000_000 });
      response.write(Buffer.alloc(2_000_000));
      const timer = setInterval(() => response.write(Buffer.alloc(1024)), 20);
      response.once('close', () => clearInterval(timer));
    });
    const image = imageOf(`${front.host}/${repository}@${digest}`);

    const pulling = smallHost.engine.pull(image, { signal: soon(), diskReserveBytes: 1024 });

    await expect(pulling).rejects.toMatchObject({
      ...{
        code: 'disk.full',
        detail: { path: disk(), free_bytes: expect.any(Number), needed_bytes: expect.any(Number) },
      },
    });
    expect(await smallHost.engine.image(image.reference, soon())).toBeUndefined();
  });

  it('is disk.full when a layer turns out larger than it looked', async () => {
    const pushed = await pushFreshImage(registry.host, 'outage/bomb', {
      layerBytes: 100_000_000,
      zeros: true,
    });
    const image = imageOf(`${registry.host}/${pushed.repository}@${pushed.digest}`);

    const pulling = smallHost.engine.pull(image, { signal: soon(), diskReserveBytes: 0 });

    await expect(pulling).rejects.toMatchObject({ code: 'disk.full' });
    expect(await smallHost.engine.image(image.reference, soon())).toBeUndefined();
  });
});

async function readEvents(into: EngineEvent[], since: string | undefined, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of host.engine.events({ since, signal })) {
      into.push(event);
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}

function imageOf(reference: string) {
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json' as const;
  return { kind: 'registry' as const, reference, media_type };
}

/** The first failure of a call that is bound to fail soon. */
async function failure(call: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      await call();
    } catch (error) {
      return error;
    }
    await sleep(20);
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 90_000;
  while (!(await condition())) {
    expect(performance.now(), 'waited too long').toBeLessThan(deadline);
    await sleep(20);
  }
}
