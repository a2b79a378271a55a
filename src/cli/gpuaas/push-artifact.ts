/**
 * `gpuaas artifacts push`: an intent to publish, the push, the registration, the look at the registry. No byte of the image
 * goes through the control plane. Safe to repeat: what was pushed or registered before is found.
 */
import { AgentError } from '../../contract/failures.ts';
import { tell } from '../output.ts';
import type { ControlPlaneClient } from './client.ts';
import { readLayout } from './oci-layout.ts';
import { given } from './options.ts';
import { pushImage } from './push-image.ts';
import type { Item } from './things.ts';

export interface PushOptions {
  readonly name: string;
  readonly folder: string;
  readonly repository: string;
  readonly source?: string;
  readonly revision?: string;
  /** False: the registry lets everybody push. */
  readonly token: boolean;
  readonly json: boolean;
}

const path = '/api/v1/artifacts';
/** A token is replaced while it is good for this long: a request that has begun may take as long as it takes. */
const spareMs = 60_000;

export async function pushArtifact(client: ControlPlaneClient, options: PushOptions): Promise<Item> {
  const { name, folder, repository, source, revision, json } = options;
  const image = await readLayout(folder);
  const { digest, mediaType: media_type } = image.root;
  await pushImage(image, {
    ...{ repository, token: options.token ? tokens(client, repository) : undefined },
    onBlob: (blob, bytes) => {
      if (!json) tell(`${blob.slice(0, 19)}  ${(bytes / 1024 ** 2).toFixed(1)} MiB`);
    },
  });
  const body = { name, repository, digest, media_type, provenance: given({ source, revision }) };
  const { id } = await registered(client, body);
  return await client.change<Item>('POST', `${path}/${encodeURIComponent(String(id))}/verify`);
}

function tokens(client: ControlPlaneClient, repository: string): () => Promise<string> {
  let intent: { token: string; expires_at: string } | undefined;
  return async () => {
    if (!intent || Date.parse(intent.expires_at) - Date.now() < spareMs) {
      intent = await client.change<{ token: string; expires_at: string }>('POST', `${path}/publish`, { repository });
    }
    return intent.token;
  };
}

/** The artifact of this name and digest, from now or from before. */
async function registered(
  client: ControlPlaneClient,
  body: { name: string; digest: string; repository: string; media_type: string; provenance: ReturnType<typeof given> },
): Promise<Item> {
  try {
    return await client.change<Item>('POST', path, body);
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'resource.conflict') throw error;
    const { name, digest, repository } = body;
    for await (const item of client.list<Item>(path, { name })) {
      if (item['digest'] === digest && item['repository'] === repository) return item;
    }
    throw error;
  }
}
