/**
 * Finds the route of a request, from the request line alone.
 *
 * A path has one spelling: no percent sign, no empty segment, no dot segment, no second form. Query keys appear once
 * and only where the route lists them, with values of the listed shape. What does not fit is no route.
 */
import { serviceNamePattern } from '../contract/compose-document.ts';
import { AgentError } from '../contract/failures.ts';
import type { PathError } from '../contract/validate.ts';
import { cacheVolumePattern } from '../policy/caches.ts';

const instance = '[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}';
/** An instance, or a service of its stack. */
const member = `${instance}(?:\\.${serviceNamePattern.slice(1, -1)})?`;

/** Pattern text of each kind of variable path segment. */
const segmentPatterns = {
  /** One of our names, or an id of at least the length that engine clients print. */
  container: `gpuaas-${member}|[0-9a-f]{12,64}`,
  /** Of an instance, or that of the proxy of a job. */
  network: `gpuaas-${instance}(?:\\.egress)?|[0-9a-f]{12,64}`,
  exec: '[0-9a-f]{64}',
  instance,
  member,
  /** Of a job, by its name on the engine. */
  volume: `gpuaas-${instance}\\.${instance}`,
  cache: cacheVolumePattern,
  /** Of a job, by its name in the plan. */
  input: instance,
  /** What the client calls a build. */
  build: '[0-9a-f]{64}',
  image: '(?:[a-z0-9][a-z0-9.:_-]*(?:/[a-z0-9][a-z0-9._-]*)*@)?sha256:[0-9a-f]{64}',
} as const;

/** Shapes of query values. */
export const queryShapes = {
  flag: /^(?:0|1|true|false)$/i,
  seconds: /^\d{1,5}$/,
  time: /^[0-9][0-9T:.Z+-]{0,39}$/,
  /** Seconds since 1970. */
  unixTime: /^\d{1,12}$/,
  lines: /^(?:all|\d{1,9})$/,
  text: /^[^\p{Cc}]{1,4096}$/u,
  identifier: new RegExp(`^${instance}$`),
  sha256: /^[0-9a-f]{64}$/,
  payloadHash: /^sha3:(?:[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$/,
  networkName: new RegExp(`^gpuaas-${instance}$`),
  containerName: new RegExp(`^gpuaas-${member}$`),
} as const;

export interface RoutePattern {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Path with `{variable}` segments, without a version. */
  readonly path: string;
  /** Query keys that may be given, with the shape of their values. */
  readonly query: Readonly<Record<string, RegExp>>;
}

export interface FoundRoute<R extends RoutePattern> {
  readonly route: R;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

const oldestVersion = 24;
const newestVersion = 99;
const plainPath = /^(?:\/[A-Za-z0-9_@:-][A-Za-z0-9._@:-]*)+$/;

/** Returns a function that finds the route of a request line, or throws `policy.refused`. */
export function compileRoutes<R extends RoutePattern>(
  routes: readonly R[],
): (method: string, url: string) => FoundRoute<R> {
  const compiled = routes.map((route) => ({ route, pattern: patternOf(route.path) }));

  return (method, url) => {
    const mark = url.indexOf('?');
    const path = withoutVersion(mark === -1 ? url : url.slice(0, mark));
    for (const { route, pattern } of compiled) {
      const match = route.method === method ? pattern.exec(path) : null;
      if (match === null) continue;
      const query = parseQuery(mark === -1 ? '' : url.slice(mark + 1), route.query);
      return { route, params: { ...match.groups }, query };
    }
    throw refusal({ path: '', code: 'route', message: 'this call is not offered' });
  };
}

function patternOf(path: string): RegExp {
  const source = path.replaceAll(/\{(\w+)\}/g, (_all, name: keyof typeof segmentPatterns) => {
    return `(?<${name}>${segmentPatterns[name]})`;
  });
  return new RegExp(`^${source}$`);
}

function withoutVersion(path: string): string {
  if (!plainPath.test(path)) throw refusal({ path: '', code: 'path', message: 'the path is not written plainly' });
  const [, version, rest] = /^\/v1\.(\d{1,3})(\/.*)$/.exec(path) ?? [];
  if (version === undefined || rest === undefined) return path;
  if (Number(version) < oldestVersion || Number(version) > newestVersion) {
    throw refusal({ path: '', code: 'version', message: `API version 1.${version} is not known` });
  }
  return rest;
}

function parseQuery(text: string, shapes: Readonly<Record<string, RegExp>>): Record<string, string> {
  const query: Record<string, string> = {};
  const errors: PathError[] = [];
  for (const [key, value] of new URLSearchParams(text)) {
    const shape = Object.hasOwn(shapes, key) ? shapes[key] : undefined;
    const path = `?${key.slice(0, 64)}`;
    if (shape === undefined) errors.push({ path, code: 'unknown_key', message: 'is not offered here' });
    else if (Object.hasOwn(query, key)) errors.push({ path, code: 'duplicate_key', message: 'is given twice' });
    else if (!shape.test(value)) errors.push({ path, code: 'pattern', message: 'has a value that is not allowed' });
    else query[key] = value;
  }
  if (errors.length > 0) throw refusal(...errors);
  return query;
}

function refusal(...errors: PathError[]): AgentError {
  return new AgentError('policy.refused', { errors: errors.slice(0, 20).map((error) => ({ ...error })) });
}
