/**
 * Holds an artifact against its registry: the digest, the media type, which image manifest will run and for which platform,
 * and whether the registry has all that a host would pull.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { type Artifact, Digest } from '../db/entities/artifact.ts';
import { isImageManifest } from './media-types.ts';
import type { Fetched, RegistryReader } from './registry-client.ts';

export interface Verdict {
  readonly trust: 'verified' | 'failed';
  readonly message: string;
  readonly platform_digest: string | null;
  readonly size_bytes: number | null;
}

const Blob = Type.Object({ digest: Digest, size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) });
const ImageManifest = Type.Object({ config: Blob, layers: Type.Array(Blob, { maxItems: 512 }) });
const ImageConfig = Type.Object({ os: Type.String({ minLength: 1 }), architecture: Type.String({ minLength: 1 }) });
const ImageIndex = Type.Object({
  manifests: Type.Array(
    Type.Object({
      digest: Digest,
      mediaType: Type.String(),
      platform: Type.Optional(Type.Object({ os: Type.String(), architecture: Type.String() })),
    }),
    { maxItems: 512 },
  ),
});

/** `platform` is what the fleet runs, for example `linux/amd64`; `registry` reads the artifact's repository. */
export async function verifyArtifact(
  { digest, media_type }: Pick<Artifact, 'digest' | 'media_type'>,
  platform: string,
  registry: RegistryReader,
): Promise<Verdict> {
  const fetched = await registry.manifest(digest);
  const fault = faultOf(fetched, digest, media_type);
  if (!fetched || fault) {
    return failed(fault ?? 'The registry has no manifest of this digest.');
  }
  const image = await imageFor(fetched, platform, registry);
  return typeof image === 'string' ? failed(image) : judgedImage(image, platform, registry);
}

/** The manifest itself, or the one of the index that is for the platform; what is wrong, in a sentence, where there is none. */
export async function imageFor(
  fetched: Fetched,
  platform: string,
  registry: RegistryReader,
): Promise<Fetched | string> {
  if (isImageManifest(fetched.mediaType)) return fetched;
  const index = parse(ImageIndex, fetched.text);
  const [os, architecture] = platform.split('/');
  const ours = index?.manifests.find(
    (each) => each.platform?.os === os && each.platform?.architecture === architecture,
  );
  if (!ours) return index ? `The index has no image for ${platform}.` : 'The index is not one.';
  const image = await registry.manifest(ours.digest);
  return image === undefined
    ? 'The image of the index is missing.'
    : (faultOf(image, ours.digest, ours.mediaType) ?? image);
}

function faultOf(fetched: Fetched | undefined, digest: string, mediaType: string): string | undefined {
  if (!fetched) {
    return undefined;
  }
  if (fetched.digest !== digest) {
    return `The registry answered with bytes whose digest is ${fetched.digest}.`;
  }
  return fetched.mediaType === mediaType ? undefined : `The registry says it is ${fetched.mediaType.slice(0, 200)}.`;
}

async function judgedImage({ digest, text }: Fetched, platform: string, registry: RegistryReader): Promise<Verdict> {
  const image = parse(ImageManifest, text);
  if (!image) {
    return failed('The manifest is not one of an image.');
  }
  const { config, layers } = image;
  const fault =
    platformFault(await registry.blob(config.digest), config.digest, platform) ??
    (await missingBlob(
      layers.map((layer) => layer.digest),
      registry,
    ));
  if (fault !== undefined) {
    return failed(fault);
  }
  const size = sizeOf({ config, layers });
  const message = `The registry has it, for ${platform}: ${layers.length} layers, ${size} bytes.`;
  return { trust: 'verified', message, platform_digest: digest, size_bytes: size };
}

/** What is wrong with an image for that platform, in a sentence; or how many bytes it has, packed as the registry keeps it. */
export async function judgeImage(
  { text }: Fetched,
  platform: string,
  registry: RegistryReader,
): Promise<string | { readonly bytes: number }> {
  const image = parse(ImageManifest, text);
  if (!image) return 'The manifest is not one of an image.';
  const { digest } = image.config;
  return platformFault(await registry.blob(digest), digest, platform) ?? { bytes: sizeOf(image) };
}

function sizeOf({ config, layers }: Static<typeof ImageManifest>): number {
  return layers.reduce((sum, layer) => sum + layer.size, config.size);
}

/** A host that pulls an image of another platform finds out when its program does not start. */
function platformFault(fetched: Fetched | undefined, digest: string, platform: string): string | undefined {
  if (!fetched) return `The registry does not have the configuration of the image, ${digest}.`;
  if (fetched.digest !== digest) return `The registry answered with bytes whose digest is ${fetched.digest}.`;
  const config = parse(ImageConfig, fetched.text);
  if (!config) return 'The configuration names no platform: it is not one of an image.';
  const found = `${config.os}/${config.architecture}`;
  return found === platform ? undefined : `The image is for ${found.slice(0, 200)}, and the fleet runs ${platform}.`;
}

/** Asks for a few at a time. */
async function missingBlob(digests: readonly string[], registry: RegistryReader): Promise<string | undefined> {
  const open = [...new Set(digests)];
  while (open.length > 0) {
    const some = open.splice(0, 8);
    const there = await Promise.all(some.map((digest) => registry.hasBlob(digest)));
    const missing = some.find((_digest, index) => there[index] !== true);
    if (missing !== undefined) return `The registry does not have the layer ${missing} of the image.`;
  }
  return undefined;
}

function failed(message: string): Verdict {
  return { trust: 'failed', message, platform_digest: null, size_bytes: null };
}

function parse<S extends TSchema>(schema: S, text: string): Static<S> | undefined {
  const json = readStrictJson(Buffer.from(text));
  const judged = json.ok ? judge(schema, json.value) : undefined;
  return judged?.ok ? judged.value : undefined;
}
