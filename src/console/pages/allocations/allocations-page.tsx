/** Shares of the fleet, given to projects. */
import type { Project } from '../../../server/db/entities/project.ts';
import type { AllocationView } from '../../../server/resources/allocations.ts';
import { Link, useRoute } from '../../lib/router.tsx';
import { theSession } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { listPath, Pager } from '../../parts/pager.tsx';
import { QueryFilter } from '../../parts/query-filter.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { shapeWords } from './shape-words.ts';

export function AllocationsPage() {
  const { query } = useRoute();
  const isPlatform = theSession().project === null;
  const allocations = useResource<{ items: AllocationView[]; next: string | null }>(
    listPath('/api/v1/allocations', query, ['state', 'project_id']),
    { subjects: ['allocation', 'node'] },
  );
  const projects = useResource<{ items: Project[] }>(isPlatform ? '/api/v1/projects?limit=500' : null);
  const names = new Map(projects.data?.items.map(({ id, display_name }) => [id, display_name]));
  return (
    <Page
      title="Allocations"
      lead={
        isPlatform
          ? 'Hosts, or parts of one, that were given to projects.'
          : 'Hosts, or parts of one, that your project may use.'
      }
    >
      <Shown of={allocations} title="The allocations cannot be shown.">
        {({ items, next }) => (
          <>
            <DataTable
              name="allocations"
              columns={isPlatform ? [...columns.slice(0, 2), projectColumn(names), ...columns.slice(2)] : columns}
              items={items}
              keyOf={({ id }) => id}
              filters={
                <>
                  <QueryFilter
                    name="state"
                    all="All states"
                    choices={['active', 'releasing', 'ended'].map((value) => ({ value, label: value }))}
                  />
                  {isPlatform && (
                    <QueryFilter
                      name="project_id"
                      all="All projects"
                      choices={[...names].map(([value, label]) => ({ value, label }))}
                    />
                  )}
                </>
              }
              empty={
                <Empty
                  icon="allocations"
                  title={query.size > 0 ? 'No allocation is like this.' : 'There is no allocation yet.'}
                >
                  {query.size === 0 &&
                    (isPlatform ? 'Give one to a project: gpuaas allocations create.' : 'Ask your operator for one.')}
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

const columns: readonly Column<AllocationView>[] = [
  {
    ...{ key: 'name', title: 'Name', share: 2, value: ({ name, id }) => `${name} ${id}` },
    cell: ({ id, name }) => <Link to={`/allocations/${id}`}>{name}</Link>,
  },
  {
    ...{ key: 'state', title: 'State', share: 1.2, value: ({ state }) => state },
    cell: ({ state }) => <Badge state={state} />,
  },
  {
    ...{ key: 'shape', title: 'Size', share: 2.2, value: ({ shape }) => shape.gpu_count * 10_000 + shape.cpu_cores },
    cell: ({ shape, excess }) => (
      <span title={excess.length > 0 ? 'Its host has less than this.' : undefined}>{shapeWords(shape)}</span>
    ),
  },
  {
    ...{
      key: 'node',
      title: 'Host',
      share: 1.2,
      wide: true,
      value: ({ node_id }) => (node_id === null ? 'none' : 'joined'),
    },
    cell: ({ node_id }) =>
      node_id === null ? (
        <Badge state="no_host" tone="warning" label="no host yet" />
      ) : (
        <Link to={`/nodes/${node_id}`}>its node</Link>
      ),
  },
  {
    ...{ key: 'storage', title: 'Project storage', share: 1.3, wide: true },
    value: ({ project_storage }) => (project_storage ? 'yes' : 'no'),
    cell: ({ project_storage }) => (project_storage ? 'yes' : <span class="muted">no</span>),
  },
  {
    ...{ key: 'created', title: 'Given', share: 1, wide: true, value: ({ created_at }) => Date.parse(created_at) },
    cell: ({ created_at }) => <Timestamp at={created_at} />,
  },
];

function projectColumn(names: ReadonlyMap<string, string>): Column<AllocationView> {
  const nameOf = ({ project_id: id }: AllocationView) => names.get(id) ?? id;
  return { key: 'project', title: 'Project', share: 1.3, wide: true, value: nameOf, cell: nameOf };
}
