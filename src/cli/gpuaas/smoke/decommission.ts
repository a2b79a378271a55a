/** `gpuaas smoke decommission`: takes the instance away and looks whether anything is left of it. */
import { type Instance, instancePath } from '../instance.ts';
import { untilSettled } from '../watch.ts';
import { type Checks, present, type SmokeRun } from './run.ts';
import { forgetState } from './state.ts';

const timeoutMs = 2_000;

export async function decommission(run: SmokeRun, checks: Checks): Promise<void> {
  const { client, inputs, json } = run;
  const before = await present(run);
  if (!before) {
    checks.note('instance', true, `there is none of the name ${inputs.name}`);
    await forgetState(run.state);
    return;
  }
  const asked = await client.change<Instance>('POST', `${instancePath(before.id)}/actions`, { action: 'decommission' });
  const { instance } = await untilSettled(client, asked, { json });
  const { state, cleanup, failure } = instance;
  const words = failure ? `${failure.code}: ${failure.message}` : `${instance.id} is ${state}`;
  if (!checks.note('instance', state === 'decommissioned', words)) return;
  const failed = cleanup?.failed ?? [];
  const removed = `${cleanup?.removed.length ?? 0} things were removed`;
  checks.note('cleanup', failed.length === 0, failed.length === 0 ? removed : `left behind: ${failed.join(', ')}`);
  for (const { name, url } of before.endpoints) {
    if (url === null) continue;
    const answers = await answersAt(url);
    checks.note(`endpoint ${name}`, !answers, answers ? `${url} still answers` : `nothing answers at ${url}`);
  }
  if (checks.ok) await forgetState(run.state);
}

async function answersAt(url: string): Promise<boolean> {
  try {
    await (await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })).body?.cancel();
    return true;
  } catch {
    return false;
  }
}
