/** The page of the address: the catalog at once, every other one when it is first looked at. */
import { useEffect, useState } from 'preact/hooks';
import { Link, useRoute } from '../lib/router.tsx';
import { onOtherTab, pageHalf } from '../lib/session.ts';
import { CatalogPage } from '../pages/catalog/catalog-page.tsx';
import type { Pages } from '../pages/later.tsx';
import { Button } from '../parts/button.tsx';
import { Empty } from '../parts/empty.tsx';
import { FailureView } from '../parts/failure-view.tsx';
import { Loading } from '../parts/loading.tsx';
import { Page } from '../parts/page.tsx';

/** By the first part of an address; the others come together. */
const loading: Readonly<Record<string, () => Promise<{ readonly pages: Pages }>>> = {
  instances: () => import('../pages/instances/instance-pages.tsx'),
  jobs: () => import('../pages/jobs/job-pages.tsx'),
  others: () => import('../pages/later.tsx'),
};
const loaded = new Map<string, Pages>();

async function load(name: string): Promise<void> {
  if (!loaded.has(name)) loaded.set(name, (await loading[name]?.())?.pages ?? {});
}

export function CurrentPage() {
  const [first] = useRoute().parts;
  // While nothing else is to be done: then they are there at once, and also while the connection is lost.
  useEffect(() => {
    const idle = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1000));
    idle(async () => {
      for (const name of Object.keys(loading)) await load(name).catch(() => undefined);
    });
  }, []);
  useEffect(() => onOtherTab(() => pageHalf() === undefined && location.reload()), []);
  return first === undefined ? <CatalogPage /> : <LaterPage key={partOf(first)} first={first} />;
}

function partOf(first: string): string {
  return Object.hasOwn(loading, first) ? first : 'others';
}

/** Where it cannot be had, as after an update of the control plane, the page says so. */
function LaterPage({ first }: { readonly first: string }) {
  const route = useRoute();
  const part = partOf(first);
  const [pages, setPages] = useState(() => loaded.get(part));
  const [isFailed, setFailed] = useState(false);
  useEffect(() => {
    // Asked also where it has come since this was drawn.
    load(part).then(
      () => setPages(loaded.get(part)),
      () => setFailed(true),
    );
  }, []);
  if (!pages) return isFailed ? <Missing /> : <Loading />;
  const page = Object.hasOwn(pages, first) && pages[first]?.(route);
  if (page) return <>{page}</>;
  return (
    <Page title="Not found">
      <Empty title="There is no page at this address.">
        <Link to="/">To the catalog</Link>
      </Empty>
    </Page>
  );
}

function Missing() {
  const error = {
    code: 'console.changed',
    message: 'This page could not be loaded.',
    hint: 'The control plane cannot be reached, or it was updated since: load the console anew.',
  };
  return (
    <FailureView error={error}>
      <Button onClick={() => location.reload()}>Load anew</Button>
    </FailureView>
  );
}
