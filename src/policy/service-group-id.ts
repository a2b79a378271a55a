/** Ids of services that jobs share. They are known by their looks alone, also where nothing can be hashed: in a browser. */

const pattern = /^svc-[0-9a-f]{24}$/;

/** True for what the id of no job may be. */
export function isServiceGroup(id: string): boolean {
  return pattern.test(id);
}
