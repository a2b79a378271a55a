/**
 * What may become of an artifact, and whether it may be launched.
 *
 *   published ─▶ promoted ─▶ deprecated ─▶ retired       lifecycle; each may also go straight to retired
 *        └──────────────────────▲
 *   unverified ⇄ verified ⇄ failed ─▶ revoked            trust; revoked is final, from anywhere
 *
 * The two do not know of each other, but for one rule: what is not verified is not promoted.
 */
import { AgentError } from '../../contract/failures.ts';
import type { Artifact } from '../db/entities/artifact.ts';

type Lifecycle = Artifact['lifecycle'];
type Trust = Artifact['trust'];

const next: Record<Lifecycle, readonly Lifecycle[]> = {
  published: ['promoted', 'deprecated', 'retired'],
  promoted: ['promoted', 'deprecated', 'retired'],
  deprecated: ['deprecated', 'retired'],
  retired: ['retired'],
};

const nextTrust: Record<Trust, readonly Trust[]> = {
  unverified: ['verified', 'failed', 'revoked'],
  verified: ['verified', 'failed', 'revoked'],
  failed: ['verified', 'failed', 'revoked'],
  revoked: ['revoked'],
};

/** Returns `to`, or fails with `resource.conflict`: an operator asked for it. */
export function moveLifecycle({ lifecycle }: Artifact, to: Lifecycle): Lifecycle {
  if (!next[lifecycle].includes(to)) {
    throw new AgentError('resource.conflict', { reason: `An artifact that is ${lifecycle} cannot become ${to}.` });
  }
  return to;
}

export function moveTrust({ trust }: Artifact, to: Trust): Trust {
  if (!nextTrust[trust].includes(to)) {
    throw new AgentError('resource.conflict', { reason: `An artifact that is ${trust} cannot become ${to}.` });
  }
  return to;
}

export type Ineligible = 'retired' | 'deprecated' | 'not_promoted' | 'not_verified' | 'failed' | 'revoked';

/** Why an artifact may not be launched: lifecycle first, then trust; empty if it may (G-110, G-111, G-168, X-6). */
export function whyNotLaunchable(
  { lifecycle, trust }: Pick<Artifact, 'lifecycle' | 'trust'>,
  { promotedOnly }: { readonly promotedOnly: boolean },
): Ineligible[] {
  const byLifecycle: Record<Lifecycle, Ineligible | undefined> = {
    published: promotedOnly ? 'not_promoted' : undefined,
    promoted: undefined,
    deprecated: 'deprecated',
    retired: 'retired',
  };
  const byTrust: Record<Trust, Ineligible | undefined> = {
    unverified: 'not_verified',
    verified: undefined,
    failed: 'failed',
    revoked: 'revoked',
  };
  return [byLifecycle[lifecycle], byTrust[trust]].filter((reason) => reason !== undefined);
}
