/** The fleet: which hosts can take work, and what is not as it should be with the others (G-198). */
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import { words } from '../../lib/format.ts';
import { Link, useRoute } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { listPath, Pager } from '../../parts/pager.tsx';
import { QueryFilter } from '../../parts/query-filter.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { JoinButton } from './join-button.tsx';
import { cardKinds, type Node } from './node.ts';
import { Connected, Drift, Readiness, Standing } from './node-badges.tsx';

/** Being heard of is no event. */
export const refreshMs = 15_000;

export function NodesPage() {
  const { query } = useRoute();
  const nodes = useResource<{ items: Node[]; next: string | null }>(
    listPath('/api/v1/nodes', query, ['status', 'readiness']),
    {
      subjects: ['node'],
      everyMs: refreshMs,
    },
  );
  const allocations = useResource<{ items: Allocation[] }>('/api/v1/allocations?limit=500', {
    subjects: ['allocation'],
  });
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <Page
      title="Nodes"
      lead="Hosts, each serving one allocation."
      actions={isPlatform && <JoinButton allocations={allocations.data?.items ?? []} />}
    >
      <Shown of={nodes} title="The nodes cannot be shown.">
        {({ items, next }) => (
          <>
            <DataTable
              name="nodes"
              columns={columnsWith(new Map(allocations.data?.items.map(({ id, name }) => [id, name])))}
              items={items}
              keyOf={({ id }) => id}
              sorting={{ by: 'name', descending: false }}
              filters={
                <>
                  <QueryFilter
                    name="readiness"
                    all="Every readiness"
                    choices={choicesOf(['ready', 'not_ready', 'unknown'])}
                  />
                  <QueryFilter
                    name="status"
                    all="Every status"
                    choices={choicesOf(['enrolled', 'quarantined', 'revoked'])}
                  />
                </>
              }
              empty={
                <Empty icon="nodes" title={query.size > 0 ? 'No node is like this.' : 'No host has joined yet.'}>
                  {isPlatform && query.size === 0 && 'Give an allocation to a project, then add a host for it.'}
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

function choicesOf(values: readonly string[]) {
  return values.map((value) => ({ value, label: words(value) }));
}

function columnsWith(allocations: ReadonlyMap<string, string>): readonly Column<Node>[] {
  const allocationOf = ({ allocation_id: id }: Node) => allocations.get(id) ?? id;
  return [
    {
      ...{ key: 'name', title: 'Name', share: 1.8, value: (node) => `${node.name} ${node.id} ${allocationOf(node)}` },
      cell: (node) => (
        <>
          <Link to={`/nodes/${node.id}`}>{node.name}</Link>
          <span class="cell-note">{allocationOf(node)}</span>
        </>
      ),
    },
    {
      ...{ key: 'readiness', title: 'Readiness', share: 1.4, value: ({ readiness }) => readiness.state },
      cell: (node) => <Readiness node={node} />,
    },
    {
      ...{ key: 'connection', title: 'Connection', share: 1.75, wide: true },
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
      ...{ key: 'cards', title: 'Cards', share: 1.7, wide: true, value: (node) => cardKinds(node).join(' ') },
      cell: (node) => cardKinds(node).join(', ') || <span class="muted">none</span>,
    },
    {
      ...{ key: 'agent', title: 'Agent', share: 0.8, wide: true, value: ({ agent_version }) => agent_version },
      cell: ({ agent_version, behind }) => (
        <>
          {agent_version}
          {behind !== null && <span class="cell-note">behind {behind}</span>}
        </>
      ),
    },
    {
      ...{ key: 'drift', title: 'Drift', share: 1.1, wide: true, value: ({ drift }) => drift.length },
      cell: (node) => <Drift node={node} />,
    },
    {
      ...{ key: 'standing', title: 'State', share: 1.6, value: standingOf },
      cell: (node) => (standingOf(node) === '' ? <span class="muted">takes work</span> : <Standing node={node} />),
    },
    {
      ...{ key: 'probed', title: 'Last probe', share: 1.1, wide: true },
      value: ({ probed_at }) => (probed_at === null ? null : Date.parse(probed_at)),
      cell: ({ probed_at }) => (probed_at === null ? <span class="muted">never</span> : <Timestamp at={probed_at} />),
    },
  ];
}

function standingOf({ status, drain }: Node): string {
  return `${status === 'enrolled' ? '' : status}${drain ? ' draining' : ''}`.trim();
}
