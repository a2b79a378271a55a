/** Who stands behind an app (G-223). */
import type { VersionCard } from '../../../server/catalog/views.ts';
import { Badge, type Tone } from '../../parts/badge.tsx';

type Level = VersionCard['support_level'];

const levels: Readonly<Record<Level, { readonly label: string; readonly tone: Tone; readonly title: string }>> = {
  platform_curated: {
    label: 'Platform curated',
    tone: 'accent',
    title: 'The platform builds, checks and supports it.',
  },
  community: { label: 'Community', tone: 'neutral', title: 'Others stand behind it, not the platform.' },
  experimental: { label: 'Experimental', tone: 'warning', title: 'It may change or go at any time.' },
};

export function SupportBadge({ level }: { readonly level: Level }) {
  return <Badge state={level} {...levels[level]} />;
}
