/** Loads what the checks of a launch look at, in one transaction. */

import { livingStates } from '../../contract/instance-state.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { readProfile } from '../../manifests/gpuaas/read-profile.ts';
import type { AppVersion } from '../db/entities/catalog.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import type { HostCards } from './card-fit.ts';
import type { LaunchFacts } from './checks.ts';
import type { LaunchEnvironment } from './environment.ts';
import type { LaunchRequest } from './launch-request.ts';
import { capacityOf } from './resource-fit.ts';

export interface LoadedFacts extends LaunchFacts {
  /** The node of the allocation; undefined where none has enrolled, or the allocation is not the project's. */
  readonly node: Node | undefined;
}

/** `exceptInstance` is not a neighbour of itself. */
export async function loadFacts(
  tx: ReadTx,
  request: LaunchRequest,
  projectId: string,
  environment: LaunchEnvironment,
  exceptInstance?: string,
): Promise<LoadedFacts> {
  const allocationId = request.placement_intent?.target_allocation_id;
  const allocation = allocationId === undefined ? undefined : await tx.allocations.get(allocationId);
  const isOwn = allocation?.project_id === projectId;
  const app = await tx.apps.get(request.app_slug);
  const version = app && (await tx.app_versions.find({ app_slug: app.id, version: request.app_version }));
  const profile = version && profileOf(version);
  const node = isOwn && allocation.node_id !== null ? await tx.nodes.get(allocation.node_id) : undefined;
  const neighbours = isOwn
    ? (await tx.app_instances.list({ where: { allocation_id: allocation.id, state: livingStates } })).filter(
        ({ id }) => id !== exceptInstance,
      )
    : [];
  return {
    ...{ request, projectId, allocation, app, version, profile, environment, node },
    isEntitled: (await tx.entitlements.count({ app_slug: request.app_slug, project_id: [projectId, null] })) > 0,
    artifacts: profile ? await artifactsOf(tx, profile, request.artifact_id) : [],
    neighbours,
    host: await cardsOf(tx, node),
    capacity: capacityOf(node),
  };
}

/** Undefined while the host has said nothing. */
async function cardsOf(tx: ReadTx, node: Node | undefined): Promise<HostCards | undefined> {
  const cards = (node?.runtime ?? node?.inventory?.runtime)?.gpus;
  if (!cards) return undefined;
  const strangers = new Set<string>();
  for (const holder of new Set(cards.flatMap(({ held_by }) => held_by ?? []))) {
    if (!(await tx.app_instances.get(holder))) strangers.add(holder);
  }
  return { cards, strangers };
}

/** The stored manifest was accepted when it was registered; it is read again, so that what runs was judged by this version. */
export function profileOf({ manifest }: AppVersion): WorkloadProfile | undefined {
  const read = readProfile(manifest);
  return read.ok ? read.profile : undefined;
}

async function artifactsOf(tx: ReadTx, { artifacts }: WorkloadProfile, named: string | undefined) {
  const names = [...new Set(Object.values(artifacts).map(({ artifact_name }) => artifact_name))];
  const meant = await tx.artifacts.list({ where: { name: names } });
  if (named === undefined || meant.some(({ id }) => id === named)) return meant;
  const other = await tx.artifacts.get(named);
  return other ? [...meant, other] : meant;
}
