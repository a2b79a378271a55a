/** Declared endpoints of a workload: what contradicts itself, and how they are written on the container. */
import type { PathError } from '../contract/validate.ts';
import type { Port, ReadinessCheck } from '../contract/workload-oci-launch.ts';

/** Every port whose name, container port or host port another port has already. */
export function checkPorts(ports: readonly Port[]): PathError[] {
  return (['name', 'container_port', 'host_port'] as const).flatMap((key) => {
    const firstOf = new Map<string | number, number>();
    return ports.flatMap((port, index) => {
      const first = firstOf.get(port[key]);
      firstOf.set(port[key], first ?? index);
      return first === undefined
        ? []
        : [{ path: `/ports/${index}/${key}`, code: 'repeated', message: `is already that of /ports/${first}` }];
    });
  });
}

/** Every readiness check that leaves the declared endpoints or asks one for what it does not speak. */
export function checkReadiness(readiness: readonly ReadinessCheck[], ports: readonly Port[]): PathError[] {
  return readiness.flatMap((check, index) => {
    if (check.type !== 'http' && check.type !== 'tcp') {
      return [];
    }
    const path = `/readiness/${index}`;
    const port = ports.find(({ name }) => name === check.endpoint);
    if (!port) {
      const declared = ports.map(({ name }) => name).join(', ') || 'none';
      return [
        { path: `${path}/endpoint`, code: 'undeclared', message: `is not a declared endpoint (declared: ${declared})` },
      ];
    }
    return check.type === 'http' ? checkHttp(check.path, port, path) : [];
  });
}

/** Every check that would send a variable which is not among the sealed ones of the service of its endpoint. */
export function checkBearers(
  readiness: readonly ReadinessCheck[],
  sealedOf: (endpoint: string) => Readonly<Record<string, string>> | undefined,
): PathError[] {
  return readiness.flatMap((check, index) =>
    check.type !== 'http' ||
    check.bearer_env === undefined ||
    Object.hasOwn(sealedOf(check.endpoint) ?? {}, check.bearer_env)
      ? []
      : [
          {
            ...{ path: `/readiness/${index}/bearer_env`, code: 'undeclared' },
            message: 'is no sealed variable of whoever serves that endpoint',
          },
        ],
  );
}

function checkHttp(requestPath: string, port: Port, path: string): PathError[] {
  const errors: PathError[] = [];
  if (port.protocol !== 'http') {
    errors.push({
      path: `${path}/type`,
      code: 'protocol',
      message: `asks ${port.name} over http, which is declared as ${port.protocol}; declare it http or probe it by tcp`,
    });
  }
  // URL parsers take `//x` and `/\x` for another host.
  if (requestPath.startsWith('//') || requestPath.includes('\\')) {
    errors.push({ path: `${path}/path`, code: 'other_host', message: 'must not begin with `//` or hold a backslash' });
  }
  return errors;
}

/** Value of the endpoints label: `name:protocol:host_port`, comma-separated, in the order of the task. */
export function endpointsLabel(ports: readonly Port[]): string {
  return ports.map(({ name, protocol, host_port }) => `${name}:${protocol}:${host_port}`).join(',');
}
