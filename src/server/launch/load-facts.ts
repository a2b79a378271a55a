/** Loads what the checks of a launch look at. What belongs to another project is loaded only as far as check 2 needs it. */

import { livingStates } from '../../contract/instance-state.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { readProfile } from '../../manifests/gpuaas/read-profile.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { AppVersion } from '../db/entities/catalog.ts';
import type { AccessCredential } from '../db/entities/credential.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import { jobsAtWork } from '../jobs/jobs-at-work.ts';
import type { HostCards } from './card-fit.ts';
import type { LaunchFacts } from './checks.ts';
import type { LaunchEnvironment } from './environment.ts';
import type { LaunchRequest } from './launch-request.ts';
import { capacityOf, type Neighbour } from './resource-fit.ts';

/** What a launch finds where it shall run. */
export interface Place extends Pick<LaunchFacts, 'allocation' | 'neighbours' | 'host' | 'capacity'> {
  /** The node of the allocation; undefined where none has enrolled, or the allocation is not the project's. */
  readonly node: Node | undefined;
}

/** What is known of an app and of the project that asks for it, wherever it shall run. */
export type AppFacts = Omit<LaunchFacts, 'request' | 'node' | keyof Place>;

/** As much of a request as says what shall run and with what. */
type AppRequest = Pick<
  LaunchRequest,
  'app_slug' | 'app_version' | 'artifact_id' | 'access_credential_id' | 'service_account_id' | 'secrets'
>;

export type LoadedFacts = LaunchFacts & Place;

/** `exceptInstance` is not a neighbour of itself. */
export async function loadFacts(
  tx: ReadTx,
  request: LaunchRequest,
  projectId: string,
  environment: LaunchEnvironment,
  exceptInstance?: string,
): Promise<LoadedFacts> {
  const app = await loadApp(tx, request, projectId, environment);
  return { request, ...app, ...(await loadPlace(tx, request, projectId, exceptInstance)) };
}

export async function loadApp(
  tx: ReadTx,
  request: AppRequest,
  projectId: string,
  environment: LaunchEnvironment,
): Promise<AppFacts> {
  const { app_slug, app_version, artifact_id } = request;
  const app = await tx.apps.get(app_slug);
  const version = app && (await tx.app_versions.find({ app_slug: app.id, version: app_version }));
  const profile = version && profileOf(version);
  return {
    ...{ projectId, app, version, profile, environment },
    isEntitled: (await tx.entitlements.count({ app_slug, project_id: [projectId, null] })) > 0,
    artifacts: profile ? await artifactsOf(tx, profile, artifact_id) : [],
    credentials: await credentialsOf(tx, request, projectId),
    serviceAccount: await accountOf(tx, request, projectId),
  };
}

/** What belongs to another project is as if it were not there. */
async function credentialsOf(tx: ReadTx, { access_credential_id, secrets = {} }: AppRequest, projectId: string) {
  const kept = Object.values(secrets).flatMap((secret) => (typeof secret === 'string' ? [] : [secret.credential_id]));
  const named = new Set(access_credential_id === undefined ? kept : [access_credential_id, ...kept]);
  const credentials: AccessCredential[] = [];
  for (const id of named) {
    const credential = await tx.access_credentials.get(id);
    if (credential?.project_id === projectId) credentials.push(credential);
  }
  return credentials;
}

async function accountOf(tx: ReadTx, { service_account_id: id }: AppRequest, projectId: string) {
  const account = id === undefined ? undefined : await tx.service_accounts.get(id);
  return account?.project_id === projectId ? account : undefined;
}

async function loadPlace(
  tx: ReadTx,
  { placement_intent }: LaunchRequest,
  projectId: string,
  exceptInstance: string | undefined,
): Promise<Place> {
  const id = placement_intent?.target_allocation_id;
  const allocation = id === undefined ? undefined : await tx.allocations.get(id);
  if (allocation?.project_id !== projectId) return placeOf(allocation, undefined, [], undefined);
  const node = allocation.node_id === null ? undefined : await tx.nodes.get(allocation.node_id);
  const living = await tx.app_instances.list({ where: { allocation_id: allocation.id, state: livingStates } });
  const jobs = (await jobsAtWork(tx, projectId)).get(allocation.id) ?? [];
  const neighbours = [...living.filter((each) => each.id !== exceptInstance), ...jobs];
  const known = new Set([...living, ...jobs].map((each) => each.id));
  return placeOf(allocation, node, neighbours, await cardsOf(tx, node, known));
}

/** All places that a project has, in a few questions to the store however many they are; newest first. */
export async function loadPlaces(tx: ReadTx, projectId: string): Promise<Place[]> {
  const allocations = await tx.allocations.list({
    ...{ where: { project_id: projectId, state: ['active', 'releasing'] }, order: 'newest' },
  });
  const hosts = await tx.nodes.list({ where: { allocation_id: allocations.map(({ id }) => id) } });
  const nodes = new Map(hosts.map((node) => [node.id, node]));
  const living = await tx.app_instances.list({ where: { project_id: projectId, state: livingStates } });
  const instances = Map.groupBy(living, ({ allocation_id }) => allocation_id);
  const jobs = await jobsAtWork(tx, projectId);
  const known = new Set([...living, ...[...jobs.values()].flat()].map(({ id }) => id));
  const places: Place[] = [];
  for (const allocation of allocations) {
    const node = allocation.node_id === null ? undefined : nodes.get(allocation.node_id);
    const cards = await cardsOf(tx, node, known);
    const neighbours = [...(instances.get(allocation.id) ?? []), ...(jobs.get(allocation.id) ?? [])];
    places.push(placeOf(allocation, node, neighbours, cards));
  }
  return places;
}

function placeOf(
  allocation: Allocation | undefined,
  node: Node | undefined,
  neighbours: readonly Neighbour[],
  host: HostCards | undefined,
): Place {
  return { allocation, node, neighbours, host, capacity: capacityOf(node) };
}

/** Undefined while the host has said nothing. `known` are instances and jobs that need not be looked up. */
async function cardsOf(tx: ReadTx, node: Node | undefined, known: ReadonlySet<string>): Promise<HostCards | undefined> {
  const cards = (node?.runtime ?? node?.inventory?.runtime)?.gpus;
  if (!cards) return undefined;
  const strangers = new Set<string>();
  for (const holder of new Set(cards.flatMap(({ held_by }) => held_by ?? []))) {
    const isOurs = known.has(holder) || (await tx.app_instances.get(holder)) || (await tx.jobs.get(holder));
    if (!isOurs) strangers.add(holder);
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
