/**
 * The steps of what was last asked for an instance, with the time each took, from its events:
 *
 *   asked ──▶ waiting for the node ──▶ phase ──▶ phase ──▶ … ──▶ running, stopped, gone or failed
 */
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { dataText, type InstanceEvent } from './instance-events.ts';

export interface Step {
  readonly name: string;
  readonly label: string;
  readonly is: 'done' | 'current' | 'failed' | 'ahead';
  /** In milliseconds since 1970; null for what is ahead. */
  readonly startedAt: number | null;
  /** How long it took; null while it goes on, and for what takes no time. */
  readonly seconds: number | null;
}

export interface Progress {
  /** What was asked for: `launch`, `stop`, … */
  readonly purpose: Purpose;
  readonly steps: readonly Step[];
  /** True once nothing more will come by itself. */
  readonly isOver: boolean;
  /** From the request to its end, or to `now`. */
  readonly seconds: number;
}

/** What each beginning leads to, and the phases on the way of which nothing may be known yet. */
const purposes = {
  launch: { label: 'Launch', goal: 'running', phases: ['pulling', 'creating', 'starting', 'probing'] },
  start: { label: 'Start', goal: 'running', phases: ['starting', 'probing'] },
  restart: { label: 'Restart', goal: 'running', phases: ['stopping', 'starting', 'probing'] },
  stop: { label: 'Stop', goal: 'stopped', phases: ['stopping'] },
  decommission: { label: 'Decommission', goal: 'decommissioned', phases: ['removing'] },
} as const;
export type Purpose = keyof typeof purposes;

const beginnings: Readonly<Record<string, Purpose>> = {
  'apps.instance.requested': 'launch',
  'apps.instance.starting': 'start',
  'apps.instance.restarting': 'restart',
  'apps.instance.stopping': 'stop',
  'apps.instance.decommissioning': 'decommission',
};
const endings: ReadonlySet<string> = new Set(
  ['running', 'degraded', 'stopped', 'failed', 'decommissioned'].map((state) => `apps.instance.${state}`),
);

const labels: Readonly<Record<string, string>> = {
  ...{ asked: 'Accepted', waiting: 'Waiting for the node', pulling: 'Pulling the image', creating: 'Creating' },
  ...{ starting: 'Starting', installing_packages: 'Installing packages', probing: 'Waiting until it is ready' },
  ...{ stopping: 'Stopping', removing: 'Removing', running: 'Running', stopped: 'Stopped', failed: 'Failed' },
  ...{ decommissioned: 'Decommissioned', degraded: 'Running, degraded' },
};

export function purposeLabel(purpose: Purpose): string {
  return purposes[purpose].label;
}

export function phaseLabel(phase: string): string {
  return labels[phase] ?? phase.replaceAll('_', ' ');
}

interface Mark {
  readonly name: string;
  readonly at: number;
}

/** Undefined where the beginning is not among the events any more. `events` are oldest first; `now` in milliseconds. */
export function progressOf(
  events: readonly InstanceEvent[],
  instance: Pick<InstanceView, 'config'>,
  now: number,
): Progress | undefined {
  const from = events.findLastIndex(({ type }) => type in beginnings);
  const beginning = events[from];
  const purpose = beginning && beginnings[beginning.type];
  if (!purpose) return undefined;
  const { marks, end } = marksOf(events.slice(from));
  const goal = end?.name ?? purposes[purpose].goal;
  const passed = marks.map(({ name, at }, index): Step => {
    const next = marks[index + 1]?.at ?? end?.at;
    const isLast = index === marks.length - 1;
    const is = !isLast || (end && end.name !== 'failed') ? 'done' : end ? 'failed' : 'current';
    return { name, label: phaseLabel(name), is, startedAt: at, seconds: next === undefined ? null : between(at, next) };
  });
  const steps = end ? passed : [...passed, ...ahead(purpose, instance, marks)];
  const last: Step = {
    ...{ name: goal, label: phaseLabel(goal), startedAt: end?.at ?? null, seconds: null },
    is: end === undefined ? 'ahead' : 'done',
  };
  // Where it failed, the step at which it did is the last one.
  const all = end?.name === 'failed' ? passed : [...steps, last];
  const started = Date.parse(beginning.time);
  return { purpose, steps: all, isOver: end !== undefined, seconds: between(started, end?.at ?? now) };
}

/** A phase of the result is no step of its own: the state says it. */
const results: ReadonlySet<string> = new Set(['running', 'stopped', 'removed']);

function marksOf(events: readonly InstanceEvent[]): { readonly marks: Mark[]; readonly end: Mark | undefined } {
  const marks: Mark[] = [];
  for (const [index, event] of events.entries()) {
    const at = Date.parse(event.time);
    if (endings.has(event.type)) return { marks, end: { name: event.type.slice('apps.instance.'.length), at } };
    if (index === 0) marks.push({ name: 'asked', at });
    else if (event.type === 'apps.instance.deploying') marks.push({ name: 'waiting', at });
    else if (event.type === 'apps.instance.phase') {
      const phase = dataText(event, 'to') ?? dataText(event, 'phase');
      if (phase !== undefined && !results.has(phase)) marks.push({ name: phase, at });
    }
  }
  return { marks, end: undefined };
}

/** The phases of the way that have not been entered; packages only where some were chosen. */
function ahead(purpose: Purpose, { config }: Pick<InstanceView, 'config'>, marks: readonly Mark[]): Step[] {
  const hasPackages = typeof config['python_packages'] === 'string' && config['python_packages'].trim() !== '';
  const way: readonly string[] = purposes[purpose].phases.flatMap((phase): readonly string[] =>
    phase === 'probing' && purpose === 'launch' && hasPackages ? ['installing_packages', phase] : [phase],
  );
  const reached = Math.max(-1, ...marks.map(({ name }) => way.indexOf(name)));
  return way.slice(reached + 1).map((name) => {
    return { name, label: phaseLabel(name), is: 'ahead', startedAt: null, seconds: null };
  });
}

/** Clocks of two machines may disagree; nothing takes less than no time. */
function between(from: number, to: number): number {
  return Math.max(0, (to - from) / 1000);
}
