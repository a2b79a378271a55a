/** One image: what it is, why it is believed, where it was promoted to, and what operators can decide about it. */
import type { ArtifactView } from '../../../server/artifacts/routes.ts';
import { bytes } from '../../lib/format.ts';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import { Facts, Page, Section, Shown } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { ArtifactActions } from './artifact-actions.tsx';
import { channelsOf, Lifecycle, Trust } from './artifact-badges.tsx';

export function ArtifactPage({ id }: { readonly id: string }) {
  const artifact = useResource<ArtifactView>(`/api/v1/artifacts/${encodeURIComponent(id)}`, { subjects: [id] });
  const { data } = artifact;
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  return (
    <Page
      title={data?.name ?? id}
      above={[{ title: 'Artifacts', to: '/artifacts' }]}
      badges={
        data && (
          <>
            <Lifecycle artifact={data} />
            <Trust artifact={data} />
          </>
        )
      }
      actions={data && isPlatform && <ArtifactActions artifact={data} onChange={artifact.reload} />}
    >
      <Shown of={artifact} title="The artifact cannot be shown.">
        {(shown) => (
          <div class="columns">
            <div class="stack">
              <Image artifact={shown} />
              <Provenance artifact={shown} />
            </div>
            <div class="stack">
              <Endings artifact={shown} />
              <Belief artifact={shown} />
              <Promotions artifact={shown} />
            </div>
          </div>
        )}
      </Shown>
    </Page>
  );
}

interface ShownProps {
  readonly artifact: ArtifactView;
}

function Image({ artifact }: ShownProps) {
  const { repository, digest, platform_digest, media_type, size_bytes, created_at } = artifact;
  return (
    <Section title="Image">
      <Facts
        facts={[
          ['Repository', repository],
          ['Digest', <CopyText key="digest" what="the digest" text={digest} />],
          [
            'Runs as',
            platform_digest === null || platform_digest === digest ? null : (
              <CopyText key="runs" what="the digest that runs" text={platform_digest} />
            ),
          ],
          ['Media type', media_type],
          ['Size', size_bytes === null ? 'not known before it is verified' : bytes(size_bytes)],
          ['Registered', <Timestamp key="at" at={created_at} />],
        ]}
      />
    </Section>
  );
}

/** Why nothing new shall run from it. */
function Endings({ artifact: { endings = [] } }: ShownProps) {
  return (
    <>
      {endings.map(({ became, reason, at, actor }) => (
        <p key={became} class="notice notice-warning">
          <strong>It was {became}.</strong> Reason: {reason}{' '}
          <span class="muted">
            by token {actor}, <Timestamp at={at} />
          </span>
        </p>
      ))}
    </>
  );
}

function Belief({ artifact: { launchable, why_not, verification, trust } }: ShownProps) {
  return (
    <Section
      title="Trust"
      actions={
        launchable ? (
          <Badge state="launchable" />
        ) : (
          <Badge state="not_launchable" tone="warning" label="not launchable" title={why_not.join(', ')} />
        )
      }
    >
      {verification ? (
        <Facts
          facts={[
            ['Last look', <Timestamp key="at" at={verification.at} />],
            ['Found', verification.message],
            ['By token', verification.actor],
          ]}
        />
      ) : (
        <p class="muted">
          {trust === 'revoked' ? 'The trust in it was taken back.' : 'The registry was not asked about it yet.'}
        </p>
      )}
    </Section>
  );
}

function Promotions({ artifact }: ShownProps) {
  const { promotions } = artifact;
  return (
    <Section title="Promotions" actions={<span class="muted">{channelsOf(artifact).join(' → ')}</span>}>
      {promotions.length === 0 ? (
        <p class="muted">Nobody has vouched for it on a channel yet.</p>
      ) : (
        <ul class="lines">
          {promotions.toReversed().map(({ channel, at, actor, correlation_id }) => (
            <li key={`${channel}${correlation_id}`}>
              <strong>{channel}</strong>
              <span class="muted">
                by token {actor}, <Timestamp at={at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Provenance({ artifact: { provenance } }: ShownProps) {
  const { source, revision, builder, built_at } = provenance;
  const isSilent = [source, revision, builder, built_at].every((each) => each === null);
  return (
    <Section title="Provenance">
      {isSilent ? (
        <p class="muted">Its publisher did not say where it comes from.</p>
      ) : (
        <Facts
          facts={[
            ['Source', source],
            ['Revision', revision],
            ['Builder', builder],
            ['Built', built_at && <Timestamp key="at" at={built_at} />],
          ]}
        />
      )}
    </Section>
  );
}
