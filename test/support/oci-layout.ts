/** Images in folders, in the OCI layout: small ones, and whatever is wrong with them. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const indexType = 'application/vnd.oci.image.index.v1+json';

export interface Layout {
  readonly folder: string;
  /** Of the image, or of the index. */
  readonly digest: string;
  /** Digests of its manifests by platform. */
  readonly images: Readonly<Record<string, string>>;
  readonly layers: readonly string[];
}

/** An image for one architecture, or an index of images where several are named; each has the layers. */
export function writeLayout(
  folder: string,
  {
    architectures = ['amd64'],
    layers = ['a layer'],
  }: { architectures?: readonly string[]; layers?: readonly (string | Buffer)[] } = {},
): Layout {
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const put = (content: string | Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(folder, 'blobs/sha256', hex), content);
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const parts = layers.map((layer) => put(layer, 'application/vnd.oci.image.layer.v1.tar'));
  const images = architectures.map((architecture) => {
    const rootfs = { type: 'layers', diff_ids: parts.map(({ digest }) => digest) };
    const config = put(
      JSON.stringify({ os: 'linux', architecture, config: {}, rootfs }),
      'application/vnd.oci.image.config.v1+json',
    );
    const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: parts };
    return { ...put(JSON.stringify(manifest), manifestType), platform: { os: 'linux', architecture } };
  });
  const [first] = images;
  if (!first) throw new Error('an image of no architecture');
  const root =
    images.length === 1
      ? first
      : put(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: images }), indexType);
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [root] }));
  return {
    ...{ folder, digest: root.digest, layers: parts.map(({ digest }) => digest) },
    images: Object.fromEntries(images.map(({ digest, platform }) => [platform.architecture, digest])),
  };
}
