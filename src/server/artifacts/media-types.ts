/**
 * Media types that an artifact may have. Docker's manifest and OCI's are two spellings of the same thing, and an index
 * stands for the image manifest in it that the fleet runs: that one was recorded when the artifact was verified (G-33).
 */
const imageManifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;

const imageIndexType = 'application/vnd.oci.image.index.v1+json';

export const mediaTypes = [...imageManifestTypes, imageIndexType] as const;

export function isImageManifest(type: string): boolean {
  return (imageManifestTypes as readonly string[]).includes(type);
}

/** True if an artifact of type `actual` is what a manifest asks for with `wanted`. */
export function fitsMediaType(wanted: string, actual: string): boolean {
  return wanted === actual || (isImageManifest(wanted) && (isImageManifest(actual) || actual === imageIndexType));
}
