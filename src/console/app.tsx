/** What is shown to whom: whether somebody is signed in, and then the page of the address. */
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from './lib/api.ts';
import { sessionState } from './lib/session.ts';
import { resumeSession } from './lib/sign-in.ts';
import { useShared } from './lib/store.ts';
import { Button } from './parts/button.tsx';
import { FailureView } from './parts/failure-view.tsx';
import { Loading } from './parts/loading.tsx';
import { StatusRegion } from './parts/status-region.tsx';
import { CurrentPage } from './shell/current-page.tsx';
import { Shell } from './shell/shell.tsx';
import { SignInPage } from './shell/sign-in-page.tsx';

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
