/** Releases of a test's own, signed by a root of its own: what is in them is up to the test. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
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
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x } = publicKey.export({ format: 'jwk' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  return { key: privateKey, pem, jwk: { kty, crv, x } as IdentityKey };
}

export interface Signing {
  /** Of the manifest. */
  readonly text: string;
  /** The bundle of signing keys. */
  readonly keys: string;
  readonly rootKey: KeyObject;
  readonly signingKey: KeyObject;
  /** What the manifest is signed for, and what the bundle is. */
  readonly domain?: string;
  readonly keysDomain?: string;
}

export function signedPapers({ text, keys, rootKey, signingKey, ...domains }: Signing): ReleasePapers {
  const { domain = releaseDomain, keysDomain = releaseKeysDomain } = domains;
  const [manifest, bundle] = [Buffer.from(text), Buffer.from(keys)];
  return {
    ...{ manifest, manifestSignature: sign(null, signedReleaseBytes(domain, manifest), signingKey) },
    ...{ keys: bundle, keysSignature: sign(null, signedReleaseBytes(keysDomain, bundle), rootKey) },
  };
}

export function bundleText(seq: number, pems: readonly string[]): string {
  return `# gpuaas-release-keys.v1 seq=${seq}\n${pems.join('')}`;
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
  const keys = bundleText(1, [signing.pem]);
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
      const text = releaseText(release);
      const papers = signedPapers({ text, keys, rootKey: root.key, signingKey: signing.key });
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
