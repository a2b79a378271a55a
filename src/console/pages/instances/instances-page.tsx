/** All instances that one may see, live (G-222, G-224, G-227). */
import type { InstanceState } from '../../../contract/instance-state.ts';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { Badge } from '../../parts/badge.tsx';
import type { Column } from '../../parts/data-table.tsx';
import { inWords, ListPage, projectColumn, useNames } from '../../parts/list-page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { shapeWords } from '../allocations/shape-words.ts';

/** Named here, as the table of the contract would bring all that describes its schema. */
const states: Readonly<Record<InstanceState, true>> = {
  ...{ requested: true, deploying: true, running: true, degraded: true, stopping: true, stopped: true },
  ...{ starting: true, restarting: true, decommissioning: true, decommissioned: true, failed: true, unknown: true },
};

export function InstancesPage() {
  const isPlatform = theSession().project === null;
  const projects = useNames(isPlatform ? '/api/v1/projects' : null);
  const allocations = useNames('/api/v1/allocations');
  return (
    <ListPage<InstanceView>
      title="Instances"
      lead={`What runs, ran, or shall run${isPlatform ? ', of all projects' : ''}.`}
      actions={
        whyNotMember(theSession()) === undefined && (
          <Link class="button button-primary" to="/">
            Launch an app
          </Link>
        )
      }
      path="/api/v1/app-instances"
      asked={['state', 'project_id', 'allocation_id']}
      options={{ subjects: ['app_instance'] }}
      name="instances"
      one="instance"
      columns={isPlatform ? [...columns.slice(0, 2), projectColumn(projects), ...columns.slice(2)] : columns}
      filters={(items) => [
        { name: 'state', all: 'All states', choices: inWords(...Object.keys(states)) },
        ...(isPlatform ? [{ name: 'project_id', all: 'All projects', choices: projects }] : []),
        { name: 'allocation_id', all: 'All allocations', choices: allocations },
        {
          ...{ name: 'app', all: 'All apps', of: ({ app_slug }) => app_slug },
          choices: new Map(items.map(({ app_slug, about }) => [app_slug, about.app ?? app_slug])),
        },
      ]}
      icon="instances"
      none="Nothing was launched yet."
      hint={<Link to="/">Choose an app of the catalog</Link>}
    />
  );
}

const columns: readonly Column<InstanceView>[] = [
  {
    ...{ title: 'Name', share: 2.3, value: ({ display_name, id }) => `${display_name} ${id}` },
    cell: ({ id, display_name, about, app_slug, app_version }) => (
      <>
        <Link to={`/instances/${id}`}>{display_name}</Link>
        <span class="cell-note">
          {about.app ?? app_slug} {app_version}
        </span>
      </>
    ),
  },
  {
    ...{ title: 'State', share: 2, value: ({ state }) => words(state) },
    cell: ({ state, failure, summary }) => <Badge state={state} title={failure?.message ?? summary} />,
  },
  {
    ...{ title: 'Allocation', share: 1.6, wide: true, value: ({ about }) => about.allocation },
    cell: ({ about, allocation_id }) => (
      <>
        <Link to={`/allocations/${allocation_id}`}>{about.allocation ?? allocation_id}</Link>
        <span class="cell-note">{about.node ?? 'no node yet'}</span>
      </>
    ),
  },
  {
    ...{ title: 'Resources', share: 2.2, wide: true },
    value: ({ resources: { gpu_count, cpu_cores } }) => gpu_count * 10_000 + cpu_cores,
    cell: ({ resources }) => shapeWords(resources),
  },
  {
    ...{ title: 'Endpoints', share: 1.1, wide: true },
    value: ({ host_ports }) => Object.values(host_ports).join(' '),
    cell: ({ host_ports }) =>
      Object.entries(host_ports)
        .map(([name, port]) => `${name} ${port}`)
        .join(', ') || <span class="muted">none</span>,
  },
  {
    ...{ title: 'Since', share: 1.1, wide: true, value: ({ state_since }) => Date.parse(state_since) },
    cell: ({ state_since }) => <Timestamp at={state_since} />,
  },
];
