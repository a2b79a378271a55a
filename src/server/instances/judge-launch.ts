/** What would come of a launch: the nine checks, and behind them what is known of the node. */
import { adapterOf } from '../adapters/index.ts';
import type { Node } from '../db/entities/node.ts';
import { type CheckedLaunch, checkLaunch } from '../launch/checks.ts';
import type { LaunchRequest } from '../launch/launch-request.ts';
import type { LoadedFacts } from '../launch/load-facts.ts';
import { lookAtNode } from '../launch/preflight.ts';
import type { LaunchRefusal } from '../launch/refusal.ts';

export interface LaunchAsked {
  readonly request: LaunchRequest;
  readonly projectId: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Admitted {
  readonly launch: CheckedLaunch;
  readonly node: Node;
  /** False if the node has to be asked first. */
  readonly isReady: boolean;
}

type Judged = ({ readonly ok: true } & Admitted) | { readonly ok: false; readonly refusals: readonly LaunchRefusal[] };

/** Of the node of somebody else's allocation nothing is told. `now` in milliseconds since 1970. */
export function judgeFacts(facts: LoadedFacts, now: number): Judged {
  const checked = checkLaunch(facts);
  const { node, profile, allocation, projectId, environment } = facts;
  const engine = profile?.execution.default_engine ?? '';
  const isPlaced = allocation?.project_id === projectId && allocation.state === 'active';
  const look = isPlaced && environment.engines.includes(engine) ? lookAtNode(node, adapterOf(engine), now) : undefined;
  const refusals = [...(checked.ok ? [] : checked.refusals), ...(look?.is === 'refused' ? [look.refusal] : [])];
  return checked.ok && node && refusals.length === 0
    ? { ok: true, launch: checked.launch, node, isReady: look?.is === 'ready' }
    : { ok: false, refusals };
}
