/** One allocation: what it is, what of it is promised, what runs on it, and its end (G-224). */
import { useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import type { AllocationDetail } from '../../../server/resources/allocations.ts';
import { api } from '../../lib/api.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Meter } from '../../parts/meter.tsx';
import { Facts, Page, Section, Shown } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { JoinButton } from '../nodes/join-button.tsx';
import type { Node } from '../nodes/node.ts';
import { shapeWords } from './shape-words.ts';

export function AllocationPage({ id }: { readonly id: string }) {
  const path = `/api/v1/allocations/${encodeURIComponent(id)}`;
  const allocation = useResource<AllocationDetail>(path, { subjects: [id, 'app_instance', 'node'] });
  const [isEnding, setEnding] = useState(false);
  const { data } = allocation;
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <Page
      title={data?.name ?? id}
      above={[{ title: 'Allocations', to: '/allocations' }]}
      badges={data && <Badge state={data.state} />}
      actions={
        data &&
        isPlatform && (
          <>
            {data.state === 'active' && <JoinButton allocations={[data]} />}
            {(data.state === 'active' || data.wipe?.state === 'failed') && (
              <Button tone="danger" onClick={() => setEnding(true)}>
                Release
              </Button>
            )}
          </>
        )
      }
    >
      <Shown of={allocation} title="The allocation cannot be shown.">
        {(shown) => (
          <div class="stack">
            <div class="columns">
              <About allocation={shown} />
              <Capacity allocation={shown} />
            </div>
            <Instances allocationId={id} />
          </div>
        )}
      </Shown>
      {isEnding && data && (
        <ConfirmDialog
          title={`Release: ${data.name}`}
          confirm="Release the allocation"
          tone="danger"
          onConfirm={async () => {
            await api.post(`${path}/end`);
            announce('The allocation is being released.');
            allocation.reload();
          }}
          onClose={() => setEnding(false)}
        >
          <p>
            All its instances are decommissioned, and nothing new starts on it.{' '}
            {data.data_policy === 'keep' ? 'Their data is kept on the host.' : 'Their data is wiped.'} This cannot be
            undone.
          </p>
        </ConfirmDialog>
      )}
    </Page>
  );
}

interface ShownProps {
  readonly allocation: AllocationDetail;
}

function About({ allocation }: ShownProps) {
  const { id, node_id, ssh, project_storage, created_at, ended_at, shape } = allocation;
  const node = useResource<Node>(node_id && `/api/v1/nodes/${node_id}`);
  return (
    <Section title="Allocation">
      <Facts
        facts={[
          ['Size', shapeWords(shape)],
          [
            'Host',
            node_id === null ? (
              'none has joined yet'
            ) : (
              <Link key="node" to={`/nodes/${node_id}`}>
                {node.data?.name ?? node_id}
              </Link>
            ),
          ],
          ['Login', ssh && `${ssh.user}@${ssh.host}${ssh.port === 22 ? '' : `, port ${ssh.port}`}`],
          ['Project storage', project_storage ? 'can be mounted' : 'cannot be mounted'],
          ['At its end', atItsEnd(allocation)],
          ['Given', <Timestamp key="given" at={created_at} />],
          ['Ended', ended_at && <Timestamp key="ended" at={ended_at} />],
          ['Id', <CopyText key="id" what="the id" text={id} />],
        ]}
      />
    </Section>
  );
}

function atItsEnd({ data_policy, wipe }: AllocationDetail): string {
  if (wipe?.state === 'failed') return `data is not wiped yet: ${wipe.reason}`;
  if (wipe) return wipe.state === 'done' ? 'its host has wiped the data' : 'its host wipes the data';
  return data_policy === 'keep' ? 'data is kept' : 'data is wiped';
}

const amountNames = { gpu_count: 'GPUs', cpu_cores: 'Processor', memory_gib: 'Memory' } as const;

function Capacity({ allocation: { shape, free, excess } }: ShownProps) {
  return (
    <Section title="Capacity">
      <div class="stack">
        {shape.gpu_count > 0 && (
          <Meter label="GPUs" unit="GPUs" total={shape.gpu_count} used={shape.gpu_count - free.gpu_count} />
        )}
        <Meter label="Processor" unit="cores" total={shape.cpu_cores} used={shape.cpu_cores - free.cpu_cores} />
        <Meter label="Memory" unit="GiB" total={shape.memory_gib} used={shape.memory_gib - free.memory_gib} />
        {excess.map(({ name, asked, have }) => (
          <p key={name} class="notice notice-warning">
            {amountNames[name]}: it promises {asked}, and its host has {have}.
          </p>
        ))}
      </div>
    </Section>
  );
}

function Instances({ allocationId }: { readonly allocationId: string }) {
  const path = `/api/v1/app-instances?limit=500&allocation_id=${encodeURIComponent(allocationId)}`;
  const instances = useResource<{ items: InstanceView[] }>(path, { subjects: ['app_instance'] });
  return (
    <Section title="Instances">
      <Shown of={instances} title="Its instances cannot be shown.">
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="instances" title="Nothing was launched on it yet." />
          ) : (
            <DataTable name="instances" columns={columns} items={items} keyOf={({ id }) => id} empty="" />
          )
        }
      </Shown>
    </Section>
  );
}

const columns: readonly Column<InstanceView>[] = [
  {
    ...{ title: 'Name', share: 2, value: ({ display_name }) => display_name },
    cell: ({ id, display_name, about, app_slug }) => (
      <>
        <Link to={`/instances/${id}`}>{display_name}</Link>
        <span class="cell-note">{about.app ?? app_slug}</span>
      </>
    ),
  },
  {
    ...{ title: 'State', share: 1.4, value: ({ state }) => state },
    cell: ({ state }) => <Badge state={state} />,
  },
  {
    ...{ title: 'Resources', share: 2, wide: true, value: ({ resources }) => resources.cpu_cores },
    cell: ({ resources }) => shapeWords(resources),
  },
  {
    ...{ title: 'Since', value: ({ state_since }) => Date.parse(state_since) },
    cell: ({ state_since }) => <Timestamp at={state_since} />,
  },
];
