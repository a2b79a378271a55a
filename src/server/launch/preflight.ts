/**
 * Whether the node of a launch can run containers now. The nine checks speak of what is written down; this asks the host,
 * by a `workload.oci_runtime_status` that may be at most 30 seconds old. Only that it is ready is believed so long: what
 * keeps a host from being ready is often over in a second.
 */
import type { WorkloadOciRuntimeStatusOutput } from '../../contract/workload-oci-runtime-status.ts';
import type { ExecutionAdapter } from '../adapters/adapter.ts';
import type { Node } from '../db/entities/node.ts';
import { type LaunchRefusal, refusal } from './refusal.ts';

export const freshMs = 30_000;
/** How long an asked node may take; a launch that waits longer fails. */
export const preflightSeconds = 60;

export type Preflight =
  | { readonly is: 'ready' }
  /** Nothing says that it is ready, or what says so is too old. */
  | { readonly is: 'unknown' }
  | { readonly is: 'refused'; readonly refusal: LaunchRefusal };

/** What is known of the node without asking it. */
export function lookAtNode(node: Node | undefined, { needs, needsCompose }: ExecutionAdapter, now: number): Preflight {
  const unfit = whyUnfit(node, needs);
  if (unfit !== undefined || !node)
    return { is: 'refused', refusal: refusal('launch.node_unavailable', target, unfit) };
  const { runtime, runtime_at } = node;
  const isFresh = runtime_at !== null && Math.abs(now - Date.parse(runtime_at)) <= freshMs;
  const canRun = runtime?.ready && (!needsCompose || runtime.compose_version !== null);
  return canRun && isFresh ? { is: 'ready' } : { is: 'unknown' };
}

/** What the answer of a node means for a launch. */
export function judgeRuntime(
  { ready, reasons, compose_version }: WorkloadOciRuntimeStatusOutput,
  { needsCompose }: Pick<ExecutionAdapter, 'needsCompose'> = { needsCompose: false },
): Preflight {
  if (ready && needsCompose && compose_version === null) {
    return { is: 'refused', refusal: refusal('compose.unavailable', target) };
  }
  return ready
    ? { is: 'ready' }
    : { is: 'refused', refusal: refusal('launch.runtime_not_ready', target, reasons.slice(0, 3).join(' ')) };
}

/** Where what is free depends on what runs on the node, and nobody knows that. */
export function notSeen(node: Pick<Node, 'runtime'> | undefined): LaunchRefusal {
  const said = node?.runtime ? judgeRuntime(node.runtime) : undefined;
  return said?.is === 'refused'
    ? said.refusal
    : refusal('launch.node_unavailable', target, 'It cannot be asked now what runs there, and so what is free.');
}

const target = '/placement_intent/target_allocation_id';

/** Why it takes no launch, whatever runs there; undefined where it does. */
export function whyUnfit(node: Node | undefined, needs: readonly string[]): string | undefined {
  if (!node) return 'No host has enrolled for it.';
  if (node.status !== 'enrolled') return `It is ${node.status}.`;
  if (node.drain) return 'It is draining.';
  if (node.inventory?.draining) return 'It is draining: somebody on the host asked for it.';
  const known = new Set(node.task_types.map(({ type }) => type));
  const missing = needs.filter((type) => !known.has(type));
  // Before its first session nobody knows what it can do, and a launch waits for it.
  return node.task_types.length > 0 && missing.length > 0
    ? `Its agent cannot carry out ${missing.join(', ')}; update it.`
    : undefined;
}
