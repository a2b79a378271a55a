/** Images that are registered: what they are, whether they are believed, and where they were promoted to (G-163…G-169). */
import { useState } from 'preact/hooks';
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { bytes, shortDigest } from '../../lib/format.ts';
import { Link, navigate, useRoute } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { listPath, Pager } from '../../parts/pager.tsx';
import { QueryFilter } from '../../parts/query-filter.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { channelsOf, Lifecycle, Trust } from './artifact-badges.tsx';
import { RegisterDialog } from './register-dialog.tsx';

export function ArtifactsPage() {
  const { query } = useRoute();
  const [isRegistering, setRegistering] = useState(false);
  const artifacts = useResource<{ items: ArtifactView[]; next: string | null }>(
    listPath('/api/v1/artifacts', query, ['lifecycle', 'trust']),
    { subjects: ['artifact'] },
  );
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <Page
      title="Artifacts"
      lead="Images that apps are launched from. Each is one digest in a registry; nothing else of it ever runs."
      actions={
        isPlatform && (
          <Button icon="plus" tone="primary" onClick={() => setRegistering(true)}>
            Register an image
          </Button>
        )
      }
    >
      <Shown of={artifacts} title="The artifacts cannot be shown.">
        {({ items, next }) => (
          <>
            <DataTable
              name="artifacts"
              columns={columns}
              items={items}
              keyOf={({ id }) => id}
              sorting={{ by: 'name', descending: false }}
              filters={
                <>
                  <QueryFilter name="lifecycle" all="Every lifecycle" choices={choicesOf(lifecycles)} />
                  <QueryFilter name="trust" all="Every trust" choices={choicesOf(trusts)} />
                </>
              }
              empty={
                <Empty
                  icon="artifacts"
                  title={query.size > 0 ? 'No artifact is like this.' : 'No image is registered yet.'}
                >
                  {isPlatform && query.size === 0 && 'Push an image to the registry, then register its digest.'}
                </Empty>
              }
            />
            <Pager next={next} />
          </>
        )}
      </Shown>
      {isRegistering && (
        <RegisterDialog onClose={() => setRegistering(false)} onRegistered={({ id }) => navigate(`/artifacts/${id}`)} />
      )}
    </Page>
  );
}

const lifecycles = ['published', 'promoted', 'deprecated', 'retired'];
const trusts = ['unverified', 'verified', 'failed', 'revoked'];

function choicesOf(values: readonly string[]) {
  return values.map((value) => ({ value, label: value }));
}

const columns: readonly Column<ArtifactView>[] = [
  {
    ...{ key: 'name', title: 'Name', share: 2.4, value: ({ name, digest }) => `${name} ${digest}` },
    cell: ({ id, name, digest }) => (
      <>
        <Link to={`/artifacts/${id}`}>{name}</Link>
        <span class="cell-note">
          <code>{shortDigest(digest)}</code>
        </span>
      </>
    ),
  },
  {
    ...{ key: 'lifecycle', title: 'Lifecycle', share: 1.4, value: ({ lifecycle }) => lifecycle },
    cell: (artifact) => <Lifecycle artifact={artifact} />,
  },
  {
    ...{ key: 'trust', title: 'Trust', share: 1.6, value: ({ trust }) => trust },
    cell: (artifact) => <Trust artifact={artifact} />,
  },
  {
    ...{
      key: 'channels',
      title: 'Channels',
      share: 1.6,
      wide: true,
      value: (artifact) => channelsOf(artifact).join(' '),
    },
    cell: (artifact) => channelsOf(artifact).join(', ') || <span class="muted">none</span>,
  },
  {
    ...{ key: 'launchable', title: 'Launches', share: 1.7, wide: true },
    value: ({ launchable }) => (launchable ? 'launchable' : 'not launchable'),
    cell: ({ launchable }) =>
      launchable ? (
        <Badge state="launchable" />
      ) : (
        <Badge state="not_launchable" tone="neutral" label="not launchable" />
      ),
  },
  {
    ...{ key: 'size', title: 'Size', share: 1, wide: true, value: ({ size_bytes }) => size_bytes },
    cell: ({ size_bytes }) => (size_bytes === null ? <span class="muted">unknown</span> : bytes(size_bytes)),
  },
  {
    ...{ key: 'changed', title: 'Changed', share: 1, wide: true, value: ({ updated_at }) => Date.parse(updated_at) },
    cell: ({ updated_at }) => <Timestamp at={updated_at} />,
  },
];
