/**
 * What must be true of a stack before anything of it is made; see `render-stack.ts`. Everything that is wrong is reported
 * at once, with pointers into the params.
 */
import type { ComposeService } from '../contract/compose-document.ts';
import type { PathError } from '../contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import { checkBearers, checkReadiness } from './endpoints.ts';
import type { HostPolicy } from './host-policy.ts';
import { type Finding, refuse } from './refusal.ts';
import { checkAllocation, judgeContainer, judgeSandbox } from './render-container.ts';
import { cardsOf, containerParams, inDocument, ownOf, pathOf, portsOf, servicesOf } from './stack-service.ts';

/**
 * Throws with every refused path in `detail.errors`: `task.untrusted` (and nothing else) for another allocation, else what
 * is refused of a single container, `compose.refused` for a document or topology that contradicts itself, and
 * `task.invalid` for the same of readiness and ports.
 */
export function checkStackParams(params: WorkloadComposeLaunchParams, policy: HostPolicy): void {
  refuse([{ failure: 'task.untrusted', errors: checkAllocation(params, policy) }]);
  refuse([
    ...judgeServices(params, policy),
    {
      failure: 'compose.refused',
      errors: [
        ...checkProject(params),
        ...checkSealed(params),
        ...servicesOf(params).flatMap(([name, service]) => [
          ...checkVolumes(params, name, service),
          ...checkDependencies(params, name, service),
          ...checkHealth(name, service),
        ]),
        ...checkCycles(params),
        ...checkTopology(params),
      ],
    },
    { failure: 'task.invalid', errors: [...checkPorts(params), ...checkStackReadiness(params)] },
    ...judgeStackSandbox(params, policy),
  ]);
}

/** Services share the sandbox, and so what it cannot do for one of them. */
function judgeStackSandbox(params: WorkloadComposeLaunchParams, policy: HostPolicy): Finding[] {
  const cards = servicesOf(params).reduce((sum, [, service]) => sum + cardsOf(service), 0);
  return judgeSandbox({ sandbox: params.sandbox, resources: { gpu_count: cards } }, policy);
}

/** The rules for a single container, for each service; findings of one kind stay together. */
function judgeServices(params: WorkloadComposeLaunchParams, policy: HostPolicy): Finding[] {
  return servicesOf(params).flatMap(([name, service]): Finding[] => {
    // Endpoints are those of the stack, and judged as such below.
    const container = { ...containerParams(params, name, service), ports: [], readiness: [] };
    return judgeContainer(container, policy).map(({ failure, errors }) => ({
      failure,
      errors: errors.map((each) => inDocument(name, each)),
    }));
  });
}

function checkProject({ identity }: WorkloadComposeLaunchParams): PathError[] {
  const id = identity.app_instance_id;
  return id === id.toLowerCase()
    ? []
    : [{ path: '/identity/app_instance_id', code: 'upper_case', message: 'must be lower case: Compose wants it so' }];
}

function checkSealed(params: WorkloadComposeLaunchParams): PathError[] {
  return (['sealed_env', 'sealed_files'] as const).flatMap((key) =>
    Object.keys(params[key] ?? {})
      .filter((name) => !Object.hasOwn(params.document.services, name))
      .map((name) => ({ path: `/${key}/${name}`, code: 'unknown', message: 'is not a service of the document' })),
  );
}

function checkVolumes({ document }: WorkloadComposeLaunchParams, name: string, service: ComposeService): PathError[] {
  return (service.volumes ?? []).flatMap(({ source }, index) =>
    Object.hasOwn(document.volumes ?? {}, source)
      ? []
      : [
          {
            path: `${pathOf(name)}/volumes/${index}/source`,
            code: 'undeclared',
            message: 'is no volume of the document',
          },
        ],
  );
}

function checkHealth(name: string, { healthcheck }: ComposeService): PathError[] {
  return healthcheck === undefined || healthcheck.test[0] === 'CMD'
    ? []
    : [
        {
          path: `${pathOf(name)}/healthcheck/test/0`,
          code: 'shell',
          message: 'must be CMD: no check goes through a shell',
        },
      ];
}

function checkDependencies(
  { document: { services } }: WorkloadComposeLaunchParams,
  name: string,
  { depends_on = {} }: ComposeService,
): PathError[] {
  return Object.entries(depends_on).flatMap(([other, { condition }]) => {
    const path = `${pathOf(name)}/depends_on/${other}`;
    const known = Object.hasOwn(services, other) ? services[other] : undefined;
    if (known === undefined) {
      return [{ path, code: 'unknown', message: 'is not a service of the document' }];
    }
    return condition === 'service_healthy' && known.healthcheck === undefined
      ? [
          {
            path: `${path}/condition`,
            code: 'no_health_check',
            message: `waits for ${other}, which has no health check`,
          },
        ]
      : [];
  });
}

/** One error per service that waits for itself, however far around. */
function checkCycles(params: WorkloadComposeLaunchParams): PathError[] {
  const { services } = params.document;
  const reaches = (from: string, to: string, seen: Set<string>): boolean =>
    Object.keys(services[from]?.depends_on ?? {}).some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  return Object.keys(services)
    .filter((name) => reaches(name, name, new Set()))
    .map((name) => ({ path: `${pathOf(name)}/depends_on`, code: 'cycle', message: 'leads back to this service' }));
}

function checkTopology({ topology, document }: WorkloadComposeLaunchParams): PathError[] {
  const listed = new Set<string>();
  const errors = topology.services.flatMap(({ name, endpoints, mounts }, index): PathError[] => {
    const path = `/topology/services/${index}`;
    const service = Object.hasOwn(document.services, name) ? document.services[name] : undefined;
    if (service === undefined) {
      return [{ path: `${path}/name`, code: 'unknown', message: 'is not a service of the document' }];
    }
    if (listed.has(name)) {
      return [{ path: `${path}/name`, code: 'repeated', message: 'is there already' }];
    }
    listed.add(name);
    const own = { endpoints: (service.ports ?? []).map((port) => port.name), mounts: volumeNames(service) };
    return [
      ...checkNames(endpoints, own.endpoints, `${path}/endpoints`, `is no port of ${name}`),
      ...checkNames(mounts, own.mounts, `${path}/mounts`, `is no volume of ${name}`),
    ];
  });
  const missing = Object.keys(document.services).filter((name) => !listed.has(name));
  return [
    ...errors,
    ...missing.map((name) => ({ path: '/topology/services', code: 'missing', message: `lacks ${name}` })),
  ];
}

function volumeNames({ volumes = [] }: ComposeService): string[] {
  return volumes.map(({ source }) => source);
}

function checkNames(names: readonly string[], own: readonly string[], path: string, message: string): PathError[] {
  return names.flatMap((name, index) =>
    own.includes(name) ? [] : [{ path: `${path}/${index}`, code: 'undeclared', message }],
  );
}

/** Names and published ports are the stack's, targets the service's own. */
function checkPorts(params: WorkloadComposeLaunchParams): PathError[] {
  const firstOf = new Map<string, string>();
  return servicesOf(params).flatMap(([name, { ports = [] }]) =>
    ports.flatMap((port, index) =>
      (['name', 'published', 'target'] as const).flatMap((key) => {
        const path = `${pathOf(name)}/ports/${index}/${key}`;
        const taken = `${key === 'target' ? name : ''} ${key} ${port[key]}`;
        const first = firstOf.get(taken);
        firstOf.set(taken, first ?? path);
        return first === undefined ? [] : [{ path, code: 'repeated', message: `is already that of ${first}` }];
      }),
    ),
  );
}

function checkStackReadiness(params: WorkloadComposeLaunchParams): PathError[] {
  const services = servicesOf(params);
  const ports = services.flatMap(([, service]) => portsOf(service));
  const ownerOf = (endpoint: string) =>
    services.find(([, service]) => service.ports?.some(({ name }) => name === endpoint))?.[0] ?? '';
  return [
    ...checkReadiness(params.readiness, ports),
    ...checkBearers(params.readiness, (endpoint) => ownOf(params.sealed_env, ownerOf(endpoint))),
  ];
}
