/**
 * Accepts a launch: checks, reservation, and the first step towards the node, in one transaction.
 *
 * The instance that is kept is the reservation: the next launch counts it as a neighbour. Whoever is told that a launch was
 * accepted finds an instance that ends up running or failed, whatever dies in between, because the task that moves it is
 * part of the same transaction.
 */

import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Store, Tx } from '../db/store.ts';
import { runningDigest } from '../launch/adapter-input.ts';
import type { CheckedLaunch } from '../launch/checks.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
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
}

/** Seals what only the node may read; a launch that cannot be accepted is refused here already. */
export async function prepareLaunch(
  store: Store,
  environment: LaunchEnvironment,
  asking: Asking,
): Promise<PreparedLaunch> {
  const { launch, node } = await store.read((tx) => admit(tx, environment, asking));
  return { nodeId: node.id, ...(await sealSecrets(launch.profile, asking.request.secrets ?? {}, node.wrapping_key)) };
}

export async function createInstance(
  tx: Tx,
  launching: Launching,
  asking: Asking,
  { nodeId, ...secrets }: PreparedLaunch,
): Promise<AppInstance> {
  const { launch, node, isReady } = await admit(tx, launching.environment, asking);
  if (node.id !== nodeId) {
    throw refused([refusal('launch.node_unavailable', '/placement_intent', 'Its host was just replaced; try again.')]);
  }
  const instance = await reserve(tx, asking, launch, node, secrets);
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
  { request, projectId, allocation, profile, artifact, values }: CheckedLaunch,
  node: Node,
  { sealedFiles, sealedEnv }: SealedSecrets,
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
    ...{ created_at: at, created_by: tokenId, updated_at: at, trace_id: traceId },
  };
  await tx.app_instances.insert(instance);
  await tx.events.append({
    ...{ time: at, type: 'apps.instance.requested', project_id: projectId, actor, correlation_id: traceId },
    subject: { kind: 'app_instance', id: instance.id },
    message: `${request.display_name} (${request.app_slug} ${request.app_version}) was asked for.`,
    data: { allocation_id: allocation.id, artifact_id: artifact.id, image_digest: digest, ...values.resources },
  });
  return instance;
}
