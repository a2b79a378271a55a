/** Pages that come with the first look at them, so that the first page of all is there sooner. */
import type { ComponentType, VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../parts/button.tsx';
import { FailureView } from '../parts/failure-view.tsx';
import { Loading } from '../parts/loading.tsx';

const waiting: (() => Promise<unknown>)[] = [];

/** A component that loads itself. Where it cannot be had, as after an update of the control plane, the page says so. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => VNode {
  let loaded: ComponentType<P> | undefined;
  const once = async () => {
    loaded ??= await load();
    return loaded;
  };
  waiting.push(once);
  return function Lazy(props: P) {
    const [Loaded, setLoaded] = useState(() => loaded);
    const [isFailed, setFailed] = useState(false);
    useEffect(() => {
      // Asked also where it has come since this was drawn.
      once().then(
        (component) => setLoaded(() => component),
        () => setFailed(true),
      );
    }, []);
    if (Loaded) return <Loaded {...props} />;
    return isFailed ? <Missing /> : <Loading />;
  };
}

/** Loads all of them while nothing else is to be done: then they are there at once, and also while the connection is lost. */
export function preload(): void {
  const later = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1000));
  later(async () => {
    for (const load of waiting) await load().catch(() => undefined);
  });
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
