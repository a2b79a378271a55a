/**
 * Writes a container that was rendered for the engine as a service of a Compose document. Nothing gets in except through a
 * field that is written out here, and every text means itself: `$` is doubled, so that Compose has nothing to replace but
 * the secrets, which it takes from its environment.
 */
import type { ComposeService } from '../contract/compose-document.ts';
import type { ContainerRequest } from './container-request.ts';
import { nameOf } from './environment.ts';
import { composeCards, type GivenCards } from './given-cards.ts';

export interface ServiceInput {
  readonly container: string;
  readonly request: ContainerRequest;
  readonly service: ComposeService;
  readonly cards: GivenCards;
  /** Name of a sealed variable to the variable of Compose's own environment that has its value. */
  readonly secrets: ReadonlyMap<string, string>;
}

export function composeService({ container, request, service, cards, secrets }: ServiceInput): Record<string, unknown> {
  const { HostConfig: host } = request;
  const rendered = {
    container_name: container,
    image: request.Image,
    pull_policy: 'never',
    user: request.User,
    ...(request.Entrypoint && { entrypoint: request.Entrypoint }),
    ...(request.Cmd && { command: request.Cmd }),
    labels: request.Labels,
    ports: (service.ports ?? []).map(({ target, published, host_ip, protocol, mode }) => ({
      ...{ target, published: String(published), host_ip, protocol, mode },
    })),
    volumes: host.Mounts.map(({ Source, Target, ReadOnly }) => ({
      ...{ type: 'bind', source: Source, target: Target, read_only: ReadOnly },
      bind: { propagation: 'rprivate', create_host_path: false },
    })),
    networks: ['default'],
    cpus: service.cpus,
    ...{ mem_limit: host.Memory, memswap_limit: host.MemorySwap, pids_limit: host.PidsLimit, shm_size: host.ShmSize },
    ulimits: Object.fromEntries(host.Ulimits.map(({ Name, Soft, Hard }) => [Name, { soft: Soft, hard: Hard }])),
    ...{ cap_drop: host.CapDrop, security_opt: host.SecurityOpt, init: host.Init },
    ...{ ipc: host.IpcMode, cgroup: host.CgroupnsMode, runtime: host.Runtime, restart: host.RestartPolicy.Name },
    logging: { driver: host.LogConfig.Type, options: host.LogConfig.Config },
    ...composeCards(cards),
    ...(service.depends_on && { depends_on: service.depends_on }),
    healthcheck: service.healthcheck ?? { disable: true },
  };
  return { ...(literally(rendered) as object), environment: environmentOf(request.Env, secrets) };
}

/** A bare name removes what the image set, as it does in the request. */
function environmentOf(entries: readonly string[], secrets: ServiceInput['secrets']): Record<string, string | null> {
  return Object.fromEntries(
    entries.map((entry) => {
      const name = nameOf(entry);
      const secret = secrets.get(name);
      const value = entry === name ? null : (literally(entry.slice(name.length + 1)) as string);
      return [name, secret === undefined ? value : `\${${secret}}`];
    }),
  );
}

function literally(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replaceAll('$', '$$$$');
  }
  if (Array.isArray(value)) {
    return value.map(literally);
  }
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, literally(member)]))
    : value;
}
