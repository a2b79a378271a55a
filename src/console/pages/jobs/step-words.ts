/** How a step stands, in words and as a sign: its colour never says it alone. */
import type { StepState } from '../../../contract/job-state.ts';
import type { JobView } from '../../../server/jobs/job-view.ts';
import { words } from '../../lib/format.ts';
import type { IconName } from '../../parts/icon.tsx';
import { secondsText } from '../instance/amounts.ts';

export type StepView = JobView['steps'][number];

export const stepSigns: Readonly<Record<StepState, IconName>> = {
  ...{ pending: 'circle', waiting: 'dots', running: 'play', succeeded: 'check' },
  ...{ failed: 'close', skipped: 'dash', cancelled: 'stop', timed_out: 'clock' },
};

const over: ReadonlySet<StepState> = new Set(['succeeded', 'failed', 'skipped', 'cancelled', 'timed_out']);

/** How many of them are over. */
export function endedOf(steps: readonly Pick<StepView, 'state'>[]): number {
  return steps.filter(({ state }) => over.has(state)).length;
}

/** Its end in a few words: `exit code 1`, `SIGKILL, out of memory`; undefined where none is known. */
export function endWords({ exit_code, signal, oom_killed }: Pick<StepView, 'exit_code' | 'signal' | 'oom_killed'>) {
  const told = [
    ...(exit_code === null ? [] : [`exit code ${exit_code}`]),
    ...(signal === null ? [] : [signal]),
    ...(oom_killed ? ['out of memory'] : []),
  ];
  return told.length === 0 ? undefined : told.join(', ');
}

/** How long it ran, or runs by now; undefined before its start. `now`: milliseconds since 1970. */
export function durationWords(
  { started_at, ended_at }: Pick<StepView, 'started_at' | 'ended_at'>,
  now: number,
): string | undefined {
  if (started_at === null) return undefined;
  const end = ended_at === null ? now : Date.parse(ended_at);
  return secondsText(Math.max(0, end - Date.parse(started_at)) / 1000);
}

/** The line under its name in the drawing. */
export function detailWords(step: StepView, now: number): string {
  const isOver = step.ended_at !== null;
  const parts = [words(step.state), isOver ? endWords(step) : undefined, durationWords(step, now)];
  if (step.attempts > 1) parts.push(`${step.attempts} starts`);
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** The step to look at first: the one that went wrong, else what runs, else the first. */
export function mostTelling(steps: readonly StepView[]): string | undefined {
  const wanted: readonly StepState[][] = [['failed', 'timed_out'], ['running'], ['waiting']];
  for (const states of wanted) {
    const found = steps.find(({ state }) => states.includes(state));
    if (found) return found.id;
  }
  return steps[0]?.id;
}
