/** A release as a folder: reads its papers, and looks whether each file is the one that they name. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { IdentityKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { maxPaperBytes, type ReleaseArtifact, releasePapers } from '../../contract/release.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { judgeArtifact, type ReleasePapers, type TrustedRelease, trustRelease } from '../../policy/release-trust.ts';

/** Throws `file.unusable` where one is missing. */
export function readReleasePapers(folder: string): ReleasePapers {
  const read = (name: string) => {
    const file = join(folder, name);
    if (!existsSync(file)) throw new AgentError('file.unusable', { reason: `The release has no ${name}.`, path: file });
    if (statSync(file).size > maxPaperBytes) throw new AgentError('file.unusable', { reason: `${name} is too long.` });
    return readFileSync(file);
  };
  return {
    ...{ manifest: read(releasePapers.manifest), manifestSignature: read(releasePapers.manifestSignature) },
    ...{ keys: read(releasePapers.keys), keysSignature: read(releasePapers.keysSignature) },
  };
}

/** The release, once its papers and every file were looked at. Throws `update.untrusted`, `update.damaged`, `file.unusable`. */
export async function verifyReleaseFolder(folder: string, root: IdentityKey): Promise<TrustedRelease> {
  const trusted = trustRelease(readReleasePapers(folder), root);
  await verifyArtifacts(folder, trusted.release.artifacts);
  return trusted;
}

export async function verifyArtifacts(folder: string, artifacts: readonly ReleaseArtifact[]): Promise<void> {
  for (const artifact of artifacts) {
    const file = join(folder, artifact.name);
    if (!existsSync(file))
      throw new AgentError('file.unusable', { reason: `The release has no ${artifact.name}.`, path: file });
    judgeArtifact(artifact, 'packed', await measureFile(file));
    if (artifact.unpacked_sha256 !== undefined)
      judgeArtifact(artifact, 'unpacked', await measureUnpacked(artifact, file));
  }
}

async function measureUnpacked({ name }: ReleaseArtifact, file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  const unpacked = createGunzip().on('data', (bytes: Buffer) => {
    size += bytes.length;
  });
  try {
    await pipeline(createReadStream(file), unpacked, hash);
  } catch (cause) {
    throw new AgentError('update.damaged', { file: name, reason: 'It cannot be unpacked.' }, { cause });
  }
  return { size, sha256: hash.digest('hex') };
}
