/** The smoke test of a host, as the control plane renders it, on a real engine through the gate and the real Compose. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { StackOutput } from '../../src/contract/workload-output.ts';
import { adapterOf } from '../../src/server/adapters/index.ts';
import { adapterInput } from '../../src/server/launch/adapter-input.ts';
import { checkLaunch } from '../../src/server/launch/checks.ts';
import { engineCall } from '../support/engine-call.ts';
import { smokeFacts } from '../support/launch-samples.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let params: WorkloadComposeLaunchParams;
let port: number;

beforeAll(async () => {
  host = await openTestHost();
  port = await freePort();
  params = await rendered();
});
afterAll(() => host.close());

/** The launch of a person, with the image and the allocation of this host. */
async function rendered(): Promise<WorkloadComposeLaunchParams> {
  const checked = checkLaunch(smokeFacts({ config: { host_port: port } }));
  if (!checked.ok) throw new Error(JSON.stringify(checked.refusals));
  const placed = { instanceId: `smoke-${port}`, nodeId: host.policy.node_id, sealedFiles: {}, sealedEnv: {} };
  const task = adapterOf('docker_compose').launch(adapterInput(checked.launch, placed));
  const { identity, document, ...rest } = task.params as WorkloadComposeLaunchParams;
  const image = await host.image('python');
  const services = Object.entries(document.services).map(([name, service]) => [name, { ...service, image }]);
  return {
    ...rest,
    identity: { ...identity, allocation_id: host.policy.allocation.id },
    document: { ...document, services: Object.fromEntries(services) },
  };
}

const { control, remove } = adapterOf('docker_compose');
const output = (result: { output: unknown }) => result.output as StackOutput;
const statesOf = (result: { output: unknown }) =>
  Object.fromEntries(output(result).topology.services.map(({ name, state }) => [name, state]));

async function said(service: string): Promise<string> {
  const path = `/containers/gpuaas-smoke-${port}.${service}/logs?stdout=1&stderr=1`;
  return (await engineCall<string>(host.engineSocket, 'GET', path)).body;
}

it('comes up in its order, answers, and reaches its own by name (G-132)', async () => {
  const result = await host.run('workload.compose_launch', params);

  expect(result).toMatchObject({ status: 'succeeded', output: { state: 'running' } });
  expect(statesOf(result)).toEqual({ web: 'running', watch: 'running' });
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  await expect.poll(() => said('watch')).toContain('web answered 200');
});

it('stops, starts and goes, with nothing of it left', async () => {
  const { identity } = params;
  const act = async (task: ReturnType<typeof control>) => await host.run(task.type, task.params);

  const stopped = await act(control(identity, 'stop', {}));
  const started = await act(control(identity, 'start', {}));
  const removed = await act(remove(identity, false));

  expect(output(stopped).state).toBe('stopped');
  expect(statesOf(started)).toEqual({ web: 'running', watch: 'running' });
  expect(removed).toMatchObject({ status: 'succeeded', output: { state: 'removed', cleanup: { failed: [] } } });
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
});
