/** Pulls by digest from real registries that behave, fail, stall and lie (FAULTS 24, 25, 36), through the real gate. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import type { RegistryImage } from '../../src/contract/workload-oci-launch.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine, PullOptions, PullProgress } from '../../src/runtime/engine.ts';
import { engineCall } from '../support/engine-call.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { type FreshImage, pushFreshImage } from './engine-images.ts';
import {
  atFirst,
  dripBlob,
  onBlob,
  onManifest,
  type RegistryFront,
  registryError,
  startRegistryFront,
  untilThen,
} from './engine-registry-front.ts';
import { soon } from './engine-workload.ts';

const user = { username: 'puller', password: 'pull-secret' };
const htpasswd = 'puller:$2b$04$6WcPD7tUwvk8GpfrV1Uy4e3aqEFpHKv6z5AfoDyNMYDnSKDoE89YG\n';

let host: TestHost;
let engine: ContainerEngine;
/** Gives up what does not move for five seconds. */
let hasty: ContainerEngine;
let folder: string;
let open: PrivateRegistry;
let locked: PrivateRegistry;
let front: RegistryFront;
const references: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-pull-'));
  [open, locked] = await Promise.all([
    startRegistry(join(folder, 'open')),
    startRegistry(join(folder, 'locked'), { htpasswd }),
  ]);
  front = await startRegistryFront(open.host);
  const registries = [front.host, locked.host].map((name) => ({ host: name, prefixes: [''] }));
  host = await openTestHost({ policy: { registries } });
  const pulls = { attempts: 3, backoff: { firstMs: 50, maxMs: 200, factor: 2 }, maxRetryAfterMs: 5000 };
  engine = openDockerEngine({ socketPath: host.gate.socketPath, pulls });
  hasty = openDockerEngine({ socketPath: host.gate.socketPath, pulls, timeouts: { stallMs: 5000 } });
});

afterEach(async () => {
  front.rule = undefined;
  for (const reference of references.splice(0)) {
    await engineCall(host.engineSocket, 'DELETE', `/images/${reference}`);
  }
});

afterAll(async () => {
  engine?.close();
  hasty?.close();
  await host?.close();
  await Promise.all([front?.close(), open?.stop(), locked?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** A new image in the open registry, to be pulled through the front. */
async function freshImage(options: { layers?: number; layerBytes?: number } = {}): Promise<FreshImage & RegistryImage> {
  const pushed = await pushFreshImage(open.host, `fresh/${randomBytes(4).toString('hex')}`, options);
  return { ...pushed, ...imageAt(front.host, pushed) };
}

function imageAt(registry: string, { repository, digest }: FreshImage): RegistryImage {
  const reference = `${registry}/${repository}@${digest}`;
  references.push(reference);
  return { kind: 'registry', reference, media_type: 'application/vnd.docker.distribution.manifest.v2+json' };
}

function options(over: Partial<PullOptions> = {}): PullOptions {
  return { signal: soon(), diskReserveBytes: 0, ...over };
}

const askedFor = (image: RegistryImage) => front.asked.filter((line) => line.includes(repositoryOf(image)));
const repositoryOf = ({ reference }: RegistryImage) =>
  reference.slice(reference.indexOf('/') + 1, reference.indexOf('@'));

async function held(image: RegistryImage): Promise<boolean> {
  return (await engineCall(host.engineSocket, 'GET', `/images/${image.reference}/json`)).status === 200;
}

const stall = (_request: unknown, response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 1_000_000 });
  response.write('a few bytes, and then nothing');
};

describe('a pull', () => {
  it('brings exactly the image of the digest, and tells how far it is', async () => {
    const image = await freshImage({ layers: 3, layerBytes: 400_000 });
    const progress: PullProgress[] = [];
    // The engine tells of downloads only now and then, and nothing at all of one that is over at once.
    front.rule = onBlob(image.layers[0] ?? '', (_request, response) => void dripLayer(image, response));

    const facts = await engine.pull(image, options({ onProgress: (now) => progress.push(now) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(facts.id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(progress.at(-1)).toMatchObject({ layers: 3, layersDone: 3 });
    expect(progress.at(-1)?.bytes).toBeGreaterThan(400_000);
    expect(progress.at(-1)?.bytesTotal).toBe(progress.at(-1)?.bytes);
  });

  it('of what the engine holds already asks no registry', async () => {
    const image = await freshImage();
    const first = await engine.pull(image, options());
    const asked = askedFor(image).length;
    front.rule = registryErrorForAll;

    const second = await engine.pull(image, options());

    expect(second).toEqual(first);
    expect(askedFor(image)).toHaveLength(asked);
  });

  it('is one for all who want the same, and each can leave', async () => {
    const image = await freshImage({ layers: 1 });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    front.rule = untilThen(released, image.layers[0] ?? '');
    const abort = new AbortController();
    const reason = new Error('changed my mind');

    const leaving = engine.pull(image, options({ signal: abort.signal }));
    const staying = [engine.pull(image, options()), engine.pull(image, options())];
    const left = expect(leaving).rejects.toBe(reason);
    await until(() => askedFor(image).some((line) => line.includes('/blobs/')));
    abort.abort(reason);
    await left;
    release();
    const [one, other] = await Promise.all(staying);

    expect(one).toBe(other);
    expect(one?.repoDigests).toEqual([image.reference]);
    expect(askedFor(image).filter((line) => line.startsWith('GET') && line.includes('/manifests/'))).toHaveLength(1);
  });

  it('is given up when the last who wanted it has left', async () => {
    const image = await freshImage();
    front.rule = onBlob(image.layers[0] ?? '', (_request, response) => dripBlob(response));
    const abort = new AbortController();

    const pulls = [1, 2].map(() => engine.pull(image, options({ signal: abort.signal })));
    const outcomes = Promise.allSettled(pulls);
    // Its configuration is a blob as well, and may be asked for first.
    await until(() => askedFor(image).some((line) => line.includes(image.layers[0] ?? '')));
    abort.abort(new Error('nobody wants it'));

    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'nobody wants it' } });
    }
    await until(() => front.abandoned.some((path) => path.includes(image.layers[0] ?? '')));
    expect(await held(image)).toBe(false);
  });

  it('of a registry that the host does not allow is refused by the gate', async () => {
    const image = imageAt('127.0.0.1:9', await freshImage());

    await expect(engine.pull(image, options())).rejects.toMatchObject({ code: 'image.registry_denied' });
  });

  it('without a digest is refused before anything is asked', async () => {
    const image = await freshImage();
    const tagged = { ...image, reference: image.reference.replace(/@.*/, ':latest') };

    await expect(engine.pull(tagged, options())).rejects.toMatchObject({ code: 'image.not_pinned' });
    expect(askedFor(image)).toEqual([]);
  });

  it('goes on when the gate restarts in the middle', async () => {
    const image = await freshImage();
    front.rule = atFirst(
      1,
      onBlob(image.layers[0] ?? '', (_request, response) => {
        void host.restartGate().then(() => response.destroy());
      }),
    );
    const retries: unknown[] = [];

    const facts = await host.engine.pull(image, options({ onRetry: ({ error }) => retries.push(error) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(retries[0]).toMatchObject({ code: 'engine.unavailable' });
  });
});

describe('a registry that wants to know who asks', () => {
  it('gets user and password', async () => {
    const image = imageAt(locked.host, await pushFreshImage(locked.host, 'locked/basic', { auth: user }));

    const facts = await engine.pull(image, options({ credential: async () => user }));

    expect(facts.repoDigests).toEqual([image.reference]);
  });

  it('is asked again once with a new credential when it refuses the first', async () => {
    const image = imageAt(locked.host, await pushFreshImage(locked.host, 'locked/refreshed', { auth: user }));
    const credentials = [{ username: 'puller', password: 'expired' }, user];

    const facts = await engine.pull(image, options({ credential: async () => credentials.shift() }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(credentials).toEqual([]);
  });

  it('is image.unauthorized when it refuses the second, too, or there is none', async () => {
    const image = imageAt(locked.host, await pushFreshImage(locked.host, 'locked/refused', { auth: user }));
    let given = 0;
    const credential = async () => {
      given += 1;
      return { username: 'puller', password: 'wrong-password-1' };
    };

    const wrong = await engine.pull(image, options({ credential })).catch((error: unknown) => error);
    const none = await engine.pull(image, options()).catch((error: unknown) => error);

    expect(wrong).toMatchObject({ code: 'image.unauthorized', detail: { image: image.reference } });
    expect(JSON.stringify(wrong)).not.toContain('wrong-password-1');
    expect(none).toMatchObject({ code: 'image.unauthorized' });
    expect(given).toBe(2);
  });

  it('gets a bearer token', async () => {
    const image = await freshImage();
    const challenge = `Bearer realm="http://${front.host}/token",service="s",scope="repository:x:pull"`;
    const seen = new Set<string>();
    front.rule = (request, response) => {
      seen.add(request.headers.authorization ?? '');
      if (request.headers.authorization === 'Bearer t0ken') {
        return false;
      }
      registryError(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge })(
        request,
        response,
      );
      return true;
    };

    const facts = await engine.pull(image, options({ credential: async () => ({ bearer: 't0ken' }) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(seen).toContain('Bearer t0ken');
  });

  it.each([403, 401])('is image.unauthorized when it answers %i for the image', async (status) => {
    const image = await freshImage();
    front.rule = onManifest(registryError(status, 'DENIED', 'requested access to the resource is denied'));

    await expect(engine.pull(image, options())).rejects.toMatchObject({ code: 'image.unauthorized' });
  });
});

describe('a registry in trouble', () => {
  it('is image.not_found for an image it does not have, at once', async () => {
    const image = await freshImage();
    const other = { ...image, reference: image.reference.replace(/.{8}$/, '00000000') };
    const retries: unknown[] = [];

    const pull = engine.pull(other, options({ onRetry: (retry) => retries.push(retry) }));

    await expect(pull).rejects.toMatchObject({ code: 'image.not_found' });
    expect(retries).toEqual([]);
  });

  it('that limits pulls is asked again after the time it names', async () => {
    const image = await freshImage();
    const message = 'You have reached your pull rate limit. Retry after 1s';
    front.rule = atFirst(1, onManifest(registryError(429, 'TOOMANYREQUESTS', message)));
    const retries: { delayMs: number; error: unknown }[] = [];
    const began = performance.now();

    await engine.pull(image, options({ onRetry: (retry) => retries.push(retry) }));

    expect(retries).toMatchObject([{ delayMs: 1000, error: { code: 'image.rate_limited' } }]);
    // A timer may come a little early.
    expect(performance.now() - began).toBeGreaterThanOrEqual(950);
  });

  it('that limits pulls for longer than anybody waits is image.rate_limited, with the time', async () => {
    const image = await freshImage();
    front.rule = onManifest(registryError(429, 'TOOMANYREQUESTS', 'slow down, retry after 3600 s'));

    await expect(engine.pull(image, options())).rejects.toMatchObject({
      ...{ code: 'image.rate_limited', detail: { retry_after_seconds: 3600 } },
    });
  });

  it('that limits pulls without end is image.rate_limited', async () => {
    const image = await freshImage();
    front.rule = onManifest((_request, response) => response.writeHead(429).end('slow down'));
    const retries: unknown[] = [];

    const pull = engine.pull(image, options({ onRetry: (retry) => retries.push(retry) }));

    await expect(pull).rejects.toMatchObject({ code: 'image.rate_limited' });
    expect(retries).toHaveLength(2);
  });

  it.each([
    ['answers 500', (_request: unknown, response: ServerResponse) => response.writeHead(500).end('boom')],
    ['answers 503', (_request: unknown, response: ServerResponse) => response.writeHead(503).end('{}')],
    ['hangs up', (_request: unknown, response: ServerResponse) => response.destroy()],
  ])('that %s twice and then recovers is only asked again', async (_what, answer) => {
    const image = await freshImage();
    front.rule = atFirst(2, onManifest(answer));
    const attempts: number[] = [];

    const facts = await engine.pull(image, options({ onRetry: ({ attempt }) => attempts.push(attempt) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(attempts).toEqual([1, 2]);
  });

  it('that says nothing twice and then recovers is only asked again', async () => {
    const image = await freshImage();
    front.rule = atFirst(
      2,
      onManifest(() => undefined),
    );
    const attempts: number[] = [];

    const facts = await hasty.pull(image, options({ onRetry: ({ attempt }) => attempts.push(attempt) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(attempts.slice(0, 2)).toEqual([1, 2]);
  });

  it('that never recovers is image.pull_failed with its last word', async () => {
    const image = await freshImage();
    front.rule = onManifest((_request, response) => response.writeHead(502).end('bad gateway'));

    await expect(engine.pull(image, options())).rejects.toMatchObject({
      ...{ code: 'image.pull_failed', detail: { reason: expect.stringContaining('502') } },
    });
  });

  it('that stalls in the middle of a layer is asked again', async () => {
    const image = await freshImage({ layers: 2 });
    front.rule = atFirst(1, onBlob(image.layers[1] ?? '', stall));
    const retries: unknown[] = [];

    const facts = await hasty.pull(image, options({ onRetry: ({ error }) => retries.push(error) }));

    expect(facts.repoDigests).toEqual([image.reference]);
    expect(retries[0]).toMatchObject({ code: 'image.pull_failed', detail: { reason: 'Nothing came for 5 seconds.' } });
  });
});

describe('a registry that lies', () => {
  it('about the manifest is image.digest_mismatch, at once, and nothing is kept', async () => {
    const image = await freshImage();
    const other = await freshImage();
    front.rule = onManifest((request, response) => {
      void fetch(`http://${open.host}/v2/${other.repository}/manifests/${other.digest}`, {
        headers: { accept: String(request.headers.accept) },
      }).then(async (answer) => {
        const headers = {
          'content-type': answer.headers.get('content-type') ?? '',
          'docker-content-digest': image.digest,
        };
        response.writeHead(200, headers).end(Buffer.from(await answer.arrayBuffer()));
      });
    });
    const retries: unknown[] = [];

    const pull = engine.pull(image, options({ onRetry: (retry) => retries.push(retry) }));

    await expect(pull).rejects.toMatchObject({ code: 'image.digest_mismatch', detail: { image: image.reference } });
    expect(retries).toEqual([]);
    expect(await held(image)).toBe(false);
    expect(await held(other)).toBe(false);
  });

  it('about a layer is image.digest_mismatch, and nothing is kept', async () => {
    const image = await freshImage();
    front.rule = onBlob(image.layers[0] ?? '', (_request, response) => {
      response.writeHead(200, { 'content-length': 5 }).end('hello');
    });

    await expect(engine.pull(image, options())).rejects.toMatchObject({ code: 'image.digest_mismatch' });
    expect(await held(image)).toBe(false);
  });
});

describe('a disk', () => {
  it('without room for the reserve is disk.full before a registry is asked', async () => {
    const image = await freshImage();

    const pull = engine.pull(image, options({ diskReserveBytes: Number.MAX_SAFE_INTEGER }));

    await expect(pull).rejects.toMatchObject({
      code: 'disk.full',
      detail: { free_bytes: expect.any(Number), needed_bytes: Number.MAX_SAFE_INTEGER },
    });
    expect(askedFor(image)).toEqual([]);
  });
});

/** The first layer of the image, over a line on which a second is not enough for it. */
async function dripLayer({ repository, layers }: FreshImage, response: ServerResponse): Promise<void> {
  const blob = await fetch(`http://${open.host}/v2/${repository}/blobs/${layers[0]}`);
  const content = Buffer.from(await blob.arrayBuffer());
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': content.length });
  const piece = 16 * 1024;
  for (let at = 0; at < content.length; at += piece) {
    response.write(content.subarray(at, at + piece));
    await sleep(50);
  }
  response.end();
}

function registryErrorForAll(_request: unknown, response: ServerResponse): boolean {
  response.writeHead(500).end();
  return true;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    expect(performance.now(), 'waited too long').toBeLessThan(deadline);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
