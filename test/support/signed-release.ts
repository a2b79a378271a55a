/** Releases of a test's own, signed by a root of its own: what is in them is up to the test. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { IdentityKey } from '../../src/contract/enrolment.ts';
import {
  type Release,
  releaseDomain,
  releaseKeysDomain,
  releasePapers,
  releaseText,
  signedReleaseBytes,
} from '../../src/contract/release.ts';
import { type ReleasePapers, sha256Of } from '../../src/policy/release-trust.ts';

export interface SigningPair {
  readonly key: KeyObject;
  readonly pem: string;
  readonly jwk: IdentityKey;
}

export function signingPair(): SigningPair {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const key = createPrivateKey(privateKey);
  const { kty, crv, x } = key.export({ format: 'jwk' });
  return { key, pem: publicKey, jwk: { kty, crv, x } as IdentityKey };
}

export interface SignedRelease {
  readonly release: Release;
  readonly papers: ReleasePapers;
  /** Name of the agent's file, and its bytes as they travel. */
  readonly name: string;
  readonly packed: Buffer;
}

export interface Publisher {
  readonly root: SigningPair;
  /** `program` is what the agent's file unpacks to. */
  release(version: string, program: string | Buffer, over?: Partial<Release>): SignedRelease;
}

/** Everything that it signs is believed by whoever has its root. */
export function publisher(root = signingPair()): Publisher {
  const signing = signingPair();
  const keys = Buffer.from(`# gpuaas-release-keys.v1 seq=1\n${signing.pem}`);
  let seq = 0;
  return {
    root,
    release: (version, program, over = {}) => {
      seq += 1;
      const bytes = Buffer.from(program);
      const packed = gzipSync(bytes, { level: 1 });
      const name = `node-agent-${version}-linux-${process.arch}.gz`;
      const release: Release = {
        ...{ schema: 'gpuaas-release.v1', seq, version, commit: 'c'.repeat(40), channel: 'stable' },
        ...{ min_from: 0, floor: 0, expires: '2030-01-01T00:00:00Z' },
        artifacts: [
          {
            ...{ name, kind: 'agent', os: 'linux', arch: process.arch as 'x64', size: packed.length },
            ...{ sha256: sha256Of(packed), unpacked_size: bytes.length, unpacked_sha256: sha256Of(bytes) },
          },
        ],
        ...over,
      };
      const manifest = Buffer.from(releaseText(release));
      const papers = {
        manifest,
        manifestSignature: sign(null, signedReleaseBytes(releaseDomain, manifest), signing.key),
        keys,
        keysSignature: sign(null, signedReleaseBytes(releaseKeysDomain, keys), root.key),
      };
      return { release, papers, name, packed };
    },
  };
}

/** As a folder of a release, or as an agent stages it. */
export function writeRelease(folder: string, { papers, name, packed }: SignedRelease): void {
  mkdirSync(folder, { recursive: true });
  for (const paper of Object.keys(releasePapers) as (keyof ReleasePapers)[]) {
    writeFileSync(join(folder, releasePapers[paper]), papers[paper]);
  }
  writeFileSync(join(folder, name), packed);
}
