/** A state as a word with a tone and a sign: colour alone says nothing. */
import { words } from '../lib/format.ts';
import { Icon, type IconName } from './icon.tsx';

export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'neutral' | 'accent';

/** Every state that the control plane names, of whatever sort of thing. What is not listed is neutral. */
const tones: Readonly<Record<string, Tone>> = {
  running: 'good',
  ready: 'good',
  connected: 'good',
  active: 'good',
  verified: 'good',
  promoted: 'good',
  accepted: 'good',
  healthy: 'good',
  launchable: 'good',
  requested: 'busy',
  deploying: 'busy',
  starting: 'busy',
  restarting: 'busy',
  stopping: 'busy',
  decommissioning: 'busy',
  releasing: 'busy',
  pulling: 'busy',
  creating: 'busy',
  installing_packages: 'busy',
  probing: 'busy',
  removing: 'busy',
  degraded: 'warning',
  unknown: 'warning',
  draining: 'warning',
  not_ready: 'warning',
  unverified: 'warning',
  deprecated: 'warning',
  disconnected: 'warning',
  quarantined: 'bad',
  failed: 'bad',
  revoked: 'bad',
  refused: 'bad',
  unhealthy: 'bad',
  published: 'accent',
  enrolled: 'neutral',
};

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

export function Badge({ state, label = words(state), tone = tones[state] ?? 'neutral', title }: BadgeProps) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      <Icon name={signs[tone]} />
      {label}
    </span>
  );
}
