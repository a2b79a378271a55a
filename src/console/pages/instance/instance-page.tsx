/** One instance: how it is, how it got there, how to reach it, and what can be done with it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { Link, navigate } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { AccessTab } from './access-tab.tsx';
import { cleanLine } from './clean-text.ts';
import { EventsTab } from './events-tab.tsx';
import { InstanceActions } from './instance-actions.tsx';
import { InstanceHead, StateBadge } from './instance-head.tsx';
import './instance.css';
import { LogsTab } from './logs-tab.tsx';
import { MetricsTab } from './metrics-tab.tsx';
import { type TabChoice, Tabs } from './tabs.tsx';
import { TopologyTab } from './topology-tab.tsx';
import { type EventsSoFar, useEventsOf } from './use-events-of.ts';

const tabs = [
  { id: 'access', title: 'Access' },
  { id: 'events', title: 'Events' },
  { id: 'logs', title: 'Logs' },
  { id: 'topology', title: 'Topology' },
  { id: 'metrics', title: 'Metrics' },
] as const satisfies readonly TabChoice[];
type Tab = (typeof tabs)[number]['id'];

export interface InstancePageProps {
  readonly id: string;
  /** As the address has it; undefined for whichever fits the instance. */
  readonly tab: string | undefined;
}

export function InstancePage({ id, tab }: InstancePageProps) {
  const path = `/api/v1/app-instances/${encodeURIComponent(id)}`;
  const resource = useResource<InstanceView>(path, { subjects: [id] });
  const events = useEventsOf(path, id);
  if (resource.error?.status === 404) {
    return (
      <Page title="Instance" above={above}>
        <Empty icon="instances" title="There is no such instance.">
          It belongs to another project, or was forgotten some time after it was decommissioned.{' '}
          <Link to="/instances">To the instances</Link>
        </Empty>
      </Page>
    );
  }
  if (resource.data === undefined) {
    return (
      <Page title="Instance" above={above}>
        <Shown of={resource} title="The instance cannot be shown.">
          {() => null}
        </Shown>
      </Page>
    );
  }
  return (
    <Loaded
      key={id}
      instance={resource.data}
      isStale={resource.stale}
      path={path}
      tab={tab}
      events={events}
      reload={resource.reload}
    />
  );
}

const above = [{ title: 'Instances', to: '/instances' }];

interface LoadedProps {
  readonly instance: InstanceView;
  readonly isStale: boolean;
  readonly path: string;
  readonly tab: string | undefined;
  readonly events: EventsSoFar;
  readonly reload: () => void;
}

function Loaded({ instance, isStale, path, tab, events, reload }: LoadedProps) {
  const name = cleanLine(instance.display_name);
  useStateNews(name, instance.state);
  // What is open stays open, also where the instance begins to run meanwhile.
  const [usual] = useState<Tab>(instance.access.length > 0 ? 'access' : 'events');
  const open = tabs.find((each) => each.id === tab)?.id ?? usual;
  const show = (next: string) => navigate(`/instances/${encodeURIComponent(instance.id)}/${next}`, { replace: true });
  return (
    <Page
      title={name}
      above={above}
      badges={<StateBadge instance={instance} isStale={isStale} />}
      lead={cleanLine(instance.summary)}
      actions={<InstanceActions instance={instance} path={path} reload={reload} />}
    >
      <div class={isStale ? 'instance stale' : 'instance'}>
        <InstanceHead instance={instance} events={events.events} />
        <Tabs label={`About ${name}`} tabs={tabs} open={open} onOpen={show}>
          {open === 'access' && <AccessTab instance={instance} />}
          {open === 'events' && <EventsTab instance={instance} events={events} />}
          {open === 'logs' && <LogsTab instance={instance} path={path} events={events.events} />}
          {open === 'topology' && <TopologyTab instance={instance} path={path} />}
          {open === 'metrics' && <MetricsTab instance={instance} path={path} />}
        </Tabs>
      </div>
    </Page>
  );
}

/** Says when it becomes something else, for whoever does not look at the badge. */
function useStateNews(name: string, state: InstanceView['state']): void {
  const last = useRef(state);
  useEffect(() => {
    if (last.current !== state) announce(`${name} is ${state}.`, state === 'failed' ? 'bad' : 'good');
    last.current = state;
  }, [name, state]);
}
