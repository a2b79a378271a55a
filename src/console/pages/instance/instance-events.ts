/** What happened to an instance, as its page groups, filters and shortens it. */
import type { Event } from '../../../server/db/entities/event.ts';
import { clockText } from './amounts.ts';
import { cleanLine } from './clean-text.ts';

export type InstanceEvent = Event;

export const eventKinds = ['state', 'phase', 'progress', 'packages', 'report'] as const;
export type EventKind = (typeof eventKinds)[number];

export const kindLabels: Readonly<Record<EventKind, string>> = {
  ...{ state: 'States', phase: 'Phases', progress: 'Progress', packages: 'Packages', report: 'Reports' },
};

const ownKinds: Readonly<Record<string, EventKind>> = {
  ...{ phase: 'phase', progress: 'progress', packages: 'packages', reported: 'report', superseded: 'report' },
  ...{ undeclared_endpoint: 'report', asked_again: 'report' },
};

export function kindOf({ type, data }: InstanceEvent): EventKind {
  if (typeof data['to'] === 'string' && type === `apps.instance.${data['to']}`) return 'state';
  const name = type.replace(/^apps\.instance\./, '');
  return ownKinds[name] ?? (name === 'requested' ? 'state' : 'report');
}

/** A text among the facts of an event, which may be anything. */
export function dataText({ data }: InstanceEvent, name: string): string | undefined {
  const value = data[name];
  return typeof value === 'string' ? value : undefined;
}

/** An event, with how many before it said the same in other numbers. */
export interface ShownEvent {
  readonly event: InstanceEvent;
  readonly kind: EventKind;
  readonly repeats: number;
}

/** A long pull tells the same a hundred times over: of each run the last is shown. */
const repeated: ReadonlySet<string> = new Set(['image.progress', 'readiness.waiting', 'input.progress']);

export function shownEvents(events: readonly InstanceEvent[]): ShownEvent[] {
  const shown: ShownEvent[] = [];
  for (const event of events) {
    const last = shown.at(-1);
    const type = dataText(event, 'type');
    const isSame =
      last !== undefined &&
      type !== undefined &&
      repeated.has(type) &&
      dataText(last.event, 'type') === type &&
      dataText(last.event, 'task_id') === dataText(event, 'task_id');
    if (isSame) shown.pop();
    shown.push({ event, kind: kindOf(event), repeats: isSame ? last.repeats + 1 : 0 });
  }
  return shown;
}

export interface EventFilter {
  /** Null for all. */
  readonly kind: EventKind | null;
  readonly text: string;
}

export function matches({ event, kind }: ShownEvent, filter: EventFilter): boolean {
  if (filter.kind !== null && kind !== filter.kind) return false;
  const text = filter.text.trim().toLowerCase();
  return text === '' || `${event.message} ${event.type} ${event.actor}`.toLowerCase().includes(text);
}

/** Keeps the newest, each once and in order, however often a stream repeats them. */
export function withEvents(
  known: readonly InstanceEvent[],
  more: readonly InstanceEvent[],
  most = 5000,
): readonly InstanceEvent[] {
  const last = known.at(-1)?.seq ?? 0;
  const fresh = more.filter(({ seq }) => seq > last);
  return fresh.length === 0 ? known : [...known, ...fresh].slice(-most);
}

export interface InstanceTask {
  readonly id: string;
  readonly label: string;
}

/** What each state on the way is for. */
const purposeAt: Readonly<Record<string, string>> = {
  ...{ requested: 'Launch', deploying: 'Launch', starting: 'Start', restarting: 'Restart', stopping: 'Stop' },
  decommissioning: 'Decommission',
};

/** The tasks that events speak of, newest first, named by what the instance was about when they began. */
export function tasksOf(events: readonly InstanceEvent[], current: string | null): InstanceTask[] {
  const tasks = new Map<string, string>();
  let purpose = 'Task';
  let since = '';
  for (const event of events) {
    if (kindOf(event) === 'state') {
      const next = purposeAt[event.type.slice('apps.instance.'.length)];
      if (next !== undefined && next !== purpose) since = event.time;
      purpose = next ?? purpose;
    }
    const id = dataText(event, 'task_id');
    if (id !== undefined && !tasks.has(id)) tasks.set(id, labelOf(purpose, since || event.time));
  }
  if (current !== null && !tasks.has(current)) tasks.set(current, labelOf(purpose, since));
  return [...tasks].map(([id, label]) => ({ id, label })).reverse();
}

function labelOf(purpose: string, since: string): string {
  return clockText(since) === '' ? purpose : `${purpose} of ${clockText(since)}`;
}

/** Who did it, in words. */
export function actorWords(actor: string): string {
  const [kind, id = ''] = actor.split(':');
  if (kind === 'node') return 'the node';
  if (kind === 'token') return `token ${cleanLine(id)}`;
  return kind === 'system' ? 'the control plane' : cleanLine(actor);
}
