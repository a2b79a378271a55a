/** One app: its versions, and what the chosen one is, runs on, opens and needs (G-147, G-222). */
import type { AppCard } from '../../../server/catalog/views.ts';
import { Link, navigate, useRoute } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Section, Shown } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { bestOf } from './catalog-page.tsx';
import { LaunchButton, Reasons } from './launch-button.tsx';
import { Preview } from './preview.tsx';
import { Release } from './release.tsx';
import { SupportBadge } from './support-badge.tsx';

export function AppPage({ slug }: { readonly slug: string }) {
  const app = useResource<AppCard>(`/api/v1/catalog/apps/${encodeURIComponent(slug)}`, {
    subjects: [slug, 'app_version', 'artifact'],
  });
  const { query } = useRoute();
  const versions = app.data?.versions ?? [];
  const shown = versions.find(({ version }) => version === query.get('version')) ?? bestOf(versions);
  const name = app.data?.display_name ?? slug;
  return (
    <Page
      title={name}
      above={[{ title: 'Catalog', to: '/' }]}
      lead={app.data?.summary}
      badges={shown && <SupportBadge level={shown.support_level} />}
      actions={shown && <LaunchButton {...{ slug, name, version: shown.version, reasons: shown.reasons }} />}
    >
      <Shown of={app} title="The app cannot be shown.">
        {() =>
          shown ? (
            <div class="stack">
              {shown.reasons.length > 0 && (
                <div class="notice notice-warning">
                  <Reasons of={shown.reasons} />
                </div>
              )}
              <Versions slug={slug} versions={versions} shown={shown.version} />
              <Release slug={slug} version={shown} onChange={app.reload} />
              <Preview slug={slug} version={shown.version} />
            </div>
          ) : (
            <Empty icon="apps" title="This app has no version yet." />
          )
        }
      </Shown>
    </Page>
  );
}

interface VersionsProps {
  readonly slug: string;
  readonly versions: AppCard['versions'];
  readonly shown: string;
}

function Versions({ slug, versions, shown }: VersionsProps) {
  return (
    <Section title="Versions">
      <ul class="versions">
        {versions.map(({ version, status, launchable, published_at, lock }) => (
          <li key={version} class={version === shown ? 'version version-shown' : 'version'}>
            <Link
              to={`/apps/${slug}?version=${encodeURIComponent(version)}`}
              aria-current={version === shown ? 'true' : undefined}
              onClick={(event) => {
                // Looking at another version is no step to go back over.
                event.preventDefault();
                navigate(`/apps/${slug}?version=${encodeURIComponent(version)}`, { replace: true });
              }}
            >
              {version}
            </Link>
            <Badge state={status} />
            {launchable ? (
              <Badge state="launchable" label="Ready to launch" />
            ) : (
              <Badge state="not_launchable" label="Not launchable" tone="warning" />
            )}
            {lock && <Badge state="locked" label="Release locked" tone="neutral" />}
            {published_at && (
              <span class="muted">
                published <Timestamp at={published_at} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}
