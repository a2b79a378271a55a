/** A state as a word with a tone and a sign: colour alone says nothing. */
import { words } from '../lib/format.ts';
import { Icon, type IconName } from './icon.tsx';

export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'neutral' | 'accent';

/** Every state that the control plane names, of whatever sort of thing. What is not listed is neutral. */
const states: Readonly<Record<string, string>> = {
  good: 'running ready connected active verified promoted accepted healthy launchable succeeded',
  busy: 'requested deploying starting restarting stopping decommissioning releasing pulling creating installing_packages probing removing preparing waiting',
  warning: 'degraded unknown draining not_ready unverified deprecated disconnected expired timed_out',
  bad: 'quarantined failed revoked refused unhealthy',
  accent: 'published',
};

const tones = new Map(
  Object.entries(states).flatMap(([tone, names]) => names.split(' ').map((state) => [state, tone as Tone] as const)),
);

/** `state` as the control plane names it. */
export function toneOf(state: string): Tone {
  return tones.get(state) ?? 'neutral';
}

const signs: Readonly<Record<Tone, IconName>> = {
  good: 'check',
  busy: 'circle',
  warning: 'warning',
  bad: 'error',
  neutral: 'circle',
  accent: 'circle',
};

export interface BadgeProps {
  /** As the control plane names it: `not_ready`. */
  readonly state: string;
  /** Words instead of the state's own. */
  readonly label?: string;
  readonly tone?: Tone | undefined;
  readonly title?: string | undefined;
}

export function Badge({ state, label = words(state), tone = toneOf(state), title }: BadgeProps) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      <Icon name={signs[tone]} />
      {label}
    </span>
  );
}
