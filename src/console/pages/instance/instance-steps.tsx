/** The way of what was last asked for, step by step, with the time each took. */
import { useEffect, useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { Icon, type IconName } from '../../parts/icon.tsx';
import { secondsText } from './amounts.ts';
import type { InstanceEvent } from './instance-events.ts';
import { progressOf, purposeLabel, type Step } from './steps.ts';

export interface InstanceStepsProps {
  readonly events: readonly InstanceEvent[];
  readonly instance: InstanceView;
}

export function InstanceSteps({ events, instance }: InstanceStepsProps) {
  const now = useSecond();
  const progress = progressOf(events, instance, now);
  if (!progress) return null;
  const { purpose, isOver, seconds, steps } = progress;
  const title = `${purposeLabel(purpose)} ${isOver ? 'took' : 'has taken'} ${secondsText(seconds)}`;
  const isGood = isOver && steps.every(({ is }) => is === 'done');
  if (isGood) {
    return (
      <details class="section phases-over">
        <summary>{title}</summary>
        <StepList steps={steps} now={now} label={title} />
      </details>
    );
  }
  return (
    <section class="section" aria-label="How it is going">
      <p class="phases-title">
        <strong>{title}</strong>
        {!isOver && purpose === 'launch' && (
          <span class="muted"> · may take up to {secondsText(instance.launch_seconds)}</span>
        )}
      </p>
      <StepList steps={steps} now={now} label={title} />
    </section>
  );
}

const signs: Readonly<Record<Step['is'], { readonly icon: IconName; readonly words: string }>> = {
  done: { icon: 'check', words: 'done' },
  current: { icon: 'circle', words: 'in progress' },
  failed: { icon: 'error', words: 'failed' },
  ahead: { icon: 'circle', words: 'not yet' },
};

function StepList({
  steps,
  now,
  label,
}: {
  readonly steps: readonly Step[];
  readonly now: number;
  readonly label: string;
}) {
  return (
    <ol class="phases" aria-label={label}>
      {steps.map(({ name, label: text, is, seconds, startedAt }, index) => (
        <li key={`${index} ${name}`} class={`phase phase-${is}`} aria-current={is === 'current' ? 'step' : undefined}>
          <Icon name={signs[is].icon} />
          <span class="phase-text">
            {text}
            <span class="visually-hidden">, {signs[is].words}</span>
            <span class="phase-time">{timeText(is, seconds, startedAt, now)}</span>
          </span>
        </li>
      ))}
    </ol>
  );
}

function timeText(is: Step['is'], seconds: number | null, startedAt: number | null, now: number): string {
  if (seconds !== null) return secondsText(seconds);
  return is === 'current' && startedAt !== null ? secondsText(Math.max(0, Math.round((now - startedAt) / 1000))) : '';
}

/** The time, anew each second while the page is looked at. */
function useSecond(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
