/** Cards of a stack: by way of the real Compose and a real gate, on an engine that takes itself for one of a host with cards. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { ComposeService } from '../../src/contract/compose-document.ts';
import { containerName } from '../../src/contract/names.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { inspectRaw } from '../support/looking.ts';
import { nvidiaSmi } from '../support/nvidia-smi.ts';
import { succeededStack } from '../support/real-stack.ts';
import { aStack, sleepingService } from '../support/stacks.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const cards = ['GPU-0a', 'GPU-1b', 'GPU-2c'];
let engine: PrivateEngine;
let host: TestHost;

beforeAll(async () => {
  const smi = nvidiaSmi(
    join(temporaryFolder('smi'), 'bin'),
    cards.map((uuid) => ({ uuid })),
  );
  vi.stubEnv('PATH', `${smi.folder}:${process.env['PATH']}`);
  engine = await engineWithCards();
  host = await openTestHost({ engineSocket: engine.socketPath });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await host?.close();
  await engine?.stop();
});

const gpus = (count: number): Partial<ComposeService> => ({
  deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], count }] } } },
});

/** What the program in the container was told. */
async function toldTo(container: string): Promise<string | undefined> {
  const { Pid } = (await inspectRaw(host, container)).State;
  const variables = readFileSync(`/proc/${Pid}/environ`, 'utf8').split('\0');
  return variables.find((entry) => entry.startsWith('NVIDIA_VISIBLE_DEVICES='))?.split('=')[1];
}

it('go to the services of a stack, each its own, stay with them while it is stopped, and are free when it is removed', async () => {
  const tiny = await host.image('tiny');
  const params = aStack(host.policy.allocation.id, {
    web: sleepingService(tiny),
    embed: sleepingService(tiny, gpus(1)),
    llm: sleepingService(tiny, gpus(2)),
  });
  const { identity } = params;
  const single = host.launchParams(tiny, { resources: { gpu_count: 1, cpu_cores: 0.1, memory_gib: 0.0625 } });

  const { services } = succeededStack(await host.run('workload.compose_launch', params)).adapter;

  const given = new Map(services.map(({ service, gpus: of }) => [service, of]));
  expect([given.get('web')?.length, given.get('embed')?.length, given.get('llm')?.length]).toEqual([0, 1, 2]);
  expect([...given.values()].flat().sort()).toEqual(cards);
  for (const [service, of] of given) {
    expect(await toldTo(containerName(identity.app_instance_id, service))).toBe(of.join(',') || 'void');
  }
  expect((await host.run('workload.oci_launch', single)).failure).toMatchObject({
    ...{ code: 'gpu.none_free', detail: { held_by: [identity.app_instance_id] } },
  });

  for (const action of ['stop', 'start', 'restart'] as const) {
    const { adapter } = succeededStack(
      await host.run('workload.compose_control', { identity, action, grace_seconds: 0 }),
    );
    expect(new Map(adapter.services.map(({ service, gpus: of }) => [service, of]))).toEqual(given);
    expect((await host.run('workload.oci_launch', single)).failure?.code).toBe('gpu.none_free');
  }
  expect(await toldTo(containerName(identity.app_instance_id, 'embed'))).toBe(given.get('embed')?.join(','));

  const removed = await host.run('workload.compose_remove', { identity, grace_seconds: 0, keep_data: false });
  expect(removed.status).toBe('succeeded');
  expect((await host.run('workload.oci_launch', single)).status).toBe('succeeded');
  const away = { identity: single.identity, grace_seconds: 0, keep_data: false };
  expect((await host.run('workload.oci_remove', away)).status).toBe('succeeded');
});

it('are free again where a service fails, and are none for a stack that wants one too many', async () => {
  const tiny = await host.image('tiny');
  const stack = (llm: Partial<ComposeService>, count: number) =>
    aStack(host.policy.allocation.id, { llm: sleepingService(tiny, { ...gpus(count), ...llm }) });

  const failed = await host.run('workload.compose_launch', stack({ command: ['exit 3'] }, 3));
  const two = await host.run('workload.compose_launch', stack({}, 2));
  const another = await host.run('workload.compose_launch', stack({}, 2));

  expect(failed.failure).toMatchObject({ code: 'container.exited', detail: { service: 'llm' } });
  expect(succeededStack(two).adapter.services[0]?.gpus).toHaveLength(2);
  expect(another.failure).toMatchObject({ code: 'gpu.none_free' });
});
