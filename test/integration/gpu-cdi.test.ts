/**
 * Cards by CDI on an engine that knows it (26.1): what a container gets is what the host's own specification says of the
 * card, and the gate knows the mounts. The specification is shaped as `nvidia-ctk cdi generate` writes it; its files are
 * ours.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { newerEngineEnv } from '../../bootstrap/dev/newer-engine.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { containerName } from '../../src/contract/names.ts';
import { inspectRaw } from '../support/looking.ts';
import { nvidiaSmi } from '../support/nvidia-smi.ts';
import { succeededStack } from '../support/real-stack.ts';
import { aStack, sleepingService } from '../support/stacks.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const cards = ['GPU-0a', 'GPU-1b'];
const folder = mkdtempSync(join(tmpdir(), 'gpc-'));
let engine: PrivateEngine;
let host: TestHost;

beforeAll(async () => {
  const smi = nvidiaSmi(
    join(temporaryFolder('smi'), 'bin'),
    cards.map((uuid) => ({ uuid })),
  );
  vi.stubEnv('PATH', `${smi.folder}:${process.env['PATH']}`);
  const specs = join(folder, 'cdi');
  mkdirSync(specs);
  writeFileSync(join(specs, 'nvidia.yaml'), specification(join(folder, 'libcuda.so.570.86.15')));
  engine = await startPrivateEngine(join(folder, 'e'), {
    env: await newerEngineEnv(),
    config: { features: { cdi: true }, 'cdi-spec-dirs': [specs] },
  });
  host = await openTestHost({ engineSocket: engine.socketPath });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await host?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Two cards, each with a variable of its own, and a library of the driver for both. */
function specification(library: string): string {
  writeFileSync(library, '');
  const at = '/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15';
  const mount = { hostPath: library, containerPath: at, options: ['ro', 'nosuid', 'nodev', 'rbind', 'rprivate'] };
  return JSON.stringify({
    ...{ cdiVersion: '0.5.0', kind: 'nvidia.com/gpu' },
    devices: cards.map((uuid) => ({ name: uuid, containerEdits: { env: [`CARD_${uuid.slice(4)}=here`] } })),
    containerEdits: { env: ['NVIDIA_VISIBLE_DEVICES=void'], mounts: [mount] },
  });
}

/** Variables of the program in the container. */
async function environmentOf(container: string): Promise<string[]> {
  const { Pid } = (await inspectRaw(host, container)).State;
  return readFileSync(`/proc/${Pid}/environ`, 'utf8').split('\0');
}

it('a container gets the card that the ledger gave it, by its name, and no other', async () => {
  const tiny = await host.image('tiny');
  const params = host.launchParams(tiny, { resources: { gpu_count: 1, cpu_cores: 0.1, memory_gib: 0.0625 } });
  const { identity } = params;

  const result = await host.run('workload.oci_launch', params);

  expect(result).toMatchObject({ status: 'succeeded', output: { adapter: { gpus: ['GPU-0a'] } } });
  const container = containerName(identity.app_instance_id);
  expect((await inspectRaw(host, container)).HostConfig['DeviceRequests']).toMatchObject([
    { Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=GPU-0a'] },
  ]);
  const variables = await environmentOf(container);
  expect(variables).toContain('CARD_0a=here');
  expect(variables).toContain('NVIDIA_VISIBLE_DEVICES=void');
  expect(variables.filter((each) => each.startsWith('CARD_'))).toHaveLength(1);
  await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 });
});

it('the services of a stack get theirs by way of Compose', async () => {
  const tiny = await host.image('tiny');
  const gpu = { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu' as const], count: 1 }] } } } };
  const params = aStack(host.policy.allocation.id, {
    llm: sleepingService(tiny, gpu),
    embed: sleepingService(tiny, gpu),
  });
  const { identity } = params;

  const { services } = succeededStack(await host.run('workload.compose_launch', params)).adapter;

  const given = services.map(({ service, gpus }) => [service, gpus] as const);
  expect(given.flatMap(([, gpus]) => gpus).sort()).toEqual(cards);
  for (const [service, [uuid = '']] of given) {
    const variables = await environmentOf(containerName(identity.app_instance_id, service));
    expect(variables.filter((each) => each.startsWith('CARD_'))).toEqual([`CARD_${uuid.slice(4)}=here`]);
  }
  await host.run('workload.compose_remove', { identity, keep_data: false, grace_seconds: 0 });
});
