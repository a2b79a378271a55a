/** The curated JupyterLab manifest, and ways to change a copy of it by JSON pointer. */

import type { WorkloadProfile } from '../../src/manifests/gpuaas/profile.ts';
import { readProfile, readProfileText } from '../../src/manifests/gpuaas/read-profile.ts';
import { jupyterlab } from '../../src/manifests/gpuaas/seeds/jupyterlab.ts';

/** Value at each pointer; `undefined` takes it away. Folders on the way are made. */
export type Changes = Readonly<Record<string, unknown>>;

export function jupyterDocument(changes: Changes = {}): Record<string, unknown> {
  const document = JSON.parse(JSON.stringify(accepted())) as Record<string, unknown>;
  for (const [pointer, value] of Object.entries(changes)) {
    const keys = pointer.split('/').slice(1);
    const last = keys.pop() ?? '';
    const parent = keys.reduce<Record<string, unknown>>((at, key) => {
      at[key] ??= {};
      return at[key] as Record<string, unknown>;
    }, document);
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  }
  return document;
}

/** A profile that must be valid after the changes. */
export function jupyterProfile(changes: Changes = {}): WorkloadProfile {
  const read = readProfile(jupyterDocument(changes));
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.profile;
}

function accepted(): WorkloadProfile {
  const read = readProfileText(jupyterlab.source);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.profile;
}
