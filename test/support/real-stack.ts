/** Stacks of two small services for a real engine, and what is there of them. */
import { randomBytes } from 'node:crypto';
import { labels } from '../../src/contract/names.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { StackOutput } from '../../src/contract/workload-output.ts';
import { engineCall } from './engine-call.ts';
import type { TestHost } from './test-host.ts';

type Services = WorkloadComposeLaunchParams['document']['services'];
type Service = Services[string];

/** Sleeps, and ends when it is asked to. */
export function sleeper(image: string, over: Partial<Service> = {}): Service {
  return {
    image,
    entrypoint: ['/bin/sh', '-c'],
    command: ['trap "exit 0" TERM; while :; do sleep 0.1; done'],
    ...{ cpus: 0.1, mem_limit: 2 ** 26 },
    ...over,
  };
}

/** Serves its folder at once, on a port of the host. */
export function server(image: string, port: number, over: Partial<Service> = {}): Service {
  return sleeper(image, {
    command: ['mkdir -p /tmp/www && echo hello > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www'],
    ports: [
      {
        ...{ name: 'web', target: 8080, published: port, host_ip: '127.0.0.1', protocol: 'tcp' },
        ...{ app_protocol: 'http', mode: 'host' },
      },
    ],
    ...over,
  });
}

/** A stack of these services, ready when each endpoint answers. */
export function realStack(
  host: Pick<TestHost, 'policy'>,
  services: Services,
  over: Partial<WorkloadComposeLaunchParams> = {},
): WorkloadComposeLaunchParams {
  const volumes = Object.values(services).flatMap((service) => service.volumes ?? []);
  const readiness = Object.values(services).flatMap(({ ports = [] }) =>
    ports.map(({ name }) => ({ type: 'http', endpoint: name, path: '/', timeout_seconds: 60 }) as const),
  );
  return {
    identity: {
      ...{ project_id: 'project-1', app_instance_id: `stack-${randomBytes(5).toString('hex')}` },
      ...{ allocation_id: host.policy.allocation.id, app_slug: 'test', app_version: '1', display_name: 'A test' },
    },
    document: {
      services,
      volumes: Object.fromEntries(volumes.map(({ source }) => [source, { 'x-gpuaas': { mode: 'scratch' } }])),
    },
    topology: {
      description: 'A test.',
      services: Object.entries(services).map(([name, { ports = [], volumes: own = [] }]) => ({
        ...{ name, role: 'test', endpoints: ports.map((port) => port.name), mounts: own.map(({ source }) => source) },
      })),
    },
    readiness,
    sandbox: 'runc',
    restart: { policy: 'no', max_retries: 0 },
    log_limits: { max_size_mib: 1, max_files: 2 },
    ...over,
  };
}

/** The output of a result that must have succeeded; throws with the failure otherwise. */
export function succeededStack(result: TaskResult | undefined): StackOutput {
  if (result?.status !== 'succeeded') {
    throw new Error(`the task ${result?.status}: ${JSON.stringify(result?.failure)}`);
  }
  return result.output as StackOutput;
}

/** Id and state of each container of the instance by its service, past the gate. */
export async function containersOf(
  { engineSocket }: Pick<TestHost, 'engineSocket'>,
  { identity }: Pick<WorkloadComposeLaunchParams, 'identity'>,
): Promise<Map<string, { readonly id: string; readonly state: string }>> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${labels.instance}=${identity.app_instance_id}`] }));
  const { body } = await engineCall<{ Id: string; State: string; Labels: Record<string, string> }[]>(
    engineSocket,
    'GET',
    `/containers/json?all=1&filters=${filters}`,
  );
  return new Map(body.map(({ Id, State, Labels }) => [Labels[labels.service] ?? '', { id: Id, state: State }]));
}
