/**
 * The keys of those who make releases, as a folder: `root.key` and `root.pem`, a `signing-<n>.key` for each signing key that
 * came with bundle n, and the bundle itself with the root's signature. Only `root.pem` and the bundle are for others.
 *
 * The root signs nothing but bundles, so it can lie somewhere offline between two of them; all else works without it.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { releaseDomain, releaseKeysDomain, releasePapers, signedReleaseBytes } from '../../contract/release.ts';
import { writeDurable } from '../../kit/durable.ts';
import {
  readManifest,
  readReleaseKeys,
  releaseRootOf,
  sha256Of,
  type TrustedRelease,
  trustRelease,
} from '../../policy/release-trust.ts';
import { readReleasePapers, verifyArtifacts } from './release-folder.ts';

export interface KeyFolder {
  readonly folder: string;
  /** Number of the bundle. */
  readonly keys_seq: number;
  /** Fingerprints of the signing keys that it holds. */
  readonly signing_keys: readonly string[];
  readonly root: string;
}

/** Makes a root, a signing key and the first bundle. Refuses a folder that has any of them. */
export function initReleaseKeys(folder: string): KeyFolder {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const there = readdirSync(folder).filter((name) => /^(root\.(key|pem)|signing-.*\.key|release-keys\..*)$/.test(name));
  if (there.length > 0) throw unusable(`${folder} has keys already: ${there.join(', ')}.`);
  const root = writeKey(join(folder, 'root.key'));
  writeFileSync(join(folder, 'root.pem'), pemOf(root), { mode: 0o644 });
  writeBundle(folder, 1, [pemOf(writeKey(join(folder, 'signing-1.key')))], root);
  return describeReleaseKeys(folder);
}

/** Makes another signing key, and the next bundle with it and without those whose fingerprints are dropped. */
export function addReleaseKey(
  folder: string,
  rootKey = join(folder, 'root.key'),
  drop: readonly string[] = [],
): KeyFolder {
  const { seq, pems } = readBundle(folder);
  const root = readKey(rootKey);
  if (pemOf(root) !== readText(join(folder, 'root.pem'))) throw unusable(`${rootKey} is not the key of root.pem.`);
  const known = pems.map(fingerprint);
  const unknown = drop.filter((print) => !known.includes(print));
  if (unknown.length > 0) throw unusable(`The bundle has no key ${unknown.join(', ')}; it has ${known.join(', ')}.`);
  const next = seq + 1;
  const file = join(folder, `signing-${next}.key`);
  // One that is there is of a call that was interrupted before its bundle was written.
  const added = pemOf(existsSync(file) ? readKey(file) : writeKey(file));
  writeBundle(folder, next, [...pems.filter((pem) => !drop.includes(fingerprint(pem))), added], root);
  return describeReleaseKeys(folder);
}

export function describeReleaseKeys(folder: string): KeyFolder {
  const { seq, pems } = readBundle(folder);
  return {
    ...{ folder, keys_seq: seq, signing_keys: pems.map(fingerprint) },
    root: fingerprint(readText(join(folder, 'root.pem'))),
  };
}

/** Signs a release of which every file is the one that its manifest names, and judges it as its readers will. */
export async function signRelease(release: string, folder: string): Promise<TrustedRelease> {
  const { artifacts } = readManifest(readBytes(join(release, releasePapers.manifest)));
  await verifyArtifacts(release, artifacts);
  signManifest(release, folder);
  return trustRelease(readReleasePapers(release), releaseRootOf(readText(join(folder, 'root.pem'))));
}

/** Signs the manifest with the newest signing key of the bundle, and puts the bundle beside it. */
export function signManifest(release: string, folder: string): void {
  const { pems } = readBundle(folder);
  const manifest = readFileSync(join(release, releasePapers.manifest));
  const signature = sign(null, signedReleaseBytes(releaseDomain, manifest), newestKey(folder, pems));
  writeDurable(join(release, releasePapers.manifestSignature), signature);
  for (const name of [releasePapers.keys, releasePapers.keysSignature]) {
    writeDurable(join(release, name), readFileSync(join(folder, name)));
  }
}

/** A key that left the bundle signs no more, wherever it still lies. */
function newestKey(folder: string, pems: readonly string[]): KeyObject {
  const numbers = readdirSync(folder).flatMap((name) => /^signing-(\d+)\.key$/.exec(name)?.[1] ?? []);
  for (const number of numbers.map(Number).sort((a, b) => b - a)) {
    const key = readKey(join(folder, `signing-${number}.key`));
    if (pems.includes(pemOf(key))) return key;
  }
  throw unusable(`${folder} has no signing key of its bundle.`);
}

function writeBundle(folder: string, seq: number, pems: readonly string[], root: KeyObject): void {
  const text = Buffer.from(`# gpuaas-release-keys.v1 seq=${seq}\n${pems.join('')}`);
  // The signature first: an interrupted call leaves a bundle that is refused, and none that is half new.
  const signature = sign(null, signedReleaseBytes(releaseKeysDomain, text), root);
  writeDurable(join(folder, releasePapers.keysSignature), signature);
  writeDurable(join(folder, releasePapers.keys), text);
}

function readBundle(folder: string): { seq: number; pems: string[] } {
  const root = releaseRootOf(readText(join(folder, 'root.pem')));
  const [keys, signature] = [releasePapers.keys, releasePapers.keysSignature].map((name) =>
    readBytes(join(folder, name)),
  );
  const bundle = readReleaseKeys(keys as Buffer, signature as Buffer, root);
  return { seq: bundle.seq, pems: bundle.keys.map(pemOf) };
}

function writeKey(file: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  // `wx`: no file that is there, and no link, is written through.
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx', flush: true });
  return privateKey;
}

function readKey(file: string): KeyObject {
  const pem = readText(file);
  if ((statSync(file).mode & 0o077) !== 0)
    throw unusable(`Others than its owner can read ${file}: chmod 600, if nobody has.`);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    throw unusable(`${file} is no PEM of a private key.`, cause);
  }
  throw unusable(`${file} is no Ed25519 key.`);
}

function readText(file: string): string {
  return readBytes(file).toString('utf8');
}

function readBytes(file: string): Buffer {
  if (!existsSync(file)) throw unusable(`There is no ${file}; \`gpuaas release-keys init\` makes the keys.`);
  return readFileSync(file);
}

function pemOf(key: KeyObject): string {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ type: 'spki', format: 'pem' }) as string;
}

/** 16 hexadecimal digits of the hash of a public key. */
function fingerprint(pem: string): string {
  return sha256Of(createPublicKey(pem).export({ type: 'spki', format: 'der' })).slice(0, 16);
}

function unusable(reason: string, cause?: unknown): AgentError {
  return new AgentError('file.unusable', { reason }, { cause });
}
