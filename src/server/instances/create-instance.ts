/**
 * Accepts a launch: checks, reservation, and the first step towards the node, in one transaction.
 *
 * The instance that is kept is the reservation: the next launch counts it as a neighbour. Whoever is told that a launch was
 * accepted finds an instance that ends up running or failed, whatever dies in between, because the task that moves it is
 * part of the same transaction.
 */

import type { AppInstance } from '../db/entities/app-instance.ts';
import type { ServiceAccount } from '../db/entities/credential.ts';
import type { Node } from '../db/entities/node.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Store, Tx } from '../db/store.ts';
import { makeToken, type NewToken } from '../http/tokens.ts';
import type { Vault } from '../keys/vault.ts';
import { runningDigest } from '../launch/adapter-input.ts';
import type { CheckedLaunch } from '../launch/checks.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
import type { LaunchRequest } from '../launch/launch-request.ts';
import { loadFacts } from '../launch/load-facts.ts';
import { refusal, refused } from '../launch/refusal.ts';
import { type SealedSecrets, sealSecrets } from '../launch/seal-secrets.ts';
import { type Admitted, judgeFacts, type LaunchAsked } from './judge-launch.ts';
import { askNode, deploy, type Launching } from './launching.ts';

export interface Asking extends LaunchAsked {
  readonly tokenId: string;
  readonly actor: string;
  readonly traceId: string;
}

export interface PreparedLaunch extends SealedSecrets {
  /** The node that the secrets are sealed for. */
  readonly nodeId: string;
  /** Token that the workload gets of its service account; undefined where it acts as none. */
  readonly minted: NewToken | undefined;
}

export interface Keeping {
  readonly store: Store;
  /** Opens what the project keeps. */
  readonly vault: Vault;
}

/** Seals what only the node may read; a launch that cannot be accepted is refused here already. */
export async function prepareLaunch(
  { store, vault }: Keeping,
  environment: LaunchEnvironment,
  asking: Asking,
): Promise<PreparedLaunch> {
  const { launch, node } = await store.read((tx) => admit(tx, environment, asking));
  const minted = launch.serviceAccount && makeToken();
  const given = givenSecrets(launch, vault, minted?.token);
  return { nodeId: node.id, minted, ...(await sealSecrets(launch.profile, given, node.wrapping_key)) };
}

/** By name, in the clear: nothing of it is kept. */
function givenSecrets(
  { request, credentials }: CheckedLaunch,
  vault: Vault,
  token: string | undefined,
): Record<string, string> {
  const open = (wanted: string) => {
    const credential = credentials.find(({ id }) => id === wanted);
    if (!credential) throw new Error(`credential ${wanted} was checked and is not there`);
    return vault.open(credential.sealed, credential.id);
  };
  const brought = Object.entries(request.secrets ?? {}).map(([name, secret]): [string, string] => [
    ...([name, typeof secret === 'string' ? secret : open(secret.credential_id)] as const),
  ]);
  return {
    ...Object.fromEntries(brought),
    ...(request.access_credential_id === undefined ? {} : { access_credential: open(request.access_credential_id) }),
    ...(token === undefined ? {} : { service_account_token: token }),
  };
}

export async function createInstance(
  tx: Tx,
  launching: Launching,
  asking: Asking,
  { nodeId, ...prepared }: PreparedLaunch,
): Promise<AppInstance> {
  const { launch, node, isReady } = await admit(tx, launching.environment, asking);
  if (node.id !== nodeId) {
    throw refused([refusal('launch.node_unavailable', '/placement_intent', 'Its host was just replaced; try again.')]);
  }
  const instance = await reserve(tx, asking, launch, node, prepared);
  return isReady
    ? deploy(tx, launching.queue, instance, launch, asking.now)
    : askNode(tx, launching.queue, instance, node);
}

/** What stands against it is thrown, all at once. `exceptInstance` does not count as a neighbour of itself. */
export async function admit(
  tx: ReadTx,
  environment: LaunchEnvironment,
  asked: LaunchAsked,
  exceptInstance?: string,
): Promise<Admitted> {
  const { request, projectId, now } = asked;
  const judged = judgeFacts(await loadFacts(tx, request, projectId, environment, exceptInstance), now);
  if (!judged.ok) throw refused(judged.refusals);
  return judged;
}

async function reserve(
  tx: Tx,
  { tokenId, actor, traceId, now }: Asking,
  { request, projectId, allocation, profile, artifact, values, serviceAccount }: CheckedLaunch,
  node: Node,
  { sealedFiles, sealedEnv, minted }: Omit<PreparedLaunch, 'nodeId'>,
): Promise<AppInstance> {
  const at = new Date(now).toISOString();
  const reason = 'Accepted; its allocation is reserved.';
  const digest = runningDigest(artifact);
  const instance: AppInstance = {
    ...{ id: newId(now), project_id: projectId, allocation_id: allocation.id, node_id: node.id },
    ...{ app_slug: request.app_slug, app_version: request.app_version, display_name: request.display_name },
    ...{ artifact_id: artifact.id, image: `${artifact.repository}@${digest}`, image_digest: digest },
    ...{ engine: profile.execution.default_engine, config: { ...values.parameters }, resources: values.resources },
    ...{ host_ports: { ...values.host_ports }, sealed_files: { ...sealedFiles }, sealed_env: { ...sealedEnv } },
    ...{ state: 'requested', state_since: at, desired: 'running', failure: null, summary: reason },
    ...{ members: [], endpoints: [], cleanup: null, history: [{ state: 'requested', at, reason }] },
    current_task_id: null,
    billing: {
      ...{ project_id: projectId, allocation_id: allocation.id, gpu_count: values.resources.gpu_count, periods: [] },
    },
    ...takenOf(request, minted),
    ...{ created_at: at, created_by: tokenId, updated_at: at, trace_id: traceId },
  };
  if (serviceAccount && minted) await keepToken(tx, serviceAccount, minted, instance);
  await tx.app_instances.insert(instance);
  await tx.events.append({
    ...{ time: at, type: 'apps.instance.requested', project_id: projectId, actor, correlation_id: traceId },
    subject: { kind: 'app_instance', id: instance.id },
    message: `${request.display_name} (${request.app_slug} ${request.app_version}) was asked for.`,
    data: { allocation_id: allocation.id, artifact_id: artifact.id, image_digest: digest, ...values.resources },
  });
  return instance;
}

/** What it takes of its project; nothing is said where it takes nothing. */
function takenOf({ access_credential_id, service_account_id }: LaunchRequest, minted: NewToken | undefined) {
  return {
    ...(access_credential_id === undefined ? {} : { access_credential_id }),
    ...(service_account_id === undefined ? {} : { service_account_id }),
    ...(minted ? { service_token_id: minted.id } : {}),
  };
}

/** The longest that a person can ask for a token. It lies sealed on the host, so nobody can put another in its place. */
const tokenMs = 31_536_000 * 1000;

/** Good until the instance is decommissioned, the account is removed, which counts as the one who made it, or a year is over. */
async function keepToken(tx: Tx, account: ServiceAccount, { id, secret_hash }: NewToken, instance: AppInstance) {
  await tx.api_tokens.insert({
    ...{ id, secret_hash, name: `${account.name} of ${instance.id}`, project_id: account.project_id },
    ...{ role: account.role, created_by: account.id, created_at: instance.created_at },
    ...{ expires_at: new Date(Date.parse(instance.created_at) + tokenMs).toISOString(), revoked_at: null },
  });
}
