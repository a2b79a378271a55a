/** A browser that has signed in to a test's control plane. */
import type { TestServer } from './test-server.ts';

export interface SignedIn {
  /** What its `POST /api/v1/session` answered. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  readonly body: any;
  readonly setCookie: string;
  /** `gpuaas_session_…=…`, as the browser sends it. */
  readonly cookie: string;
  readonly pageHalf: string;
  /** Both halves: for `call(…, { as: null, headers })`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Signs in with the token of somebody that the server knows, or with a token. */
export async function signIn({ call, tokens }: TestServer, as: string): Promise<SignedIn> {
  const { status, headers, body } = await call('POST', '/api/v1/session', {
    as: null,
    body: { token: tokens[as] ?? as },
  });
  if (status !== 201) throw new Error(`signing in was answered ${status}: ${JSON.stringify(body)}`);
  const setCookie = headers.get('set-cookie') ?? '';
  const [cookie = ''] = setCookie.split(';');
  const pageHalf = body.csrf_token as string;
  return { body, setCookie, cookie, pageHalf, headers: { cookie, 'x-gpuaas-csrf': pageHalf } };
}
