/** Signing in with an API token: pasted, sent once, and kept nowhere. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiError } from '../lib/api.ts';
import { signIn } from '../lib/sign-in.ts';
import { useAction } from '../lib/use-action.ts';
import { Button } from '../parts/button.tsx';
import { type Failing, FailureView } from '../parts/failure-view.tsx';
import { TextInput } from '../parts/field.tsx';
import { Icon } from '../parts/icon.tsx';

export function SignInPage({ reason }: { readonly reason?: string | undefined }) {
  const [token, setToken] = useState('');
  const { busy, error, run } = useAction();
  useEffect(() => {
    document.title = 'Sign in · GPUaaS';
  }, []);

  const given = token.trim();
  const submit = (event: Event) => {
    event.preventDefault();
    if (given !== '') void run(() => signIn(given));
  };
  return (
    <main class="sign-in">
      <form class="sign-in-box" onSubmit={submit} aria-labelledby="sign-in-title">
        <p class="brand">
          <Icon name="instances" />
          GPUaaS
        </p>
        <h1 id="sign-in-title">Sign in</h1>
        {reason && (
          <p class="notice" role="status">
            {reason}
          </p>
        )}
        <TextInput
          label="API token"
          hint="Your operator made it for you. It is sent to this control plane once and kept nowhere."
          type="password"
          name="token"
          value={token}
          autofocus
          onValue={setToken}
        />
        {error && <FailureView error={inWords(error)} />}
        <Button type="submit" tone="primary" busy={busy} disabledReason={given ? undefined : 'Paste a token first.'}>
          Sign in
        </Button>
        <details>
          <summary>Where do I get a token?</summary>
          <p>
            The first admin token is printed once by <code>gpuaas serve --init</code>. With it, an admin makes tokens
            for a project: <code>gpuaas tokens create</code>. If the admin token is lost, restart with{' '}
            <code>--new-admin-token</code>.
          </p>
        </details>
      </form>
    </main>
  );
}

/** A refused token says what to look at; anything else speaks for itself. */
function inWords(error: ApiError): Failing {
  if (error.status !== 401 && error.code !== 'request.invalid') return error;
  return {
    code: error.code,
    message: 'This token does not open the control plane.',
    hint: 'Look whether it was pasted whole, and whether it has expired or was revoked.',
    correlationId: error.correlationId,
  };
}
