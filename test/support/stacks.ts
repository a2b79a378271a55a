/** Stacks as the control plane sends them. */
import { randomBytes } from 'node:crypto';
import type { ComposeService } from '../../src/contract/compose-document.ts';
import type { TaskParams } from '../../src/contract/tasks.ts';

export type StackParams = TaskParams<'workload.compose_launch'>;

/** A service that sleeps until it is asked to end. */
export function sleepingService(image: string, over: Partial<ComposeService> = {}): ComposeService {
  const command = ['trap "exit 0" TERM; while :; do sleep 0.1; done'];
  return { image, entrypoint: ['/bin/sh', '-c'], command, cpus: 0.1, mem_limit: 2 ** 26, ...over };
}

/** A stack of these services, ready when they run. */
export function aStack(
  allocation_id: string,
  services: StackParams['document']['services'],
  over: Partial<StackParams> = {},
): StackParams {
  return {
    identity: {
      ...{ project_id: 'project', app_instance_id: `stack-${randomBytes(5).toString('hex')}`, allocation_id },
      ...{ app_slug: 'stack', app_version: '1', display_name: 'A stack' },
    },
    document: { services },
    topology: {
      description: 'A stack of a test.',
      services: Object.entries(services).map(([name, { ports = [] }]) => ({
        ...{ name, role: 'part', endpoints: ports.map((port) => port.name), mounts: [] },
      })),
    },
    ...{ readiness: [], sandbox: 'runc', restart: { policy: 'no', max_retries: 0 } },
    log_limits: { max_size_mib: 1, max_files: 2 },
    ...over,
  };
}
