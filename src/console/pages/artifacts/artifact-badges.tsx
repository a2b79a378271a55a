/** What an artifact is, whether it is believed, and for whom it was vouched. */
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { Badge } from '../../parts/badge.tsx';

interface Shown {
  readonly artifact: Pick<ArtifactView, 'lifecycle' | 'trust' | 'verification' | 'promotions'>;
}

export function Lifecycle({ artifact: { lifecycle } }: Shown) {
  return <Badge state={lifecycle} tone={lifecycle === 'retired' ? 'neutral' : undefined} />;
}

export function Trust({ artifact: { trust, verification } }: Shown) {
  return (
    <Badge state={trust} label={trust === 'failed' ? 'failed verification' : trust} title={verification?.message} />
  );
}

/** Channels in the order in which things are let through. */
const order = ['dev', 'test', 'staging', 'prod'] as const;

export function channelsOf({ promotions }: Pick<ArtifactView, 'promotions'>): string[] {
  return order.filter((channel) => promotions.some((promotion) => promotion.channel === channel));
}
