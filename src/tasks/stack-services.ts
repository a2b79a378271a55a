/** The services of a stack as the tasks need them: from the launch where it is known, else from what is on the containers. */

import { containerName, labels } from '../contract/names.ts';
import type { StackTopology } from '../contract/stack-topology.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import { readReadinessLabel } from '../policy/readiness-label.ts';
import { containerParams, servicesOf } from '../policy/stack-service.ts';
import { asksForSecret } from '../runtime/probes/until-ready.ts';
import type { StackService } from '../runtime/probes/until-stack-ready.ts';
import type { FoundStack } from './find-stack.ts';
import { endpointsOf } from './workload-report.ts';

/** Opened variables by service. */
export type StackEnv = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** In the order of the topology. */
export function servicesOfLaunch(params: WorkloadComposeLaunchParams, sealedEnv: StackEnv): StackService[] {
  const mayEnd = new Set(
    servicesOf(params).flatMap(([, { depends_on = {} }]) =>
      Object.entries(depends_on)
        .filter(([, { condition }]) => condition === 'service_completed_successfully')
        .map(([name]) => name),
    ),
  );
  return params.topology.services.flatMap(({ name }): StackService[] => {
    const service = params.document.services[name];
    if (service === undefined) {
      return [];
    }
    const { readiness, ports } = containerParams(params, name, service);
    const health = readiness.length === 0 && !mayEnd.has(name) ? service.healthcheck : undefined;
    return [
      {
        ...{ name, container: containerName(params.identity.app_instance_id, name), ports, mayEnd: mayEnd.has(name) },
        checks: health ? [{ type: 'container_health', timeout_seconds: healthSeconds(health) }] : readiness,
        sealedEnv: sealedEnv.get(name),
      },
    ];
  });
}

interface Health {
  readonly interval: string;
  readonly timeout: string;
  readonly retries: number;
  readonly start_period: string;
}

/** As long as the check itself gives the service, and once more, since a service that came late may just be well. */
function healthSeconds({ interval, timeout, retries, start_period }: Health): number {
  const each = Number.parseInt(interval, 10) + Number.parseInt(timeout, 10);
  return Math.min(7200, Number.parseInt(start_period, 10) + each * (retries + 1));
}

/**
 * From the labels, where nobody remembers the launch. What asks for a secret cannot be asked, and whether a service that has
 * ended should have is not known.
 */
export function servicesOfContainers(found: FoundStack): StackService[] {
  return [...found].map(([name, container]) => ({
    ...{ name, container: container.name, mayEnd: container.status === 'exited' && container.exitCode === 0 },
    ports: endpointsOf(container).map((endpoint) => ({ name: endpoint.name, host_port: endpoint.port })),
    checks: (readReadinessLabel(container.labels[labels.readiness]) ?? []).filter((check) => !asksForSecret(check)),
    sealedEnv: undefined,
  }));
}

/** The topology of the launch; without it what the containers tell, by name. */
export function topologyOf(params: WorkloadComposeLaunchParams | undefined, found: FoundStack): StackTopology {
  return (
    params?.topology ?? {
      description: '',
      services: [...found].map(([name, container]) => ({
        ...{ name, role: name, mounts: [], endpoints: endpointsOf(container).map((endpoint) => endpoint.name) },
      })),
    }
  );
}
