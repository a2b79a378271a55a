/**
 * What may become of an artifact. Whether it may be launched is `launch/artifact-fitness.ts`.
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

export function moveTrust({ trust, endings = [] }: Artifact, to: Trust): Trust {
  if (!nextTrust[trust].includes(to)) {
    // Only from `revoked` there is a way that does not go.
    const why = endings.findLast(({ became }) => became === 'revoked')?.reason ?? 'nobody said why';
    const reason = `The trust in this image was taken back for good: ${why.replace(/\.$/, '')}. Build another one, and push that.`;
    throw new AgentError('resource.conflict', { reason });
  }
  return to;
}
