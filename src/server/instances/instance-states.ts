/** How an app instance changes: one function that keeps state, history, billing and events together. */
import { type InstanceState, moveInstance } from '../../contract/instance-state.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Tx } from '../db/store.ts';

/** Oldest states are forgotten first; the events keep all of them. */
const maxHistory = 200;
const maxPeriods = 1000;

export interface Change {
  readonly to: InstanceState;
  /** One sentence: the summary of the instance, and the reason in its history. */
  readonly reason: string;
  readonly actor: string;
  /** When it happened, in milliseconds since 1970. */
  readonly at: number;
  /** Since when it is so, where that is longer ago than it is known again. Default `at`. */
  readonly since?: number;
  /** What else changes with it. */
  readonly set?: Partial<AppInstance>;
}

/**
 * Keeps the instance in its new state, with an event `apps.instance.<state>`. Returns what is kept. Staying in the same
 * state changes what is in `set` and makes no event.
 */
export async function change(tx: Tx, instance: AppInstance, asked: Change) {
  const { to, reason, actor, set = {} } = asked;
  const at = new Date(asked.at).toISOString();
  const since = new Date(asked.since ?? asked.at).toISOString();
  const state = moveInstance(instance.state, to);
  const isNew = state !== instance.state;
  const next: AppInstance = {
    ...instance,
    ...set,
    ...{ state, summary: reason.slice(0, 500), updated_at: laterOf(instance.updated_at, at) },
    state_since: isNew ? since : instance.state_since,
    history: isNew ? historyWith(instance.history, { state, at, reason: reason.slice(0, 500) }) : instance.history,
    billing: billingAfter({ ...instance, ...set }, state, since),
  };
  await tx.app_instances.put(next);
  if (isNew) {
    await tx.events.append({
      ...{ time: at, type: `apps.instance.${state}`, project_id: next.project_id, actor },
      subject: { kind: 'app_instance', id: next.id },
      correlation_id: next.trace_id,
      message: next.summary,
      data: { from: instance.state, to: state, failure: next.failure?.code ?? null },
    });
  }
  return next;
}

/** Times of the store compare as texts. */
export function laterOf(one: string, other: string): string {
  return one > other ? one : other;
}

export function historyWith(history: AppInstance['history'], entry: AppInstance['history'][number]) {
  return [...history, entry].slice(-maxHistory);
}

/** A host that is away does not stop what runs on it, so the time goes on counting. */
const running: ReadonlySet<InstanceState> = new Set(['running', 'degraded', 'unknown', 'stopping', 'decommissioning']);

/** However often it stops and runs, nothing of what it used is forgotten. */
function billingAfter(instance: AppInstance, state: InstanceState, at: string): AppInstance['billing'] {
  const { billing } = instance;
  const periods = periodsAfter(instance, state, at);
  const seconds = periods.slice(0, -maxPeriods).map(({ started_at: from, stopped_at: until }) => {
    return until === null ? 0 : (Date.parse(until) - Date.parse(from)) / 1000;
  });
  const earlier = seconds.reduce((sum, each) => sum + each, billing.earlier_seconds ?? 0);
  return { ...billing, periods: periods.slice(-maxPeriods), ...(earlier > 0 ? { earlier_seconds: earlier } : {}) };
}

function periodsAfter({ billing, state: before, members }: AppInstance, state: InstanceState, at: string) {
  const { periods } = billing;
  const last = periods.at(-1);
  const isOpen = last?.stopped_at === null;
  if ((state === 'running' || state === 'degraded') && !isOpen) {
    const gpus = members.flatMap(({ status }) => status?.gpus ?? []);
    return [...periods, { started_at: at, stopped_at: null, ...(gpus.length > 0 ? { gpus } : {}) }];
  }
  return isOpen && before !== state && !running.has(state)
    ? [...periods.slice(0, -1), { ...last, stopped_at: at }]
    : periods;
}
