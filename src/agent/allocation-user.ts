/** The user that workloads run as, spelled out in numbers, and what is wrong with one that cannot be. */
import { Type } from 'typebox';
import { judge, type PathError } from '../contract/validate.ts';
import { HostPolicy } from '../policy/host-policy.ts';
import { isObject } from './config-layers.ts';

const { uid, gid, home } = HostPolicy.properties.allocation.properties;

export const SpelledOutUser = Type.Object(
  {
    uid,
    gid,
    home,
  },
  { additionalProperties: false, description: 'The same, spelled out.' },
);

/** A schema with two options complains about both; this is what a person has to correct. */
export function userErrors(user: unknown, base: string): PathError[] {
  if (!isObject(user)) {
    return [{ path: base, code: 'type', message: 'must be the name of a user, or {uid, gid, home}' }];
  }
  const judged = judge(SpelledOutUser, user);
  return (judged.ok ? [] : judged.errors).map((error) => {
    const key = error.path.slice(1);
    const path = `${base}${error.path}`;
    const isRoot = (key === 'uid' || key === 'gid') && user[key] === 0;
    return isRoot ? { path, code: 'root', message: 'must not be root (0)' } : { ...error, path };
  });
}
