/** What runs on a host, as the host itself last said. */
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { counted } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Section } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import type { Node } from './node.ts';

type Workload = NonNullable<Node['topology']>['workloads'][number];

export function Workloads({ node: { topology, allocation_id } }: { readonly node: Node }) {
  const path = `/api/v1/app-instances?limit=500&allocation_id=${allocation_id}`;
  const instances = useResource<{ items: InstanceView[] }>(path, { subjects: ['app_instance'] });
  const workloads = topology?.workloads ?? [];
  return (
    <Section
      title="What runs there"
      actions={
        topology && (
          <span class="muted">
            looked at <Timestamp at={topology.at} />
          </span>
        )
      }
    >
      {workloads.length === 0 ? (
        <Empty icon="instances" title="Nothing of ours runs there." />
      ) : (
        <DataTable
          name="workloads"
          columns={columnsWith(new Map(instances.data?.items.map(({ id, display_name }) => [id, display_name])))}
          items={workloads}
          keyOf={({ workload_id }) => workload_id}
          empty=""
        />
      )}
    </Section>
  );
}

/** What nobody may see, or nobody has launched from here, has no name and leads nowhere. */
const columnsWith = (names: ReadonlyMap<string, string>): readonly Column<Workload>[] => [
  {
    ...{ title: 'Instance', share: 2.4, value: ({ workload_id: id }) => `${names.get(id) ?? ''} ${id}` },
    cell: ({ workload_id: id }) => (names.has(id) ? <Link to={`/instances/${id}`}>{names.get(id)}</Link> : id),
  },
  {
    ...{ title: 'State', share: 1.2, value: ({ state }) => state },
    cell: ({ state }) => <Badge state={state} />,
  },
  {
    ...{ title: 'Endpoints', share: 1.2, wide: true },
    value: ({ endpoints }) => endpoints.map(({ name, port }) => `${name} ${port}`).join(', '),
  },
  {
    ...{ title: 'Cards', share: 0.8, wide: true, value: ({ gpus = [] }) => gpus.length },
    cell: ({ gpus = [] }) => gpus.length || <span class="muted">none</span>,
  },
  {
    ...{ title: 'Restarts', share: 0.8, wide: true, value: ({ restarts }) => restarts },
    cell: ({ restarts }) => (restarts > 0 ? counted(restarts, 'restart') : <span class="muted">none</span>),
  },
  {
    ...{ title: 'Since', value: ({ since }) => Date.parse(since) },
    cell: ({ since }) => <Timestamp at={since} />,
  },
];
