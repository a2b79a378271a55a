/** One host: whether it can take work and why not, what it has, what runs there, and what operators can decide. */
import type { Allocation } from '../../../server/db/entities/allocation.ts';
import { words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { CopyText } from '../../parts/copy-text.tsx';
import { Facts, Page, Section, Shown } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import type { Node } from './node.ts';
import { NodeActions } from './node-actions.tsx';
import { Connected, Readiness, Standing } from './node-badges.tsx';
import { Cards, Kept, Resources, Runtimes } from './node-inventory.tsx';
import { Workloads } from './node-workloads.tsx';
import { refreshMs } from './nodes-page.tsx';
import './nodes.css';

export function NodePage({ id }: { readonly id: string }) {
  const node = useResource<Node>(`/api/v1/nodes/${encodeURIComponent(id)}`, { subjects: [id], everyMs: refreshMs });
  const { data } = node;
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <Page
      title={data?.name ?? id}
      above={[{ title: 'Nodes', to: '/nodes' }]}
      badges={
        data && (
          <>
            <Readiness node={data} />
            <Connected node={data} />
            <Standing node={data} />
          </>
        )
      }
      actions={data && isPlatform && <NodeActions node={data} onChange={node.reload} />}
    >
      <Shown of={node} title="The node cannot be shown.">
        {(view) => <Parts node={view} />}
      </Shown>
    </Page>
  );
}

function Parts({ node: shown }: { readonly node: Node }) {
  return (
    <div class="stack">
      <Trouble node={shown} />
      <div class="columns">
        <div class="stack">
          <Host node={shown} />
          <Runtimes node={shown} />
        </div>
        <div class="stack">
          <Resources node={shown} />
          <Cards node={shown} />
          <Kept node={shown} />
        </div>
      </div>
      <Workloads node={shown} />
    </div>
  );
}

/** Why it takes no work, and where it is not as it should be. */
function Trouble({ node: { readiness, status_reason, drift, inventory } }: { readonly node: Node }) {
  const findings = inventory?.health?.findings ?? [];
  const reasons = [...readiness.reasons, ...(status_reason === null ? [] : [status_reason])];
  if (reasons.length === 0 && drift.length === 0 && findings.length === 0) return null;
  return (
    <Section title="What is not as it should be">
      <ul class="trouble">
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
        {drift.map(({ what, expected, found, remedy }) => (
          <li key={what}>
            <strong>{what}</strong> is {found}, and should be {expected}.<div class="muted">{remedy}</div>
          </li>
        ))}
        {findings.map(({ name, status, found, fix }) => (
          <li key={name}>
            {status === 'fail' ? <strong>{found}</strong> : found}
            <div class="muted">
              {fix} ({name})
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** How far it is, or how it ended and why. */
function Update({ version, state, phase, bytes, bytes_total, since, failure }: NonNullable<Node['update']>) {
  const part = bytes !== undefined && bytes_total ? ` ${Math.floor((bytes / bytes_total) * 100)} %` : '';
  return (
    <div role="status">
      to {version}: {words(state === 'running' && phase !== null ? phase : state)}
      {part}, <Timestamp at={since} />
      {failure && (
        <div class="muted">
          {failure.message} {failure.hint}
        </div>
      )}
    </div>
  );
}

function Host({ node }: { readonly node: Node }) {
  const {
    inventory,
    agent_version,
    behind,
    channel,
    canary,
    update,
    enrolled_at,
    last_seen_at,
    probed_at,
    allocation_id,
  } = node;
  const allocation = useResource<Allocation>(`/api/v1/allocations/${allocation_id}`, { subjects: [allocation_id] });
  return (
    <Section title="Host">
      <Facts
        facts={[
          [
            'Allocation',
            <Link key="allocation" to={`/allocations/${allocation_id}`}>
              {allocation.data?.name ?? allocation_id}
            </Link>,
          ],
          ['Host name', inventory?.hostname],
          ['System', inventory && `${inventory.os}, kernel ${inventory.kernel}, ${inventory.arch}`],
          ['Agent', behind === null ? agent_version : `${agent_version}, behind ${behind}`],
          ['Channel', canary ? `${channel}, as a canary` : channel],
          ['Update', update && <Update key="update" {...update} />],
          ['User', inventory?.ssh_user],
          ['Last probe', probed_at && <Timestamp key="probed" at={probed_at} />],
          ['Last seen', last_seen_at && <Timestamp key="seen" at={last_seen_at} />],
          ['Enrolled', <Timestamp key="enrolled" at={enrolled_at} />],
          ['Id', <CopyText key="id" what="the id" text={node.id} />],
        ]}
      />
    </Section>
  );
}
