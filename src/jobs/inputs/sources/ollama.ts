/** A model of an Ollama registry, laid out as Ollama keeps it: a manifest, and the blobs that it names. */
import { createHash } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { judgeKnown } from '../../../contract/validate.ts';
import { anonymous } from '../client.ts';
import type { ResolvedSource } from '../job-inputs.ts';
import type { RemoteFile, RemoteSource } from '../remote-file.ts';
import { refused } from '../trouble.ts';
import type { SourceMeans } from './means.ts';

const publicRegistry = 'registry.ollama.ai';
const accept = 'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json';

const Blob = Type.Object({
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
});
const Manifest = Type.Object({ config: Blob, layers: Type.Array(Blob, { minItems: 1, maxItems: 1000 }) });
type Blob = Static<typeof Blob>;

export async function findInRegistry(
  { model }: Extract<ResolvedSource, { kind: 'ollama' }>,
  { client, signal, endpoints }: SourceMeans,
): Promise<RemoteSource> {
  const { host, name, tag } = readModel(model);
  const origin =
    host === publicRegistry ? (endpoints.ollama ?? `https://${host}`).replace(/\/$/, '') : `https://${host}`;
  const url = new URL(`${origin}/v2/${name}/manifests/${tag}`);
  const { body } = await client.read({ url, authorize: anonymous, signal, headers: { accept } });
  const { config, layers } = readManifest(body);
  const blobs = new Map<string, Blob>([config, ...layers].map((blob) => [blob.digest, blob]));
  const sha256 = createHash('sha256').update(body).digest('hex');
  const files: RemoteFile[] = [...blobs.values()].map(({ digest, size }) => ({
    path: `blobs/${digest.replace(':', '-')}`,
    url: new URL(`${origin}/v2/${name}/blobs/${digest}`),
    version: `${origin}/${name} ${digest}`,
    size,
    checksum: { algorithm: 'sha256', hex: digest.slice('sha256:'.length) },
  }));
  const manifest = {
    ...{ path: `manifests/${host}/${name}/${tag}`, url, version: `${origin}/${name} ${sha256}` },
    ...{ size: body.length, content: body },
  };
  // Last: with it Ollama sees the model.
  return { files: [...files, manifest], authorize: anonymous };
}

/** `name`, `name:tag`, `owner/name:tag` or `host/owner/name:tag`. */
function readModel(model: string): { host: string; name: string; tag: string } {
  const [, host = publicRegistry, owner = 'library', name = '', tag = 'latest'] =
    /^(?:(?:([a-z0-9.-]+(?::\d{1,5})?)\/)?([\w][\w.-]*)\/)?([\w][\w.-]*)(?::([\w][\w.-]*))?$/.exec(model) ?? [];
  if (name === '' || model.length > 512)
    throw refused('It is no name of a model: `name:tag`.', { model: model.slice(0, 128) });
  return { host, name: `${owner}/${name}`, tag };
}

function readManifest(body: Buffer): Static<typeof Manifest> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw refused('The registry answers with no manifest of a model.', {}, error);
  }
  const judged = judgeKnown(Manifest, value);
  if (!judged.ok) throw refused('The registry answers with no manifest of a model.', { errors: judged.errors });
  return judged.value;
}
