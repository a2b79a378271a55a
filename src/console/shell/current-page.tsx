/** The page of the address: the catalog at once, every other one when it is first looked at. */
import { useEffect, useState } from 'preact/hooks';
import { Link, useRoute } from '../lib/router.tsx';
import { onOtherTab, pageHalf } from '../lib/session.ts';
import { CatalogPage } from '../pages/catalog/catalog-page.tsx';
import { Button } from '../parts/button.tsx';
import { Empty } from '../parts/empty.tsx';
import { FailureView } from '../parts/failure-view.tsx';
import { Loading } from '../parts/loading.tsx';
import { Page } from '../parts/page.tsx';

type Later = typeof import('../pages/later.tsx');
let later: Later | undefined;

async function load(): Promise<void> {
  later ??= await import('../pages/later.tsx');
}

export function CurrentPage() {
  const [first] = useRoute().parts;
  // While nothing else is to be done: then they are there at once, and also while the connection is lost.
  useEffect(() => {
    const idle = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1000));
    idle(() => void load().catch(() => undefined));
  }, []);
  useEffect(() => onOtherTab(() => pageHalf() === undefined && location.reload()), []);
  return first === undefined ? <CatalogPage /> : <LaterPage first={first} />;
}

/** Where they cannot be had, as after an update of the control plane, the page says so. */
function LaterPage({ first }: { readonly first: string }) {
  const route = useRoute();
  const [loaded, setLoaded] = useState<Later | 'failed' | undefined>(later);
  useEffect(() => {
    // Asked also where they have come since this was drawn.
    load().then(
      () => setLoaded(later),
      () => setLoaded('failed'),
    );
  }, []);
  if (loaded === undefined) return <Loading />;
  if (loaded === 'failed') return <Missing />;
  const page = loaded.pages[first]?.(route);
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
