/** Releases as they are made, with files of a few bytes: signed by a root that a test has in hand. */
import type { KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IdentityKey } from '../../src/contract/enrolment.ts';
import { type Release, type ReleaseArtifact, releasePapers, releaseText } from '../../src/contract/release.ts';
import { sha256Of } from '../../src/policy/release-trust.ts';
import type { Papers } from '../../src/server/db/entities/release.ts';
import { bundleText, signedPapers, signingPair } from './signed-release.ts';

export interface Signers {
  /** Public half, as control planes pin it. */
  readonly root: IdentityKey;
  readonly rootPem: string;
  readonly rootKey: KeyObject;
  readonly signing: KeyObject;
  readonly signingPem: string;
}

export interface MadeRelease {
  readonly release: Release;
  readonly papers: Papers;
  /** By name, the papers left out. */
  readonly files: ReadonlyMap<string, Buffer>;
}

export function makeSigners(): Signers {
  const [root, signing] = [signingPair(), signingPair()];
  return {
    ...{ root: root.jwk, rootPem: root.pem, rootKey: root.key },
    ...{ signing: signing.key, signingPem: signing.pem },
  };
}

/** `1.2.0` of number 3, for any processor, with an agent of so many bytes. */
export function makeRelease(
  signers: Signers,
  { keysSeq = 1, agentBytes = 100_000, ...given }: Partial<Release> & { keysSeq?: number; agentBytes?: number } = {},
): MadeRelease {
  const { version = '1.2.0' } = given;
  const files = new Map([
    [`node-agent-${version}-linux-x64.gz`, Buffer.alloc(agentBytes, `agent ${version} `)],
    ['bootstrap.sh', Buffer.from(`#!/bin/sh\necho ${version}\n`)],
  ]);
  const release: Release = {
    ...{ schema: 'gpuaas-release.v1', seq: 3, version, commit: 'c'.repeat(40), channel: 'stable' },
    ...{ min_from: 0, floor: 0, expires: '2099-01-01T00:00:00Z' },
    artifacts: [...files].map(([name, bytes]) => artifactOf(name, bytes)),
    ...given,
  };
  const signed = signedPapers({
    ...{ text: releaseText(release), keys: bundleText(keysSeq, [signers.signingPem]) },
    ...{ rootKey: signers.rootKey, signingKey: signers.signing },
  });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const papers: Papers = {
    ...{ manifest: base64(signed.manifest), manifest_signature: base64(signed.manifestSignature) },
    ...{ keys: base64(signed.keys), keys_signature: base64(signed.keysSignature) },
  };
  return { release, papers, files };
}

/** As `npm run release` leaves it. */
export function writeMadeRelease(folder: string, { papers, files }: MadeRelease): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  const write = (name: string, text: string) => writeFileSync(join(folder, name), Buffer.from(text, 'base64'));
  write(releasePapers.manifest, papers.manifest);
  write(releasePapers.manifestSignature, papers.manifest_signature);
  write(releasePapers.keys, papers.keys);
  write(releasePapers.keysSignature, papers.keys_signature);
  return folder;
}

function artifactOf(name: string, bytes: Buffer): ReleaseArtifact {
  const kind = name === 'bootstrap.sh' ? 'bootstrap' : 'agent';
  return { name, kind, os: 'linux', arch: 'any', size: bytes.length, sha256: sha256Of(bytes) };
}
