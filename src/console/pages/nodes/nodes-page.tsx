/** The fleet: which hosts can take work, and what is not as it should be with the others (G-198). */
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import type { Column } from '../../parts/data-table.tsx';
import { inWords, ListPage } from '../../parts/list-page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { JoinButton } from './join-button.tsx';
import { cardKinds, type Node } from './node.ts';
import { Connected, Drift, Readiness, Standing } from './node-badges.tsx';

/** Being heard of is no event. */
export const refreshMs = 15_000;

export function NodesPage() {
  const { data } = useResource<{ items: Allocation[] }>('/api/v1/allocations?limit=500', { subjects: ['allocation'] });
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <ListPage<Node>
      title="Nodes"
      lead="Hosts, each serving one allocation."
      actions={isPlatform && <JoinButton allocations={data?.items ?? []} />}
      path="/api/v1/nodes"
      asked={['status', 'readiness']}
      options={{ subjects: ['node'], everyMs: refreshMs }}
      name="nodes"
      one="node"
      columns={columnsWith(new Map(data?.items.map(({ id, name }) => [id, name])))}
      sorting={{ by: 'Name', descending: false }}
      filters={() => [
        { name: 'readiness', all: 'Every readiness', choices: inWords('ready', 'not_ready', 'unknown') },
        { name: 'status', all: 'Every status', choices: inWords('enrolled', 'quarantined', 'revoked') },
      ]}
      icon="nodes"
      none="No host has joined yet."
      hint={isPlatform && 'Give an allocation to a project, then add a host for it.'}
    />
  );
}

function columnsWith(allocations: ReadonlyMap<string, string>): readonly Column<Node>[] {
  const allocationOf = ({ allocation_id: id }: Node) => allocations.get(id) ?? id;
  return [
    {
      ...{ title: 'Name', share: 1.8, value: (node) => `${node.name} ${node.id} ${allocationOf(node)}` },
      cell: (node) => (
        <>
          <Link to={`/nodes/${node.id}`}>{node.name}</Link>
          <span class="cell-note">{allocationOf(node)}</span>
        </>
      ),
    },
    {
      ...{ title: 'Readiness', share: 1.4, value: ({ readiness }) => readiness.state },
      cell: (node) => <Readiness node={node} />,
    },
    {
      ...{ title: 'Connection', share: 1.75, wide: true },
      value: ({ connected }) => (connected ? 'connected' : 'disconnected'),
      cell: (node) => (
        <>
          <Connected node={node} />
          {!node.connected && node.last_seen_at !== null && (
            <span class="cell-note">
              seen <Timestamp at={node.last_seen_at} />
            </span>
          )}
        </>
      ),
    },
    {
      ...{ title: 'Cards', share: 1.7, wide: true, value: (node) => cardKinds(node).join(' ') },
      cell: (node) => cardKinds(node).join(', ') || <span class="muted">none</span>,
    },
    {
      ...{ title: 'Agent', share: 0.8, wide: true, value: ({ agent_version }) => agent_version },
      cell: ({ agent_version, behind }) => (
        <>
          {agent_version}
          {behind !== null && <span class="cell-note">behind {behind}</span>}
        </>
      ),
    },
    {
      ...{ title: 'Drift', share: 1.1, wide: true, value: ({ drift }) => drift.length },
      cell: (node) => <Drift node={node} />,
    },
    {
      ...{ title: 'State', share: 1.6, value: standingOf },
      cell: (node) => (standingOf(node) === '' ? <span class="muted">takes work</span> : <Standing node={node} />),
    },
    {
      ...{ title: 'Last probe', share: 1.1, wide: true },
      value: ({ probed_at }) => (probed_at === null ? null : Date.parse(probed_at)),
      cell: ({ probed_at }) => (probed_at === null ? <span class="muted">never</span> : <Timestamp at={probed_at} />),
    },
  ];
}

function standingOf({ status, drain }: Node): string {
  return `${status === 'enrolled' ? '' : status}${drain ? ' draining' : ''}`.trim();
}
