/** Holds an artifact against its registry: the digest, the media type, and which image manifest will run. */
import { type Static, type TSchema, Type } from 'typebox';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import { type Artifact, Digest } from '../db/entities/artifact.ts';
import { isImageManifest } from './media-types.ts';
import type { FetchedManifest } from './registry-client.ts';

export interface Verdict {
  readonly trust: 'verified' | 'failed';
  readonly message: string;
  readonly platform_digest: string | null;
  readonly size_bytes: number | null;
}

const Size = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const ImageManifest = Type.Object({
  config: Type.Object({ size: Size }),
  layers: Type.Array(Type.Object({ size: Size }), { maxItems: 512 }),
});
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

/** `platform` is what the fleet runs, for example `linux/amd64`. `fetch` gets a manifest of the artifact's repository. */
export async function verifyArtifact(
  { digest, media_type }: Artifact,
  platform: string,
  fetch: (digest: string) => Promise<FetchedManifest | undefined>,
): Promise<Verdict> {
  const fetched = await fetch(digest);
  const fault = faultOf(fetched, digest, media_type);
  if (!fetched || fault) {
    return failed(fault ?? 'The registry has no manifest of this digest.');
  }
  if (isImageManifest(fetched.mediaType)) {
    return judgedImage(fetched);
  }
  const index = parse(ImageIndex, fetched.text);
  const [os, architecture] = platform.split('/');
  const ours = index?.manifests.find(
    (each) => each.platform?.os === os && each.platform?.architecture === architecture,
  );
  if (!ours) {
    return failed(index ? `The index has no image for ${platform}.` : 'The index is not one.');
  }
  const image = await fetch(ours.digest);
  const imageFault = faultOf(image, ours.digest, ours.mediaType);
  return !image || imageFault ? failed(imageFault ?? 'The image of the index is missing.') : judgedImage(image);
}

function faultOf(fetched: FetchedManifest | undefined, digest: string, mediaType: string): string | undefined {
  if (!fetched) {
    return undefined;
  }
  if (fetched.digest !== digest) {
    return `The registry answered with bytes whose digest is ${fetched.digest}.`;
  }
  return fetched.mediaType === mediaType ? undefined : `The registry says it is ${fetched.mediaType.slice(0, 200)}.`;
}

function judgedImage({ digest, text }: FetchedManifest): Verdict {
  const image = parse(ImageManifest, text);
  if (!image) {
    return failed('The manifest is not one of an image.');
  }
  const size = image.layers.reduce((sum, layer) => sum + layer.size, image.config.size);
  const message = `The registry has it: ${image.layers.length} layers, ${size} bytes.`;
  return { trust: 'verified', message, platform_digest: digest, size_bytes: size };
}

function failed(message: string): Verdict {
  return { trust: 'failed', message, platform_digest: null, size_bytes: null };
}

function parse<S extends TSchema>(schema: S, text: string): Static<S> | undefined {
  const json = readStrictJson(Buffer.from(text));
  const judged = json.ok ? judge(schema, json.value) : undefined;
  return judged?.ok ? judged.value : undefined;
}
