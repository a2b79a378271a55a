/** A canary secret is looked for everywhere: logs, results, events, state, inspect (abuse: canary secrets). */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { containerOf, inspectRaw, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

const fileCanary = 'canary-file-"7c51e0"-b0a4';
const envCanary = 'canary-env-93d2f6a1c8';

let host: TestHost;
let params: LaunchParams;
let results: TaskResult[];

beforeAll(async () => {
  host = await openTestHost();
  params = host.launchParams(await host.image('tiny'), {
    sealed_files: { '/run/secrets/key': await seal(fileCanary) },
    sealed_env: { API_KEY: await seal(envCanary) },
    command: ['cat /run/secrets/key; echo; echo $API_KEY; sleep 100000'],
    readiness: [{ type: 'exec', command: ['/bin/test', '-s', '/run/secrets/key'], timeout_seconds: 60 }],
  });
  const failing = {
    ...params,
    identity: { ...params.identity, app_instance_id: `${params.identity.app_instance_id}-f` },
    command: ['cat /run/secrets/key; echo; echo $API_KEY; exit 1'],
  };
  results = [await host.run('workload.oci_launch', params), await host.run('workload.oci_launch', failing)];
});
afterAll(async () => await host.close());

describe('an opened secret', () => {
  it('reaches the workload, as a file in memory that only its user can read', async () => {
    succeeded(results[0] as TaskResult);
    const show =
      'cat /run/secrets/key; echo; ls -ln /run/secrets/key; grep " /run/secrets " /proc/mounts; echo x > /run/secrets/y';
    const { tail } = await host.engine.exec(containerOf(params), ['/bin/sh', '-c', `(${show}) 2>&1`], {
      signal: AbortSignal.timeout(60_000),
    });

    expect(tail).toContain(fileCanary);
    expect(tail).toMatch(new RegExp(`^-r-------- .* ${host.policy.allocation.uid} `, 'm'));
    expect(tail).toMatch(/^tmpfs \/run\/secrets tmpfs ro/m);
    expect(tail).toContain('Read-only file system');
  });

  it('is in no result, also when the workload printed it and failed', () => {
    expect(results[1]?.failure?.code).toBe('container.exited');
    expect(results[1]?.failure?.detail['excerpt']).toContain('[redacted]');
    expectClean(JSON.stringify(results), 'the results');
  });

  it('is recognised also where the end of the log is cut in two', async () => {
    const long = host.launchParams(await host.image('tiny'), {
      sealed_env: { LONG: await seal(`${'k'.repeat(60)}-canary-long-${'z'.repeat(60)}`) },
      command: ['echo "$LONG"; head -c 4000 /dev/zero | tr "\\0" x; exit 3'],
    });

    const { failure } = await host.run('workload.oci_launch', long);

    expect(failure?.code).toBe('container.exited');
    expect(JSON.stringify(failure)).not.toMatch(/canary-long|zzzz/);
  });

  it('is in no file below the state of agent and gate, task logs included (G-160)', () => {
    const files = [join(host.folder, 'state'), join(host.folder, 'gate'), join(host.folder, 'home')].flatMap(
      filesBelow,
    );

    expect(files.some((file) => file.endsWith('.ndjson'))).toBe(true);
    for (const file of files) {
      expectClean(readFileSync(file, 'utf8'), file);
    }
    expectClean(host.gateLog.join(''), 'the log of the gate');
  });

  it('is not in the inspect data of the container if it is a file; a variable is there, as documented', async () => {
    const inspected = JSON.stringify(await inspectRaw(host, containerOf(params)));

    expect(inspected).not.toContain(JSON.stringify(fileCanary).slice(1, -1));
    expect(inspected).toContain(`API_KEY=${envCanary}`);
  });

  it('is gone from memory with the workload', async () => {
    const folder = join(host.policy.secrets_dir, params.identity.app_instance_id);
    expect(existsSync(folder)).toBe(true);

    succeeded(await host.run('workload.oci_remove', { identity: params.identity, keep_data: true, grace_seconds: 0 }));

    expect(existsSync(folder)).toBe(false);
  });
});

describe('a sealed value for somebody else', () => {
  it('is secret.unavailable, and nothing is made', async () => {
    const jwe = await seal('x');
    const tampered = `${jwe.slice(0, -4)}AAAA`;
    const other = host.launchParams(await host.image('tiny'), { sealed_env: { KEY: tampered } });

    const result = await host.run('workload.oci_launch', other);

    expect(result.failure?.code).toBe('secret.unavailable');
    await expect(inspectRaw(host, containerOf(other))).rejects.toThrow('404');
  });
});

async function seal(value: string): Promise<string> {
  return await new CompactEncrypt(Buffer.from(value))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(host.key.publicJwk, 'ECDH-ES'));
}

function expectClean(text: string, where: string): void {
  for (const canary of [fileCanary, JSON.stringify(fileCanary).slice(1, -1), envCanary]) {
    expect(text.includes(canary), `${where} holds ${canary}`).toBe(false);
  }
}

function filesBelow(folder: string): string[] {
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .map((file) => join(folder, file))
        .filter((file) => statSync(file).isFile())
    : [];
}
