/** Shares of the fleet, given to projects. */
import type { AllocationView } from '../../../server/resources/allocations.ts';
import { Link } from '../../lib/router.tsx';
import { theSession } from '../../lib/session.ts';
import { Badge } from '../../parts/badge.tsx';
import type { Column } from '../../parts/data-table.tsx';
import { inWords, ListPage, projectColumn, useNames } from '../../parts/list-page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { shapeWords } from './shape-words.ts';

export function AllocationsPage() {
  const isPlatform = theSession().project === null;
  const projects = useNames(isPlatform ? '/api/v1/projects' : null);
  return (
    <ListPage<AllocationView>
      title="Allocations"
      lead={`Hosts, or parts of one, that ${isPlatform ? 'were given to projects' : 'your project may use'}.`}
      path="/api/v1/allocations"
      asked={['state', 'project_id']}
      options={{ subjects: ['allocation', 'node'] }}
      name="allocations"
      one="allocation"
      columns={isPlatform ? [...columns.slice(0, 2), projectColumn(projects), ...columns.slice(2)] : columns}
      filters={() => [
        { name: 'state', all: 'All states', choices: inWords('active', 'releasing', 'ended') },
        ...(isPlatform ? [{ name: 'project_id', all: 'All projects', choices: projects }] : []),
      ]}
      icon="allocations"
      none="There is no allocation yet."
      hint={isPlatform ? 'Give one to a project: gpuaas allocations create.' : 'Ask your operator for one.'}
    />
  );
}

const columns: readonly Column<AllocationView>[] = [
  {
    ...{ title: 'Name', share: 2, value: ({ name, id }) => `${name} ${id}` },
    cell: ({ id, name }) => <Link to={`/allocations/${id}`}>{name}</Link>,
  },
  {
    ...{ title: 'State', share: 1.2, value: ({ state }) => state },
    cell: ({ state }) => <Badge state={state} />,
  },
  {
    ...{ title: 'Size', share: 2.2, value: ({ shape }) => shape.gpu_count * 10_000 + shape.cpu_cores },
    cell: ({ shape, excess }) => (
      <span title={excess.length > 0 ? 'Its host has less than this.' : undefined}>{shapeWords(shape)}</span>
    ),
  },
  {
    ...{ title: 'Host', share: 1.2, wide: true, value: ({ node_id }) => (node_id === null ? 'none' : 'joined') },
    cell: ({ node_id }) =>
      node_id === null ? (
        <Badge state="no_host" tone="warning" label="no host yet" />
      ) : (
        <Link to={`/nodes/${node_id}`}>its node</Link>
      ),
  },
  {
    ...{ title: 'Project storage', share: 1.3, wide: true },
    value: ({ project_storage }) => (project_storage ? 'yes' : 'no'),
  },
  {
    ...{ title: 'Given', wide: true, value: ({ created_at }) => Date.parse(created_at) },
    cell: ({ created_at }) => <Timestamp at={created_at} />,
  },
];
