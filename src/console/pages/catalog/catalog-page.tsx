/** What can be launched: a card for each app, with who stands for it and why it may not be had (G-1, G-217, G-221). */
import type { AppCard } from '../../../server/catalog/views.ts';
import { Link } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import './catalog.css';

export function CatalogPage() {
  const apps = useResource<{ items: AppCard[] }>('/api/v1/catalog/apps', {
    subjects: ['app', 'app_version', 'artifact'],
  });
  return (
    <Page title="Catalog" lead="Apps that run on your allocations.">
      <Shown of={apps} title="The catalog cannot be shown.">
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="apps" title="No app is offered to you yet.">
              An operator publishes apps and entitles your project to them.
            </Empty>
          ) : (
            <ul class="cards">
              {items.map((app) => (
                <li key={app.slug}>
                  <Card app={app} />
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Page>
  );
}

function Card({ app }: { readonly app: AppCard }) {
  const [newest] = app.versions;
  return (
    <article class="card app-card">
      <header>
        <h2>
          <Link to={`/apps/${app.slug}`}>{app.display_name}</Link>
        </h2>
        {newest && <span class="muted">{newest.version}</span>}
      </header>
      <p>{app.summary}</p>
      {newest && (newest.launchable ? <Badge state="launchable" /> : <Reasons of={newest.reasons} />)}
    </article>
  );
}

/** Why something cannot be launched. */
function Reasons({ of }: { readonly of: readonly string[] }) {
  return (
    <ul class="reasons">
      {of.map((reason) => (
        <li key={reason}>{reason}</li>
      ))}
    </ul>
  );
}
