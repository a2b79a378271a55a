/** `gpuaas smoke deploy`: launches, or finds what an earlier run launched, and waits until it runs. */

import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import { tellJson } from '../../output.ts';
import { type Instance, instancePath } from '../instance.ts';
import { untilSettled } from '../watch.ts';
import { requestOf, versionPath } from './request.ts';
import { allocationOf, type Checks, present, type SmokeRun } from './run.ts';
import { type SmokeState, writeState } from './state.ts';

type Launched = Instance & Pick<SmokeState, 'credentials'>;

export async function deploy(run: SmokeRun, checks: Checks): Promise<void> {
  const { client, inputs, json } = run;
  const before = (await present(run)) ?? (await launched(run));
  if (before.state === 'stopped' || before.state === 'failed') {
    checks.note('launch', false, `${before.id} is ${before.state}: decommission it first`);
    return;
  }
  const { timeout_seconds: timeout } = inputs;
  const { instance } = await untilSettled(client, before, { json, ...(timeout === undefined ? {} : { timeout }) });
  const words = instance.failure ? `${instance.failure.code}: ${instance.failure.message}` : instance.summary;
  if (!checks.note('launch', instance.state === 'running', `${instance.id} is ${instance.state}. ${words}`)) return;
  // A service that others only waited for has stopped, and that is as it should be.
  const wrong = instance.members.filter(({ state }) => state !== 'running' && state !== 'stopped');
  const states = instance.members.map(({ name, state }) => `${name} is ${state}`).join(', ');
  checks.note('members', wrong.length === 0, states);
  for (const { name, status } of await declaredChecks(run)) {
    checks.note(name, instance.state === status, `the adapter says ${instance.state}, the manifest wants ${status}`);
  }
}

/** What the manifest says must hold of a launched instance (G-89). */
async function declaredChecks({ client, inputs }: SmokeRun): Promise<readonly { name: string; status: string }[]> {
  const { manifest } = await client.get<{ manifest: WorkloadProfile }>(versionPath(inputs.app));
  return manifest.validation?.smoke ?? [];
}

async function launched({ client, inputs, state, json }: SmokeRun): Promise<Instance> {
  const body = await requestOf(client, inputs, await allocationOf(client, inputs));
  const { credentials, ...instance } = await client.change<Launched>('POST', '/api/v1/app-instances', body);
  await writeState(state, { instance_id: instance.id, credentials });
  if (json) tellJson({ type: 'accepted', instance: instance.id, path: instancePath(instance.id) });
  return instance;
}
