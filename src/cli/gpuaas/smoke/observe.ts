/** `gpuaas smoke observe`: whether a launch could work, without launching: the host is asked, then the nine checks (G-234). */
import { pause } from '../../../kit/backoff.ts';
import type { ControlPlaneClient } from '../client.ts';
import { requestOf, versionPath } from './request.ts';
import { type Allocation, allocationOf, type Checks, present, type SmokeRun } from './run.ts';

interface Node {
  readonly id: string;
  readonly name: string;
  readonly connected: boolean;
  readonly runtime_at: string | null;
  readonly runtime: { readonly ready: boolean; readonly reasons: readonly string[] } | null;
}

interface Version {
  readonly status: string;
  readonly launchable: boolean;
  readonly reasons: readonly string[];
}

const lookMs = 250;

export async function observe(run: SmokeRun, checks: Checks): Promise<void> {
  const { client, inputs } = run;
  const version = await client.get<Version>(versionPath(inputs.app));
  const reasons = version.reasons.join(' ');
  checks.note('catalog', version.launchable, version.launchable ? `${inputs.app} can be launched` : reasons);

  const allocation = await allocationOf(client, inputs);
  checks.note('allocation', allocation.state === 'active', `${allocation.name} is ${allocation.state}`);
  if (!(await hostIsReady(client, allocation, checks))) return;

  const there = await present(run);
  if (there) {
    checks.note('launch', true, `not asked: ${there.id} is ${there.state} already`);
    return;
  }
  const body = await requestOf(client, inputs, allocation);
  const { accepted, refusals } = await client.change<Verdict>('POST', '/api/v1/app-instances/checks', body);
  const words = refusals.map(({ code, path, message }) => `${code} at ${path}: ${message}`).join(' ');
  checks.note('launch', accepted, accepted ? 'the nine checks let it pass' : words);
}

interface Verdict {
  readonly accepted: boolean;
  readonly refusals: readonly { readonly code: string; readonly path: string; readonly message: string }[];
}

async function hostIsReady(client: ControlPlaneClient, { node_id: id }: Allocation, checks: Checks): Promise<boolean> {
  if (id === null) return checks.note('host', false, 'no host has enrolled for the allocation');
  const path = `/api/v1/nodes/${encodeURIComponent(id)}`;
  const before = await client.get<Node>(path);
  if (!checks.note('host', before.connected, `${before.name} is ${before.connected ? 'connected' : 'away'}`))
    return false;
  const asked = await client.change<{ asked_at: string; seconds: number }>('POST', `${path}/probe`);
  const until = Date.now() + asked.seconds * 1000;
  for (;;) {
    const { runtime, runtime_at } = await client.get<Node>(path);
    if (runtime && runtime_at !== null && runtime_at >= asked.asked_at) {
      const words = runtime.ready ? 'its container runtime is ready' : runtime.reasons.join(' ');
      return checks.note('runtime', runtime.ready, words);
    }
    if (Date.now() > until) return checks.note('runtime', false, `the host did not answer in ${asked.seconds} s`);
    await pause(lookMs);
  }
}
