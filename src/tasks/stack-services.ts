/** The services of a stack as the tasks need them: from the launch where it is known, else from what is on the containers. */

import { containerName, labels } from '../contract/names.ts';
import type { StackTopology } from '../contract/stack-topology.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import { readReadinessLabel } from '../policy/readiness-label.ts';
import { containerParams, servicesOf } from '../policy/stack-service.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { asksForSecret } from '../runtime/probes/until-ready.ts';
import type { StackService } from '../runtime/probes/until-stack-ready.ts';
import type { FoundStack } from './find-stack.ts';
import { endpointsOf } from './workload-report.ts';

/** Opened variables by service. */
export type StackEnv = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** In the order of the topology. */
export function servicesOfLaunch(params: WorkloadComposeLaunchParams, sealedEnv: StackEnv): StackService[] {
  return params.topology.services.flatMap(({ name }): StackService[] => {
    const service = params.document.services[name];
    if (service === undefined) {
      return [];
    }
    const { readiness, ports } = containerParams(params, name, service);
    const ends = mayEnd(params, name);
    const health = readiness.length === 0 && !ends ? service.healthcheck : undefined;
    return [
      {
        ...{ name, container: containerName(params.identity.app_instance_id, name), ports, mayEnd: ends },
        checks: health ? [{ type: 'container_health', timeout_seconds: healthSeconds(health) }] : readiness,
        sealedEnv: sealedEnv.get(name),
      },
    ];
  });
}

/** True if others wait for the end of this service. Nobody knows without the launch. */
export function mayEnd(params: WorkloadComposeLaunchParams | undefined, service: string): boolean {
  const all = params ? servicesOf(params) : [];
  return all.some(([, { depends_on }]) => depends_on?.[service]?.condition === 'service_completed_successfully');
}

/** True if a start would change nothing: it runs, or has done its work. */
export function isAsStarted(
  params: WorkloadComposeLaunchParams | undefined,
  service: string,
  { status, exitCode }: Pick<ContainerFacts, 'status' | 'exitCode'>,
): boolean {
  return status === 'running' || (status === 'exited' && exitCode === 0 && mayEnd(params, service));
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
      // The engine lists the newest first, which says nothing.
      services: [...found]
        .map(([name, container]) => ({
          ...{ name, role: name, mounts: [], endpoints: endpointsOf(container).map((endpoint) => endpoint.name) },
        }))
        .sort((one, other) => (one.name < other.name ? -1 : 1)),
    }
  );
}
