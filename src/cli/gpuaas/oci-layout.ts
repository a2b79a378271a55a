/** An image in a folder, in the OCI image layout: what `docker buildx build --output type=oci,tar=false` and `skopeo copy` write. */
import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';

export interface LayoutManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface LayoutImage {
  /** The image, or the index of images per platform, that the folder is about. */
  readonly root: LayoutManifest;
  /** All manifests, those before that others name; the root is last. */
  readonly manifests: readonly LayoutManifest[];
  /** Digest and file of every configuration and layer, each once. */
  readonly blobs: ReadonlyMap<string, string>;
}

const Descriptor = Type.Object({
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  mediaType: Type.String({ minLength: 1, maxLength: 256 }),
});
type Descriptor = { readonly digest: string; readonly mediaType: string };
const Index = Type.Object({ manifests: Type.Array(Descriptor, { minItems: 1, maxItems: 64 }) });
const Manifest = Type.Object({ config: Descriptor, layers: Type.Array(Descriptor, { maxItems: 512 }) });

/** Most bytes of a manifest or an index: registries take no larger ones. */
const mostBytes = 4 * 1024 * 1024;

/** `file.unusable` for a folder that is no layout of exactly one image or index. Layers are not read. */
export async function readLayout(folder: string): Promise<LayoutImage> {
  const top = judge(Index, parse(await read(folder, 'index.json'), folder, 'index.json'));
  const [root, ...more] = top.ok ? top.value.manifests : [];
  if (!root || more.length > 0) {
    throw unusable(folder, `its index.json must name one image, or one index of images, and names ${more.length + 1}`);
  }
  const manifests: LayoutManifest[] = [];
  const blobs = new Map<string, string>();
  await collect(folder, root, 0, { manifests, blobs });
  const last = manifests.at(-1);
  if (!last) throw unusable(folder, 'it holds no manifest');
  return { root: last, manifests, blobs };
}

interface Collected {
  readonly manifests: LayoutManifest[];
  readonly blobs: Map<string, string>;
}

async function collect(
  folder: string,
  { digest, mediaType }: Descriptor,
  depth: number,
  into: Collected,
): Promise<void> {
  const bytes = await read(folder, blobPath(digest));
  if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) {
    throw unusable(folder, `${blobPath(digest)} has another digest than its name`);
  }
  const document = parse(bytes, folder, blobPath(digest));
  const manifest = judge(Manifest, document);
  const index = judge(Index, document);
  if (manifest.ok) {
    for (const part of [manifest.value.config, ...manifest.value.layers]) {
      into.blobs.set(part.digest, join(folder, blobPath(part.digest)));
    }
  } else if (index.ok && depth === 0) {
    for (const each of index.value.manifests) await collect(folder, each, depth + 1, into);
  } else {
    throw unusable(folder, `${blobPath(digest)} is no manifest of an image`);
  }
  into.manifests.push({ digest, mediaType, bytes });
}

/**
 * A configuration or a layer, once it is certain that it has the digest that it is named after: a folder from elsewhere may have
 * a link there to anything of this machine, and nothing of that shall be sent.
 */
export async function openBlob(digest: string, file: string): Promise<Blob> {
  const hash = createHash('sha256');
  try {
    await assertFile(file);
    for await (const piece of createReadStream(file)) hash.update(piece);
    if (`sha256:${hash.digest('hex')}` !== digest) throw new Error('has another digest than its name');
    return await openAsBlob(file);
  } catch (error) {
    const reason = `${file} cannot be sent: ${(error as Error).message}.`;
    throw new AgentError('file.unusable', { reason, file }, { cause: error });
  }
}

/** Neither a pipe, which may never end, nor a device, which never does. */
async function assertFile(path: string, most = Number.POSITIVE_INFINITY): Promise<void> {
  const found = await stat(path);
  if (!found.isFile()) throw Object.assign(new Error('is no file'), { code: 'not a file' });
  if (found.size > most) throw Object.assign(new Error('is too large'), { code: `larger than ${most} bytes` });
}

function blobPath(digest: string): string {
  return join('blobs', ...digest.split(':'));
}

async function read(folder: string, file: string): Promise<Buffer> {
  try {
    await assertFile(join(folder, file), mostBytes);
    return await readFile(join(folder, file));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError(
      'file.unusable',
      { reason: `${folder} is no OCI image layout: ${file} cannot be read (${code}).`, file: folder },
      { cause: error },
    );
  }
}

function parse(bytes: Buffer, folder: string, file: string): unknown {
  const json = readStrictJson(bytes);
  if (!json.ok) throw unusable(folder, `${file} ${json.errors[0]?.message ?? 'is not JSON'}`);
  return json.value;
}

function unusable(folder: string, why: string): AgentError {
  return new AgentError('file.unusable', { reason: `${folder} is no OCI image layout: ${why}.`, file: folder });
}
