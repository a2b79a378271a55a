/**
 * Media types that an artifact may be registered with. Docker's manifest and OCI's are two spellings of the same thing, and
 * an index stands for the image manifest in it that the fleet runs: that one is recorded when it is verified (G-33).
 */
const imageManifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

export const mediaTypes = [...imageManifestTypes, 'application/vnd.oci.image.index.v1+json'] as const;

export function isImageManifest(type: string): boolean {
  return (imageManifestTypes as readonly string[]).includes(type);
}
