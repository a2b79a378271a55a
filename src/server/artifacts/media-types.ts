/**
 * Media types that an artifact may be registered with. Docker's manifest and OCI's are two spellings of the same thing, and
 * an index stands for the image manifest in it that the fleet runs: that one is recorded when it is verified (G-33).
 */
const imageManifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

export const mediaTypes = [...imageManifestTypes, 'application/vnd.oci.image.index.v1+json'] as const;

/** What registries are asked for: also the older spelling of an index, which many images that jobs name have. */
export const askedTypes = [...mediaTypes, 'application/vnd.docker.distribution.manifest.list.v2+json'] as const;

export function isImageManifest(type: string): type is (typeof imageManifestTypes)[number] {
  return (imageManifestTypes as readonly string[]).includes(type);
}
