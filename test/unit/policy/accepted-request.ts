/** The accepted request, and ways to look at and change any place in it. */
import { checkContainerRequest } from '../../../src/policy/check-container.ts';
import { acceptedRequest, image, policy } from './samples.ts';

export const accepted = acceptedRequest();
export const check = (request: unknown, others: Partial<Parameters<typeof checkContainerRequest>[0]> = {}) =>
  checkContainerRequest({ name: accepted.name, policy, image, ...others, request });
export const pathsOf = (request: unknown, others = {}) => check(request, others).map(({ path }) => path);

/** JSON pointers of all objects in a request. */
export function objectsIn(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  const below = Object.entries(value).flatMap(([key, member]) => objectsIn(member, `${at}/${token(key)}`));
  return Array.isArray(value) ? below : [at, ...below];
}

export function token(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

export function lookUp(root: unknown, pointer: string): Record<string, unknown> {
  const keys = pointer.split('/').slice(1);
  return keys.reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key.replaceAll('~1', '/').replaceAll('~0', '~')],
    root,
  ) as Record<string, unknown>;
}

/** The accepted request, or another, with one key set at one place, as it would come over the wire. */
export function injected(pointer: string, key: string, value: unknown, into: unknown = accepted.request): unknown {
  return changedAt(into, pointer.split('/').slice(1), (place) =>
    Object.defineProperty(place, key, { value, enumerable: true, configurable: true, writable: true }),
  );
}

/** A copy of what lies on the way; the rest is shared, since nothing that judges a request changes it. */
function changedAt(value: unknown, [token, ...rest]: readonly string[], change: (place: object) => void): unknown {
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  if (token === undefined) change(copy);
  else {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    copy[key] = changedAt(copy[key], rest, change);
  }
  return copy;
}

export function names(paths: readonly string[], path: string): boolean {
  return paths.some((found) => found === path || found.startsWith(`${path}/`));
}

export function leavesIn(value: unknown, at = ''): [pointer: string, key: string][] {
  return Object.entries(value as object).flatMap(([key, member]) =>
    typeof member === 'object' && member !== null
      ? leavesIn(member, `${at}/${token(key)}`)
      : [[at, key] as [string, string]],
  );
}
