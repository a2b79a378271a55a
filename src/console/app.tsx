/** Which page belongs to which address. A page of its own is one line in the table. */
import type { ComponentChild } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from './lib/api.ts';
import { lazy, preload } from './lib/lazy.tsx';
import { Link, type Route, useRoute } from './lib/router.tsx';
import { onOtherTab, pageHalf, sessionState } from './lib/session.ts';
import { resumeSession } from './lib/sign-in.ts';
import { useShared } from './lib/store.ts';
import { AppPage } from './pages/catalog/app-page.tsx';
import { CatalogPage } from './pages/catalog/catalog-page.tsx';
import { InstancesPage } from './pages/instances/instances-page.tsx';
import { Button } from './parts/button.tsx';
import { Empty } from './parts/empty.tsx';
import { FailureView } from './parts/failure-view.tsx';
import { Loading } from './parts/loading.tsx';
import { Page } from './parts/page.tsx';
import { StatusRegion } from './parts/status-region.tsx';
import { Shell } from './shell/shell.tsx';
import { SignInPage } from './shell/sign-in-page.tsx';

const platform = () => import('./pages/platform.ts');
const AllocationPage = lazy(async () => (await platform()).AllocationPage);
const AllocationsPage = lazy(async () => (await platform()).AllocationsPage);
const ArtifactPage = lazy(async () => (await platform()).ArtifactPage);
const ArtifactsPage = lazy(async () => (await platform()).ArtifactsPage);
const AuditPage = lazy(async () => (await platform()).AuditPage);
const InstancePage = lazy(async () => (await import('./pages/instance/instance-page.tsx')).InstancePage);
const LaunchPage = lazy(async () => (await import('./pages/launch/launch-page.tsx')).LaunchPage);
const NodePage = lazy(async () => (await platform()).NodePage);
const NodesPage = lazy(async () => (await platform()).NodesPage);

/** The page of an address, by its first part; undefined where there is none. */
const pages: Readonly<Record<string, (route: Route) => ComponentChild>> = {
  '': () => <CatalogPage />,
  nodes: ({ parts: [, id] }) => (id === undefined ? <NodesPage /> : <NodePage key={id} id={id} />),
  apps: ({ parts: [, slug, version, what] }) =>
    (slug && version === undefined && <AppPage key={slug} slug={slug} />) ||
    (slug && version && what === 'launch' && <LaunchPage key={`${slug}/${version}`} {...{ slug, version }} />),
  instances: ({ parts: [, id, tab] }) =>
    id === undefined ? <InstancesPage /> : <InstancePage key={id} id={id} tab={tab} />,
  audit: () => <AuditPage />,
  artifacts: ({ parts: [, id] }) => (id === undefined ? <ArtifactsPage /> : <ArtifactPage key={id} id={id} />),
  allocations: ({ parts: [, id] }) => (id === undefined ? <AllocationsPage /> : <AllocationPage key={id} id={id} />),
};

export function App() {
  const state = useShared(sessionState);
  return (
    <>
      {state.kind === 'unknown' && <Resuming />}
      {state.kind === 'signed_out' && <SignInPage reason={state.reason} />}
      {state.kind === 'signed_in' && (
        <Shell session={state.session}>
          <CurrentPage />
        </Shell>
      )}
      <StatusRegion />
    </>
  );
}

/** Asks once; then again by itself while the control plane cannot be reached. */
function Resuming() {
  const [error, setError] = useState<ApiError>();
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    resumeSession().catch((failure: unknown) => {
      if (!(failure instanceof ApiError)) throw failure;
      setError(failure);
      timer = setTimeout(() => setTries(tries + 1), Math.min(500 * 2 ** tries, 10_000));
    });
    return () => clearTimeout(timer);
  }, [tries]);
  return (
    <main class="resuming">
      {error ? (
        <FailureView error={error}>
          <Button onClick={() => setTries(tries + 1)}>Try now</Button>
        </FailureView>
      ) : (
        <Loading />
      )}
    </main>
  );
}

function CurrentPage() {
  const route = useRoute();
  const [first = ''] = route.parts;
  useEffect(preload, []);
  useEffect(() => onOtherTab(() => pageHalf() === undefined && location.reload()), []);
  const page = pages[first]?.(route);
  if (page) return <>{page}</>;
  return (
    <Page title="Not found">
      <Empty title="There is no page at this address.">
        <Link to="/">To the catalog</Link>
      </Empty>
    </Page>
  );
}
