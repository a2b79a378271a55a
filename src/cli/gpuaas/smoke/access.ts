/**
 * `gpuaas smoke access`: asks each endpoint through its port. That works on the host itself, or through the tunnel, which is
 * named where nothing answers.
 */
import type { Instance } from '../instance.ts';
import { type Checks, present, type SmokeRun } from './run.ts';
import { readState, type SmokeState } from './state.ts';

const timeoutMs = 10_000;

export async function access(run: SmokeRun, checks: Checks): Promise<void> {
  const { inputs } = run;
  const instance = await present(run);
  if (!instance) {
    checks.note('instance', false, `there is none of the name ${inputs.name}: deploy it first`);
    return;
  }
  const kept = await readState(run.state);
  const credentials = kept?.instance_id === instance.id ? kept.credentials : [];
  const wanted = instance.access.filter(
    ({ endpoint }) => inputs.access?.endpoint === undefined || endpoint === inputs.access.endpoint,
  );
  if (wanted.length === 0) {
    checks.note('endpoints', false, `${instance.id} is ${instance.state} and shows none`);
  }
  for (const each of wanted) {
    const credential = credentials.find(({ endpoint }) => endpoint === each.endpoint);
    await ask(each, credential, inputs.access?.path, checks);
  }
}

type Access = Instance['access'][number];
type Credential = SmokeState['credentials'][number];

async function ask(
  { endpoint, url, tunnel }: Access,
  credential: Credential | undefined,
  path: string | undefined,
  checks: Checks,
) {
  const check = `endpoint ${endpoint}`;
  if (url === null) {
    checks.note(check, true, 'not asked: it does not speak http');
    return;
  }
  const target = new URL(path ?? credential?.bearer_path ?? '/', url);
  if (credential?.url_query) target.searchParams.set(credential.url_query, credential.token);
  const headers = credential?.bearer_path ? { authorization: `Bearer ${credential.token}` } : {};
  try {
    const response = await fetch(target, { headers, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    const { status } = response;
    // Without its token a closed endpoint is as it should be.
    const ok = status < 400 || (credential === undefined && (status === 401 || status === 403));
    checks.note(check, ok, `${url} answers ${status}`);
  } catch {
    const way = tunnel === null ? '' : ` From another computer, open the tunnel first: ${tunnel}`;
    checks.note(check, false, `${url} does not answer here.${way}`);
  }
}
