/** How often and how long a pull is tried, against a scripted engine: what real registries cannot be made to do in time. */
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { openDockerEngine } from '../../../src/runtime/docker/docker-engine.ts';
import type { PullOptions } from '../../../src/runtime/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { type ScriptedEngine, sendJson, startScriptedEngine } from './scripted-engine.ts';

const reference = `registry.example/x/y@sha256:${'a'.repeat(64)}`;
const image = { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' } as const;
const inspected = { Id: 'sha256:1', RepoDigests: [reference], Config: { Env: ['A=1'], Volumes: { '/v': {} } } };

let scripted: ScriptedEngine | undefined;

afterEach(async () => {
  await scripted?.close();
});

interface Behaviour {
  /** Answer of each attempt: undefined succeeds, a text is the engine's word. */
  readonly words: (string | undefined)[];
  /** What the engine holds after a success. */
  readonly holds?: object | undefined;
  /** True to tell errors in the stream instead of in the status. */
  readonly inStream?: boolean;
}

async function open({ words, holds = inspected, inStream = false }: Behaviour) {
  let held = false;
  const auth: (string | undefined)[] = [];
  scripted = await startScriptedEngine(({ line, headers }, response) => {
    if (line.startsWith('GET /images/')) {
      sendJson(response, held ? 200 : 404, held ? holds : { message: 'no such image' });
    } else if (line.startsWith('POST /images/create')) {
      auth.push(readAuth(headers['x-registry-auth']));
      const word = words.shift();
      held = word === undefined;
      answerPull(response, word, inStream);
    } else {
      sendJson(response, 200, { DockerRootDir: '/', Version: '1' });
    }
  });
  const pulls = { attempts: 3, backoff: { firstMs: 1, maxMs: 2, factor: 2 }, maxRetryAfterMs: 100 };
  const engine = openDockerEngine({ socketPath: scripted.socketPath, pulls });
  const retries: unknown[] = [];
  const options = (over: Partial<PullOptions> = {}): PullOptions => ({
    ...{ signal: AbortSignal.timeout(25_000), diskReserveBytes: 0, onRetry: ({ error }) => retries.push(error) },
    ...over,
  });
  return { pull: (over?: Partial<PullOptions>) => engine.pull(image, options(over)), retries, auth };
}

/** Two want the image, and know that the engine does not have it. */
async function bothAsked(): Promise<void> {
  const looks = () => scripted?.seen.filter(({ line }) => line.startsWith('GET /images/'));
  await eventually(() => expect(looks()).toHaveLength(2));
}

function readAuth(header: string | string[] | undefined): string | undefined {
  return header === undefined ? undefined : Buffer.from(String(header), 'base64url').toString();
}

function answerPull(response: ServerResponse, word: string | undefined, inStream: boolean): void {
  if (word !== undefined && !inStream) {
    sendJson(response, 500, { message: word });
    return;
  }
  const error = word === undefined ? '' : `{"errorDetail":{"message":${JSON.stringify(word)}}}\n`;
  response.writeHead(200, { 'content-type': 'application/json' }).end(`{"status":"Pulling"}\r\n${error}`);
}

describe('a pull', () => {
  it('gives what the engine knows about the image', async () => {
    const { pull } = await open({ words: [undefined] });

    expect(await pull()).toEqual({
      ...{
        id: 'sha256:1',
        repoDigests: [reference],
        env: ['A=1'],
        volumes: ['/v'],
        workingDir: '',
        hasHealthcheck: false,
      },
    });
  });

  it.each([false, true])(
    'is tried three times and then fails with the last word (in the stream: %s)',
    async (inStream) => {
      const { pull, retries } = await open({ words: ['EOF', 'EOF', 'the last word'], inStream });

      await expect(pull()).rejects.toMatchObject({
        ...{ code: 'image.pull_failed', detail: { image: reference, reason: 'the last word' } },
      });
      expect(retries).toHaveLength(2);
    },
  );

  it('that the engine calls done is not done while the engine does not have the image', async () => {
    const { pull } = await open({ words: [undefined], holds: { ...inspected, RepoDigests: ['other/x@sha256:2'] } });

    await expect(pull()).rejects.toMatchObject({ code: 'image.digest_mismatch', detail: { expected: reference } });
  });

  it('does not repeat what a repetition cannot change', async () => {
    const { pull, retries } = await open({ words: ['no matching manifest for linux/arm64'] });

    await expect(pull()).rejects.toMatchObject({ code: 'image.pull_failed' });
    expect(retries).toEqual([]);
  });

  it('that the registry wants later than anybody waits fails at once, with the time', async () => {
    const { pull } = await open({ words: ['toomanyrequests: retry-after: 1', undefined] });

    await expect(pull()).rejects.toMatchObject({ code: 'image.rate_limited', detail: { retry_after_seconds: 1 } });
  });

  it('asks for room before it fails for want of it', async () => {
    const { pull, retries } = await open({ words: [undefined] });
    const asked: number[] = [];
    const makeRoom = async (bytes: number) => void asked.push(bytes);

    const failed = pull({ diskReserveBytes: 2 ** 60, makeRoom });

    await expect(failed).rejects.toMatchObject({ code: 'disk.full', detail: { needed_bytes: 2 ** 60 } });
    expect([asked, retries]).toEqual([[2 ** 60], []]);
    asked.splice(0);
    await pull({ makeRoom });
    expect(asked).toEqual([]);
  });

  it('takes a new credential once, which does not count as an attempt', async () => {
    const { pull, auth, retries } = await open({ words: ['unauthorized', 'EOF', 'EOF', undefined] });
    const bearers = ['old', 'new', 'newer', 'newest'];

    await pull({ credential: async () => ({ bearer: bearers.shift() ?? '' }) });

    expect(auth.map((text) => JSON.parse(text ?? '{}').registrytoken)).toEqual(['old', 'new', 'newer', 'newest']);
    expect(retries).toHaveLength(2);
  });

  it('is refused for good by the second refusal, with no secret in the failure', async () => {
    const { pull } = await open({ words: ['unauthorized', 'unauthorized: https://u:s3cr3t@r/ token=s3cr3t'] });

    const error = await pull({ credential: async () => ({ bearer: 's3cr3t' }) }).catch((caught: unknown) => caught);

    expect(error).toMatchObject({ code: 'image.unauthorized' });
    expect(JSON.stringify((error as { detail: unknown }).detail)).not.toContain('s3cr3t');
  });

  it('without a credential sends none', async () => {
    const { pull, auth } = await open({ words: [undefined] });

    await pull({ credential: async () => undefined });

    expect(auth).toEqual([undefined]);
  });

  it('gives the credential up when nobody wants the image any more', async () => {
    const { pull } = await open({ words: [] });
    const wants = new AbortController();
    const asked = Promise.withResolvers<AbortSignal>();

    const pulling = pull({
      signal: wants.signal,
      credential: (signal) => {
        asked.resolve(signal);
        return new Promise(() => undefined);
      },
    });
    const wanted = await asked.promise;
    expect(wanted.aborted).toBe(false);
    wants.abort(new Error('cancelled'));

    await expect(pulling).rejects.toThrow('cancelled');
    expect(wanted.aborted).toBe(true);
  });

  it('goes by the credential of the next who waits, where that of the first is refused', async () => {
    const { pull, auth, retries } = await open({ words: ['unauthorized', 'unauthorized', undefined] });
    const bearer = (text: string) => ({ credential: async () => await bothAsked().then(() => ({ bearer: text })) });

    const both = await Promise.all([pull(bearer('refused')), pull(bearer('good'))]);

    expect(both.map(({ id }) => id)).toEqual(['sha256:1', 'sha256:1']);
    expect(auth.map((text) => JSON.parse(text ?? '{}').registrytoken)).toEqual(['refused', 'refused', 'good']);
    expect(retries).toEqual([]);
  });

  it('goes by the credential of the next who waits, where the first has none to give', async () => {
    const { pull, auth } = await open({ words: [undefined] });
    const broken = {
      credential: async () => {
        await bothAsked();
        throw new AgentError('image.unauthorized');
      },
    };

    await Promise.all([pull(broken), pull({ credential: async () => ({ bearer: 'good' }) })]);

    expect(auth.map((text) => JSON.parse(text ?? '{}').registrytoken)).toEqual(['good']);
  });

  it('goes by the credential of the next who waits, where the first goes while it is asked', async () => {
    const { pull, auth } = await open({ words: [undefined] });
    const wants = new AbortController();
    const first = pull({
      signal: wants.signal,
      credential: async (signal) => {
        wants.abort(new Error('cancelled'));
        signal.throwIfAborted();
        return { bearer: 'of somebody who has gone' };
      },
    });
    const second = pull({ credential: async () => ({ bearer: 'good' }) });

    await expect(first).rejects.toThrow('cancelled');
    await second;

    expect(auth.map((text) => JSON.parse(text ?? '{}').registrytoken)).toEqual(['good']);
  });

  it('fails where the credentials of all who wait are refused', async () => {
    const { pull, auth } = await open({ words: Array.from({ length: 4 }, () => 'unauthorized') });
    const credential = async () => await bothAsked().then(() => ({ bearer: 'refused' }));

    const both = await Promise.allSettled([pull({ credential }), pull({ credential })]);

    expect(both).toMatchObject(Array.from({ length: 2 }, () => ({ reason: { code: 'image.unauthorized' } })));
    expect(auth).toHaveLength(4);
  });

  it('fails as its credential fails', async () => {
    const { pull } = await open({ words: [] });
    const broken = new Error('the control plane is away');

    await expect(pull({ credential: () => Promise.reject(broken) })).rejects.toBe(broken);
  });
});
