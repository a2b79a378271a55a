/** What an instance, a service of it or a task wrote: live, over restarts, and after its end. */
import { useMemo } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { navigate, useRoute } from '../../lib/router.tsx';
import { cleanLine } from './clean-text.ts';
import { type InstanceEvent, tasksOf } from './instance-events.ts';
import { LogView } from './log-view.tsx';

export interface LogsTabProps {
  readonly instance: InstanceView;
  readonly path: string;
  readonly events: readonly InstanceEvent[];
}

/** What is read: `''` for all, `service NAME`, or `task ID`. */
export function LogsTab({ instance, path, events }: LogsTabProps) {
  const { query } = useRoute();
  const asked = sourceOf(query);
  const choose = (source: string) => {
    const [kind, name = ''] = source.split(' ');
    const chosen = kind === '' ? '' : `?${kind}=${encodeURIComponent(name)}`;
    navigate(`/instances/${encodeURIComponent(instance.id)}/logs${chosen}`, { replace: true });
  };
  return (
    <LogView
      key={asked}
      source={pathOf(path, asked)}
      asked={asked}
      choices={useChoices(instance, events, asked)}
      onChoose={choose}
      runningSince={isRunningSince(instance, asked)}
      file={fileName(instance, asked)}
      silence={
        instance.state === 'running' ? 'Lines appear here as soon as they are written.' : 'It is not running yet.'
      }
    />
  );
}

const moving: ReadonlySet<InstanceView['state']> = new Set([
  'running',
  'degraded',
  'starting',
  'restarting',
  'deploying',
]);

/** A task is over when its log is. */
function isRunningSince({ state, state_since }: InstanceView, asked: string): string | undefined {
  return moving.has(state) && !asked.startsWith('task ') ? state_since : undefined;
}

function sourceOf(query: URLSearchParams): string {
  for (const kind of ['service', 'task']) {
    const name = query.get(kind);
    if (name !== null && /^[A-Za-z0-9_.-]{1,128}$/.test(name)) return `${kind} ${name}`;
  }
  return '';
}

/** Begins a query that more can be added to. */
function pathOf(path: string, source: string): string {
  const [kind, name = ''] = source.split(' ');
  const only = { service: `service=${encodeURIComponent(name)}`, task: `task_id=${encodeURIComponent(name)}` };
  return `${path}/logs?${kind === 'service' || kind === 'task' ? only[kind] : ''}`;
}

function useChoices(instance: InstanceView, events: readonly InstanceEvent[], asked: string) {
  const services = instance.members.map(({ name }) => name).filter((name) => name !== 'main');
  const tasks = useMemo(() => tasksOf(events, instance.current_task_id), [events, instance.current_task_id]);
  const known = [
    { value: '', label: services.length > 0 ? 'All services' : 'Container output' },
    ...services.map((name) => ({ value: `service ${name}`, label: `Service ${cleanLine(name)}` })),
    ...tasks.map(({ id, label }) => ({ value: `task ${id}`, label: `Task: ${label}` })),
  ];
  return known.some(({ value }) => value === asked) ? known : [...known, { value: asked, label: cleanLine(asked) }];
}

function fileName({ app_slug, id }: InstanceView, asked: string): string {
  return `${[app_slug, id, ...asked.split(' ').filter((part) => part !== '')].join('-')}.log`;
}
