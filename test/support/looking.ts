/** Looks at what is really there: results, containers and networks, past the gate. */
import { containerName } from '../../src/contract/names.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { engineCall } from './engine-call.ts';
import type { LaunchParams, TestHost } from './test-host.ts';

/** The engine's inspect answer, as far as tests read it. */
export interface RawContainer {
  readonly Id: string;
  readonly Image: string;
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly Config: {
    readonly Env: readonly string[];
    readonly User: string;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Healthcheck?: { readonly Test: readonly string[] };
  };
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly Mounts: readonly {
    readonly Type: string;
    readonly Name?: string;
    readonly Source: string;
    readonly Destination: string;
  }[];
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
    readonly Networks: Readonly<Record<string, { readonly NetworkID: string }>>;
  };
}

interface RawNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] };
}

export function containerOf({ identity }: Pick<LaunchParams, 'identity'>): string {
  return containerName(identity.app_instance_id);
}

/** The output of a result that must have succeeded; throws with the failure otherwise. */
export function succeeded(result: TaskResult): WorkloadOutput {
  if (result.status !== 'succeeded') {
    throw new Error(`the task ${result.status}: ${JSON.stringify(result.failure)}`);
  }
  return result.output as WorkloadOutput;
}

/** Throws with the engine's status if it has no such container. */
export async function inspectRaw(host: TestHost, name: string): Promise<RawContainer> {
  const { status, body } = await engineCall<RawContainer>(host.engineSocket, 'GET', `/containers/${name}/json`);
  if (status !== 200) {
    throw new Error(`the engine answers ${status} for ${name}`);
  }
  return body;
}

/**
 * The engine's word for what the container does; undefined where it knows none. While it makes one, an engine lists it for
 * a moment before it lets it be inspected.
 */
export async function statusOf(host: Pick<TestHost, 'engineSocket'>, name: string): Promise<string | undefined> {
  const { status, body } = await engineCall<RawContainer>(host.engineSocket, 'GET', `/containers/${name}/json`);
  return status === 200 ? body.State.Status : undefined;
}

/** Ids of all containers with exactly this name: none or one. */
export async function containersNamed(host: TestHost, name: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ name: [`^/${name}$`] }));
  const { body } = await engineCall<{ Id: string }[]>(
    host.engineSocket,
    'GET',
    `/containers/json?all=1&filters=${filters}`,
  );
  return body.map(({ Id }) => Id);
}

export async function networksOf(host: TestHost, name: string): Promise<RawNetwork[]> {
  const filters = encodeURIComponent(JSON.stringify({ name: [`^${name}$`] }));
  const { body } = await engineCall<RawNetwork[]>(host.engineSocket, 'GET', `/networks?filters=${filters}`);
  return body;
}
