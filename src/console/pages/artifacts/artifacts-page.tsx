/** Images that are registered: what they are, whether they are believed, and where they were promoted to (G-163…G-169). */
import { useState } from 'preact/hooks';
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { bytes, shortDigest } from '../../lib/format.ts';
import { Link, navigate } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import type { Column } from '../../parts/data-table.tsx';
import { inWords, ListPage } from '../../parts/list-page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { channelsOf, Lifecycle, Trust } from './artifact-badges.tsx';
import { RegisterDialog } from './register-dialog.tsx';

export function ArtifactsPage() {
  const [isRegistering, setRegistering] = useState(false);
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <ListPage<ArtifactView>
      title="Artifacts"
      lead="Images that apps are launched from. Each is one digest in a registry; nothing else of it ever runs."
      actions={
        isPlatform && (
          <Button icon="plus" tone="primary" onClick={() => setRegistering(true)}>
            Register an image
          </Button>
        )
      }
      path="/api/v1/artifacts"
      asked={['lifecycle', 'trust']}
      options={{ subjects: ['artifact'] }}
      name="artifacts"
      one="artifact"
      columns={columns}
      sorting={{ by: 'Name', descending: false }}
      filters={() => [
        {
          ...{ name: 'lifecycle', all: 'Every lifecycle' },
          choices: inWords('published', 'promoted', 'deprecated', 'retired'),
        },
        { name: 'trust', all: 'Every trust', choices: inWords('unverified', 'verified', 'failed', 'revoked') },
      ]}
      icon="artifacts"
      none="No image is registered yet."
      hint={isPlatform && 'Push an image to the registry, then register its digest.'}
    >
      {isRegistering && (
        <RegisterDialog onClose={() => setRegistering(false)} onRegistered={({ id }) => navigate(`/artifacts/${id}`)} />
      )}
    </ListPage>
  );
}

const columns: readonly Column<ArtifactView>[] = [
  {
    ...{ title: 'Name', share: 2.4, value: ({ name, digest }) => `${name} ${digest}` },
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
    ...{ title: 'Lifecycle', share: 1.4, value: ({ lifecycle }) => lifecycle },
    cell: (artifact) => <Lifecycle artifact={artifact} />,
  },
  {
    ...{ title: 'Trust', share: 1.6, value: ({ trust }) => trust },
    cell: (artifact) => <Trust artifact={artifact} />,
  },
  {
    ...{
      title: 'Channels',
      share: 1.6,
      wide: true,
      value: (artifact) => channelsOf(artifact).join(' '),
    },
    cell: (artifact) => channelsOf(artifact).join(', ') || <span class="muted">none</span>,
  },
  {
    ...{ title: 'Launches', share: 1.7, wide: true },
    value: ({ launchable }) => (launchable ? 'launchable' : 'not launchable'),
    cell: ({ launchable }) =>
      launchable ? (
        <Badge state="launchable" />
      ) : (
        <Badge state="not_launchable" tone="neutral" label="not launchable" />
      ),
  },
  {
    ...{ title: 'Size', wide: true, value: ({ size_bytes }) => size_bytes },
    cell: ({ size_bytes }) => (size_bytes === null ? <span class="muted">unknown</span> : bytes(size_bytes)),
  },
  {
    ...{ title: 'Changed', wide: true, value: ({ updated_at }) => Date.parse(updated_at) },
    cell: ({ updated_at }) => <Timestamp at={updated_at} />,
  },
];
