/** An output of a job, from the control plane: a file or a folder, at the path of its volume that it was taken from. */
import { posix } from 'node:path';
import { anonymous } from '../client.ts';
import type { ResolvedSource, RevisionSource } from '../job-inputs.ts';
import type { RemoteSource } from '../remote-file.ts';
import { refused } from '../trouble.ts';

export function findOutput(
  { job_id, sha256, bytes, path, media_type }: Extract<ResolvedSource, { kind: 'output' }>,
  controlPlane: RevisionSource | undefined,
): RemoteSource {
  if (!controlPlane) throw refused('This process has no control plane to fetch an output of a job from.');
  const isFolder = media_type === 'application/x-tar';
  const place = posix.normalize(path);
  const file = {
    ...(isFolder ? { path: sha256, unpackTo: place.replace(/\/$/, '') } : { path: place }),
    url: controlPlane.urlOfOutput({ job_id, sha256 }),
    // Of the job as well: what another one has of the same content is no business of this one.
    version: `${job_id} ${sha256}`,
    size: bytes,
    checksum: { algorithm: 'sha256', hex: sha256 } as const,
  };
  return { files: [file], authorize: anonymous, client: controlPlane };
}
