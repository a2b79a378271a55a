/** All instances that one may see, live (G-222, G-224, G-227). */
import type { InstanceState } from '../../../contract/instance-state.ts';
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import type { Project } from '../../../server/db/entities/project.ts';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { words } from '../../lib/format.ts';
import { Link, useRoute } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { listPath, Pager } from '../../parts/pager.tsx';
import { QueryFilter } from '../../parts/query-filter.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { shapeWords } from '../allocations/shape-words.ts';

interface Instances {
  readonly items: readonly InstanceView[];
  readonly next: string | null;
}

/** Named here, as the table of the contract would bring all that describes its schema. */
const states: Readonly<Record<InstanceState, true>> = {
  ...{ requested: true, deploying: true, running: true, degraded: true, stopping: true, stopped: true },
  ...{ starting: true, restarting: true, decommissioning: true, decommissioned: true, failed: true, unknown: true },
};

export function InstancesPage() {
  const { query } = useRoute();
  const isPlatform = theSession().project === null;
  const instances = useResource<Instances>(
    listPath('/api/v1/app-instances', query, ['state', 'project_id', 'allocation_id']),
    { subjects: ['app_instance'] },
  );
  const projects = useResource<{ items: Project[] }>(isPlatform ? '/api/v1/projects?limit=500' : null);
  const allocations = useResource<{ items: Allocation[] }>('/api/v1/allocations?limit=500');
  const projectNames = new Map(projects.data?.items.map(({ id, display_name }) => [id, display_name]));
  const filters = (
    <>
      <QueryFilter name="state" all="All states" choices={Object.keys(states).map(asChoice)} />
      {isPlatform && <QueryFilter name="project_id" all="All projects" choices={[...projectNames].map(namedChoice)} />}
      <QueryFilter
        name="allocation_id"
        all="All allocations"
        choices={(allocations.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name }))}
      />
      <QueryFilter name="app" all="All apps" choices={appsOf(instances.data?.items ?? [])} />
    </>
  );
  return (
    <Page
      title="Instances"
      lead={isPlatform ? 'What runs, ran, or shall run, of all projects.' : 'What runs, ran, or shall run.'}
      actions={
        whyNotMember(theSession()) === undefined && (
          <Link class="button button-primary" to="/">
            Launch an app
          </Link>
        )
      }
    >
      <Shown of={instances} title="The instances cannot be shown.">
        {({ items, next }) => (
          <>
            <DataTable
              name="instances"
              columns={
                isPlatform ? [...columns.slice(0, 2), projectColumn(projectNames), ...columns.slice(2)] : columns
              }
              items={items.filter(({ app_slug }) => app_slug === (query.get('app') ?? app_slug))}
              keyOf={({ id }) => id}
              filters={filters}
              empty={
                <Empty
                  icon="instances"
                  title={query.size > 0 ? 'No instance is like this.' : 'Nothing was launched yet.'}
                >
                  {query.size > 0 ? 'Choose other filters.' : <Link to="/">Choose an app of the catalog</Link>}
                </Empty>
              }
            />
            <Pager next={next} />
          </>
        )}
      </Shown>
    </Page>
  );
}

const columns: readonly Column<InstanceView>[] = [
  {
    ...{ key: 'name', title: 'Name', share: 2.3, value: ({ display_name, id }) => `${display_name} ${id}` },
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
    ...{ key: 'state', title: 'State', share: 2, value: ({ state }) => words(state) },
    cell: ({ state, failure, summary }) => <Badge state={state} title={failure?.message ?? summary} />,
  },
  {
    ...{ key: 'allocation', title: 'Allocation', share: 1.6, wide: true, value: ({ about }) => about.allocation },
    cell: ({ about, allocation_id }) => (
      <>
        <Link to={`/allocations/${allocation_id}`}>{about.allocation ?? allocation_id}</Link>
        <span class="cell-note">{about.node ?? 'no node yet'}</span>
      </>
    ),
  },
  {
    ...{ key: 'resources', title: 'Resources', share: 2.2, wide: true },
    value: ({ resources: { gpu_count, cpu_cores } }) => gpu_count * 10_000 + cpu_cores,
    cell: ({ resources }) => shapeWords(resources),
  },
  {
    ...{ key: 'endpoints', title: 'Endpoints', share: 1.1, wide: true },
    value: ({ host_ports }) => Object.values(host_ports).join(' '),
    cell: ({ host_ports }) =>
      Object.entries(host_ports)
        .map(([name, port]) => `${name} ${port}`)
        .join(', ') || <span class="muted">none</span>,
  },
  {
    ...{ key: 'since', title: 'Since', share: 1.1, wide: true, value: ({ state_since }) => Date.parse(state_since) },
    cell: ({ state_since }) => <Timestamp at={state_since} />,
  },
];

function projectColumn(names: ReadonlyMap<string, string>): Column<InstanceView> {
  const nameOf = ({ project_id: id }: InstanceView) => names.get(id) ?? id;
  return { key: 'project', title: 'Project', share: 1.2, wide: true, value: nameOf, cell: nameOf };
}

function appsOf(items: readonly InstanceView[]) {
  return [...new Map(items.map(({ app_slug, about }) => [app_slug, about.app ?? app_slug]))].map(namedChoice);
}

function asChoice(state: string) {
  return { value: state, label: words(state) };
}

function namedChoice([value, label]: readonly [string, string]) {
  return { value, label };
}
