/** Brings a workload up through the engine interface alone: no dispatcher, no task, but policy and gate as they are. */
import { randomBytes, randomUUID } from 'node:crypto';
import { labels, networkName } from '../../src/contract/names.ts';
import type { ContainerRequest } from '../../src/policy/container-request.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import { renderContainer } from '../../src/policy/render-container.ts';
import type { ContainerEngine } from '../../src/runtime/engine.ts';
import type { LaunchParams, TestHost } from '../support/test-host.ts';

export interface PreparedWorkload {
  readonly name: string;
  readonly instance: string;
  readonly request: ContainerRequest;
  /** Labels of its network. */
  readonly owner: Readonly<Record<string, string>>;
}

/** Long enough for anything here, short enough to end a test that hangs. */
export const soon = (seconds = 100) => AbortSignal.timeout(seconds * 1000);

/** Image, network and request of a container that runs `script`, ready to be created. */
export async function prepareWorkload(
  host: TestHost,
  script: string,
  over: Partial<LaunchParams> = {},
  engine: ContainerEngine = host.engine,
): Promise<PreparedWorkload> {
  const reference = over.image?.kind === 'registry' ? over.image.reference : await host.image('tiny');
  const params = host.launchParams(reference, { command: [script], ...over });
  const instance = `eng-${randomBytes(5).toString('hex')}`;
  params.identity.app_instance_id = instance;
  const { image } = params;
  if (image.kind !== 'registry') {
    throw new Error('only images of a registry');
  }
  const facts = await engine.pull(image, { signal: soon(), diskReserveBytes: 0 });
  const owner = {
    [labels.instance]: instance,
    [labels.project]: params.identity.project_id,
    [labels.allocation]: host.policy.allocation.id,
  };
  await engine.ensureNetwork(networkName(instance), owner, soon());
  const rendered = renderContainer({
    ...{ params, policy: host.policy, image: facts, sealedEnv: {}, cards: noCards, taskId: randomUUID(), fencing: 1 },
  });
  return { name: rendered.name, instance, request: rendered.request, owner };
}

/** Creates and starts it; the host's `close` takes it away. Returns the container's name. */
export async function runWorkload(
  host: TestHost,
  script: string,
  over: Partial<LaunchParams> = {},
  engine: ContainerEngine = host.engine,
): Promise<string> {
  const { name, request } = await prepareWorkload(host, script, over, engine);
  await engine.create(name, request, soon());
  await engine.start(name, soon());
  return name;
}
