/** Releases as they are made, with files of a few bytes: signed by a root that a test has in hand. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IdentityKey } from '../../src/contract/enrolment.ts';
import {
  type Release,
  type ReleaseArtifact,
  releaseDomain,
  releaseKeysDomain,
  releasePapers,
  releaseText,
  signedReleaseBytes,
} from '../../src/contract/release.ts';
import type { Papers } from '../../src/server/db/entities/release.ts';

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
  const root = generateKeyPairSync('ed25519');
  const signing = generateKeyPairSync('ed25519');
  const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
  const { x = '' } = root.publicKey.export({ format: 'jwk' });
  return {
    ...{ root: { kty: 'OKP', crv: 'Ed25519', x }, rootPem: pem(root.publicKey), rootKey: root.privateKey },
    ...{ signing: signing.privateKey, signingPem: pem(signing.publicKey) },
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
  const manifest = Buffer.from(releaseText(release));
  const keys = Buffer.from(`# gpuaas-release-keys.v1 seq=${keysSeq}\n${signers.signingPem}`);
  const signed = (domain: string, bytes: Buffer, key: KeyObject) => sign(null, signedReleaseBytes(domain, bytes), key);
  const papers: Papers = {
    manifest: manifest.toString('base64'),
    manifest_signature: signed(releaseDomain, manifest, signers.signing).toString('base64'),
    keys: keys.toString('base64'),
    keys_signature: signed(releaseKeysDomain, keys, signers.rootKey).toString('base64'),
  };
  return { release, papers, files };
}

/** As `npm run release` leaves it. */
export function writeRelease(folder: string, { papers, files }: MadeRelease): string {
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
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { name, kind, os: 'linux', arch: 'any', size: bytes.length, sha256 };
}
