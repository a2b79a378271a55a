/**
 * A launch with secrets of every kind fails in each of its phases, with somebody who repeats them: none is in anything that
 * the daemon's socket tells of it, in its files, or in what it logs.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { localClient } from '../../src/agent/local-api/client.ts';
import type { RunLine } from '../../src/agent/local-api/lines.ts';
import type { FailureCode } from '../../src/contract/failures.ts';
import { type DaemonGround, openDaemonGround } from '../support/daemon-ground.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { secretsIn } from '../support/secrets.ts';
import { type LaunchParams, readyAtOnce } from '../support/test-host.ts';
import { onManifest, type RegistryFront, startRegistryFront } from './engine-registry-front.ts';

const canary = (name: string) => `canary-${name}-${randomBytes(12).toString('hex')}`;
const indexPassword = canary('index');
/** Name → secret. */
const secrets = {
  env: canary('env'),
  file: canary('file'),
  'registry credential': canary('registry'),
  'password of the index': indexPassword,
};
const indexUrl = `http://robot:${indexPassword}@127.0.0.1:1/simple`;
/** What an engine that makes or starts the container has been told. */
const everything = `${secrets.env} and ${secrets.file} and ${indexUrl} and ${indexPassword}`;

let folder: string;
let engine: EngineFront;
let registry: RegistryFront;
let ground: DaemonGround;
let daemon: RunningTask;
let stderr = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-failures-'));
  const [{ socketPath }, { host }] = [await ensureEngine(), await ensureRegistry()];
  engine = await startEngineFront(join(folder, 'engine.sock'), socketPath);
  registry = await startRegistryFront(host);
  const registries = [registry.host, host].map((name) => ({ host: name, prefixes: [''] }));
  ground = await openDaemonGround({ engineSocket: engine.socketPath, policy: { registries } });
  daemon = ground.start();
  daemon.child.stderr?.on('data', (text: string) => {
    stderr += text;
  });
  await ground.connected();
});
afterEach(async () => {
  engine.release();
  registry.rule = undefined;
  await ground.host.clear();
});
afterAll(async () => {
  await ground?.close();
  await Promise.all([engine?.close(), registry?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const client = () => localClient(join(ground.host.folder, 'run/agent.sock'));

async function seal(value: string): Promise<string> {
  return await new CompactEncrypt(Buffer.from(value))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(ground.host.key.publicJwk, 'ECDH-ES'));
}

async function launchWith(over: Partial<LaunchParams>, image = 'tiny' as 'tiny' | 'python'): Promise<LaunchParams> {
  return ground.host.launchParams(await ground.host.image(image), {
    sealed_env: { TOKEN: await seal(secrets.env), PIP_TIMEOUT: await seal(indexUrl) },
    sealed_files: { '/run/secrets/key': await seal(secrets.file) },
    readiness: readyAtOnce,
    ...over,
  });
}

/** What the daemon says while the task is at work, and whatever can be asked of it afterwards. */
async function launchAndAsk(params: LaunchParams) {
  const id = params.identity.app_instance_id;
  const body = {
    task: { type: 'workload.oci_launch', params },
    credential: { username: 'robot', password: secrets['registry credential'] },
  };
  const lines = await Array.fromAsync(client().stream<RunLine>('/v1/run-task', { body }));
  const taskId = lines.flatMap((line) => ('task_id' in line ? [line.task_id] : []))[0] ?? '';
  const result = lines.flatMap((line) => ('result' in line ? [line.result] : []))[0];
  const read = async (query: Record<string, string>) => await Array.fromAsync(client().stream('/v1/logs', { query }));
  const told = {
    'run-task': lines,
    tasks: await client().ask('/v1/tasks'),
    status: await client().ask('/v1/status'),
    'explain of the instance': await client().ask('/v1/explain', { query: { id } }),
    'explain of the task': await client().ask('/v1/explain', { query: { id: taskId } }),
    'log of the task': await read({ kind: 'task', id: taskId }),
    'kept output': await read({ kind: 'instance', id }).catch((error: unknown) => String(error)),
  };
  return { result, told, taskId };
}

const script = (text: string) => ({ entrypoint: ['/bin/sh', '-c'], command: [text] });
/** The workload knows these itself. */
const tells = 'echo "it is $TOKEN and $(cat /run/secrets/key)"; echo "$PIP_TIMEOUT"';

interface Case {
  readonly code: FailureCode;
  readonly phase: string;
  /** Has somebody repeat the secrets. */
  readonly before?: () => void;
  readonly params: () => Promise<LaunchParams>;
}

const cases: Case[] = [
  {
    ...{ code: 'image.unauthorized', phase: 'pulling' },
    before: () => {
      const errors = [{ code: 'DENIED', message: `nobody is ${secrets['registry credential']}` }];
      registry.rule = onManifest((_request, response) => {
        response.writeHead(403, { 'content-type': 'application/json' }).end(JSON.stringify({ errors }));
      });
    },
    params: async () => {
      const image = {
        ...{ kind: 'registry' as const, media_type: 'application/vnd.docker.distribution.manifest.v2+json' as const },
        reference: `${registry.host}/gpuaas-dev/never@sha256:${randomBytes(32).toString('hex')}`,
      };
      return await launchWith({ image });
    },
  },
  {
    ...{ code: 'engine.failed', phase: 'creating' },
    before: () => engine.refuse('POST', /\/containers\/create/, (request) => `I do not like ${request} ${everything}`),
    params: () => launchWith({}),
  },
  {
    ...{ code: 'engine.failed', phase: 'starting' },
    before: () => engine.refuse('POST', /\/containers\/[^/]+\/start/, () => `${'x'.repeat(1000)} ${everything}`),
    params: () => launchWith({}),
  },
  {
    ...{ code: 'packages.failed', phase: 'installing_packages' },
    // pip repeats the value of an option that it cannot read.
    params: () => launchWith({ python_packages: ['no-such-thing==9'], ...script('sleep 1000') }, 'python'),
  },
  {
    ...{ code: 'readiness.timed_out', phase: 'probing' },
    params: () =>
      launchWith({
        ...script(`${tells}; while :; do sleep 1; done`),
        readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 2 }],
      }),
  },
  {
    ...{ code: 'container.exited', phase: 'probing' },
    params: () =>
      launchWith({
        ...script(`${tells}; head -c 4050 /dev/zero | tr "\\0" x; echo; ${tells}; exit 3`),
        readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
      }),
  },
];

describe('no secret of a launch that fails', () => {
  it.each(cases)('while $phase, as $code, is told, kept or logged (G-160)', async ({ code, phase, before, params }) => {
    before?.();

    const { result, told, taskId } = await launchAndAsk(await params());

    expect(result?.failure).toMatchObject({ code, detail: { phase } });
    expect(JSON.stringify(told['log of the task'])).toContain('[redacted]');
    expect(JSON.stringify(told.tasks)).toContain(taskId);
    for (const [where, text] of Object.entries(told))
      expect(secretsIn(JSON.stringify(text), secrets), where).toEqual([]);
    for (const name of readdirSync(ground.stateDir, { recursive: true, encoding: 'utf8' })) {
      expect(secretsIn(bytesOf(join(ground.stateDir, name)), secrets), name).toEqual([]);
    }
    expect(secretsIn(JSON.stringify([ground.sink.records, ground.sink.ended]), secrets)).toEqual([]);
    expect(secretsIn(stderr, secrets)).toEqual([]);
  });
});

/** None for a folder or a socket. */
function bytesOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if (['EISDIR', 'ENXIO', 'ENOENT'].includes(String((error as NodeJS.ErrnoException).code))) return Buffer.alloc(0);
    throw error;
  }
}
