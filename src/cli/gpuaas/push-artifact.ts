/**
 * `gpuaas artifacts push`: an intent to publish, the push, the registration, the look at the registry. No byte of the image
 * goes through the control plane. Safe to repeat: what was pushed or registered before is found.
 */
import { AgentError } from '../../contract/failures.ts';
import { parseImageReference } from '../../policy/image-reference.ts';
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
  assertRepository(repository);
  const image = await readLayout(folder);
  const { digest, mediaType: media_type } = image.root;
  const known = await find(client, name, digest);
  if (known && known['repository'] !== repository) throw isElsewhere(known);
  if (known && (known['trust'] === 'revoked' || known['lifecycle'] === 'retired')) throw isOver(known);
  await pushImage(image, {
    ...{ repository, token: options.token ? tokens(client, repository) : undefined },
    onBlob: (blob, bytes) => {
      if (!json) tell(`${blob.slice(0, 19)}  ${(bytes / 1024 ** 2).toFixed(1)} MiB`);
    },
  });
  const body = { name, repository, digest, media_type, provenance: given({ source, revision }) };
  const { id } = known ?? (await client.change<Item>('POST', path, body));
  return await client.change<Item>('POST', `${path}/${encodeURIComponent(String(id))}/verify`);
}

/** `command.invalid` before anything is sent: a registry says of a tag in the path only that it knows no such page. */
function assertRepository(repository: string): void {
  try {
    parseImageReference(`${repository}@sha256:${'0'.repeat(64)}`);
  } catch (cause) {
    const reason = `${JSON.stringify(repository)} must be a registry with its repository, without tag, digest or user.`;
    throw new AgentError('command.invalid', { reason }, { cause });
  }
}

/** The artifact of this name and digest, from before. */
async function find(client: ControlPlaneClient, name: string, digest: string): Promise<Item | undefined> {
  for await (const item of client.list<Item>(path, { name })) {
    if (item['digest'] === digest) return item;
  }
  return undefined;
}

function isElsewhere({ id, name, repository }: Item): AgentError {
  const reason = `${name} has this digest already: ${id}, from ${repository}. Use that one, or push under another name.`;
  return new AgentError('resource.conflict', { reason });
}

function isOver({ id, name, trust, endings }: Item): AgentError {
  const became = trust === 'revoked' ? trust : 'retired';
  const ended = (endings ?? []) as readonly { became: string; reason: string }[];
  const why = ended.findLast((each) => each.became === became)?.reason ?? 'nobody said why';
  const reason = `${name} has this digest already, ${id}, and it was ${became} for good: ${why.replace(/\.$/, '')}. Build another image, and push that.`;
  return new AgentError('resource.conflict', { reason });
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
