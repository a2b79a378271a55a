/** What can be launched: a card for each app, with who stands behind it and why it may not be had (G-1, G-217, G-221). */
import type { AppCard } from '../../../server/catalog/views.ts';
import { Link } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { LaunchButton, Reasons } from './launch-button.tsx';
import { SupportBadge } from './support-badge.tsx';
import './catalog.css';

export function CatalogPage() {
  const apps = useResource<{ items: AppCard[] }>('/api/v1/catalog/apps', {
    subjects: ['app', 'app_version', 'artifact'],
  });
  return (
    <Page title="Catalog" lead="Choose an app, answer its form, and it runs on one of your allocations.">
      <Shown of={apps} title="The catalog cannot be shown.">
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="apps" title="No app is offered to you yet.">
              An operator publishes apps.
            </Empty>
          ) : (
            <ul class="app-cards">
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
  const { slug, display_name: name, versions } = app;
  const shown = bestOf(versions);
  return (
    <article class="card app-card" aria-label={name}>
      <header class="app-card-head">
        <Monogram name={name} />
        <div>
          <h2>
            <Link to={`/apps/${slug}`}>{name}</Link>
          </h2>
          <p class="muted">
            {app.category}
            {shown && ` · ${shown.version}`}
          </p>
        </div>
      </header>
      <p class="app-card-summary">{app.summary}</p>
      <div class="row">
        {shown && <SupportBadge level={shown.support_level} />}
        {shown?.launchable && <Badge state="launchable" label="Ready to launch" />}
        {shown && !shown.launchable && <Badge state="not_launchable" label="Not launchable" tone="warning" />}
      </div>
      <Reasons of={shown ? shown.reasons : ['It has no version yet.']} />
      <footer class="app-card-actions">
        <Link class="button" to={`/apps/${slug}`} aria-label={`Details of ${name}`}>
          Details
        </Link>
        {shown && <LaunchButton {...{ slug, name, version: shown.version, reasons: shown.reasons }} />}
      </footer>
    </article>
  );
}

/** The newest version that can be launched; else the newest. */
export function bestOf<V extends { readonly launchable: boolean }>(versions: readonly V[]): V | undefined {
  return versions.find(({ launchable }) => launchable) ?? versions[0];
}

/** Stands in for a logo, in a colour of its own. */
export function Monogram({ name }: { readonly name: string }) {
  const colour = [...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % 5;
  return (
    <span class={`monogram monogram-${colour}`} aria-hidden="true">
      {name.slice(0, 1).toUpperCase()}
    </span>
  );
}
