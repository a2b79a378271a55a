/** The images of a manifest: each is downloaded and has a SHA-3, or is pulled by the digest that is its hash. */
import { ociReferences, type PayloadManifest, type PlanPayload } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import { readImageReference } from '../image-reference.ts';
import { readPlace } from './places.ts';

/** As a plan names them: what else a manifest says beside them is left out. */
export function planPayloads({ payload }: Pick<PayloadManifest, 'payload'>): PlanPayload[] {
  return payload.map(({ platform, urls, hash }) => ({
    ...(platform && {
      platform: {
        ...{ arch: platform.arch, os: platform.os },
        ...(platform.osVersion !== undefined && { osVersion: platform.osVersion }),
      },
    }),
    ...{ urls: [...urls], hash },
  }));
}

/** Paths below that of the payload. */
export function checkPayload({ urls, hash }: PlanPayload): readonly PathError[] {
  return urls.flatMap((url, index) => {
    const wrong = hash.startsWith('sha3:') ? whyNotDownloaded(url) : whyNotPulled(url, hash);
    return wrong === undefined ? [] : [{ path: `/urls/${index}`, code: 'address', message: wrong }];
  });
}

/** Hosts may allow private addresses to images, so those are not judged here. */
function whyNotDownloaded(url: string): string | undefined {
  const read = readPlace(url);
  return read.ok ? undefined : `${read.message}, as its hash is \`sha3:\``;
}

function whyNotPulled(url: string, hash: string): string | undefined {
  const [reference] = ociReferences({ urls: [url], hash });
  if (reference === undefined) return 'must be docker://registry/repository@sha256:…, as its hash is `sha256:`';
  const read = readImageReference(reference);
  if (!read.ok) return `is no image by digest: ${read.reason}`;
  return reference.endsWith(`@${hash}`) ? undefined : 'must end with the hash of the payload, as its digest';
}
