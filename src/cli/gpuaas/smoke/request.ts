/** The launch that a smoke run asks for. */
import { AgentError, type Json } from '../../../contract/failures.ts';
import type { ControlPlaneClient } from '../client.ts';
import { given } from '../options.ts';
import type { SmokeInputs } from './inputs.ts';
import type { Allocation } from './run.ts';

interface Artifact {
  readonly id: string;
  readonly name: string;
  readonly digest: string;
  readonly launchable: boolean;
}

/** Of APP@VERSION, at the control plane. */
export function versionPath(app: string): string {
  const [slug = '', version = ''] = app.split('@').map(encodeURIComponent);
  return `/api/v1/catalog/apps/${slug}/versions/${version}`;
}

export async function requestOf(
  client: ControlPlaneClient,
  inputs: SmokeInputs,
  allocation: Allocation,
): Promise<Json> {
  const [app_slug = '', app_version = ''] = inputs.app.split('@');
  return given({
    ...{ app_slug, app_version, display_name: inputs.name },
    project_id: allocation.project_id,
    placement_intent: { target_allocation_id: allocation.id },
    artifact_id: inputs.artifact === undefined ? undefined : await artifactOf(client, inputs.artifact),
    config: inputs.config as Json | undefined,
    resource_overrides: inputs.resource_overrides as Json | undefined,
  });
}

/** Of a name the newest that may be launched, so that a file outlives its images. */
async function artifactOf(client: ControlPlaneClient, wanted: string): Promise<string> {
  const all = await Array.fromAsync(client.list<Artifact>('/api/v1/artifacts'));
  const exact = all.find(({ id, digest }) => id === wanted || digest === wanted);
  const named = all.find(({ name, launchable }) => name === wanted && launchable);
  const found = exact ?? named;
  if (found) return found.id;
  const reason = `No artifact that may be launched has the name, id or digest ${JSON.stringify(wanted)}.`;
  throw new AgentError('launch.artifact_not_found', { reason });
}
