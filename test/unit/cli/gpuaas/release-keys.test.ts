/** The keys of releases: made, changed and used on one machine, and judged by others who know nothing but the root. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Release, type ReleaseArtifact, releaseText } from '../../../../src/contract/release.ts';
import { sha256Of } from '../../../../src/policy/release-trust.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('release-keys');
const agent = Buffer.from('what the agent is');
const packed = gzipSync(agent);
/** Commands that are given no control plane. */
const nowhere = { url: '', token: '' };

let keys: string;
let release: string;

beforeEach(async () => {
  [keys, release] = [join(mkdtempSync(join(folder, 'keys-')), 'new'), mkdtempSync(join(folder, 'release-'))];
  await gpuaas('release-keys', 'init', keys);
  writeRelease();
});

describe('gpuaas release-keys', () => {
  it('makes private keys that only their owner can read, and says what to do with the root', async () => {
    const other = join(folder, 'said');
    const { status, out, err } = await gpuaas('release-keys', 'init', other);

    expect(status).toBe(0);
    expect([modeOf(other), modeOf(join(other, 'root.key')), modeOf(join(other, 'signing-1.key'))]).toEqual([
      ...['700', '600', '600'],
    ]);
    expect(out).toContain('signing keys');
    expect(err).toContain('Take root.key off this machine');
  });

  it('never writes over keys that are there', async () => {
    const before = readFileSync(join(keys, 'root.key'), 'utf8');

    const { status, err } = await gpuaas('release-keys', 'init', keys);

    expect([status, readFileSync(join(keys, 'root.key'), 'utf8')]).toEqual([2, before]);
    expect(err).toContain('root.key');
  });

  it('signs a release that others believe by the root alone', async () => {
    expect((await sign()).status).toBe(0);
    rmSync(join(keys, 'root.key'));

    const { status, json } = await verify();

    expect(status).toBe(0);
    expect(json).toMatchObject({ version: '1.0.0', keys_seq: 1, expired: false });
  });

  it('signs so that openssl alone can judge it', async () => {
    await sign();
    const judge = (domain: string, key: string, file: string) =>
      execFileSync(
        'sh',
        [
          '-c',
          `{ echo ${domain}; cat "$2"; } >"$3" && openssl pkeyutl -verify -rawin -pubin -inkey "$1" -in "$3" -sigfile "$2.sig"`,
          ...['sh', key, file, join(folder, 'signed')],
        ],
        { encoding: 'utf8' },
      );

    const bundle = join(release, 'release-keys.pem');
    expect(judge('gpuaas-release-keys-v1', join(keys, 'root.pem'), bundle)).toContain('Verified Successfully');
    expect(judge('gpuaas-release-v1', bundle, join(release, 'release.json'))).toContain('Verified Successfully');
  });

  it('signs with the key that was added, and not any more with one that was dropped', async () => {
    const offline = join(folder, 'offline.key');
    renameSync(join(keys, 'root.key'), offline);
    const [first] = (await gpuaas('release-keys', 'sign', release, '--keys', keys)) && fingerprints();

    const added = await gpuaas('release-keys', 'add', keys, '--root-key', offline, '--drop', first ?? '', '--json');
    expect(JSON.parse(added.out)).toMatchObject({
      keys_seq: 2,
      signing_keys: [expect.not.stringMatching(String(first))],
    });
    await sign();

    expect((await verify()).json).toMatchObject({ keys_seq: 2 });
    rmSync(join(keys, 'signing-2.key'));
    expect((await sign()).err).toContain('no signing key of its bundle');
  });

  it('keeps the other keys of the bundle when one is added', async () => {
    const before = fingerprints();
    await gpuaas('release-keys', 'add', keys);

    expect(fingerprints()).toEqual([...before, expect.any(String)]);
  });

  it('goes on with the key of a call that was interrupted', async () => {
    cpSync(join(keys, 'root.key'), join(keys, 'signing-2.key'));

    expect((await gpuaas('release-keys', 'add', keys)).status).toBe(0);
    expect(fingerprints()).toHaveLength(2);
  });

  it.each([
    ['a key that others can read', () => chmodSync(join(keys, 'signing-1.key'), 0o640), 'chmod 600'],
    ['a file that is no key', () => writeFileSync(join(keys, 'signing-1.key'), 'x', { mode: 0o600 }), 'no PEM'],
    [
      'a bundle that the root has not signed',
      () => writeFileSync(join(keys, 'release-keys.pem.sig'), ''),
      'release root',
    ],
    ['a folder without keys', () => rmSync(join(keys, 'root.pem')), 'release-keys init'],
    ['a file that is not the one of the manifest', () => writeFileSync(join(release, 'agent.gz'), 'x'), 'agent.gz'],
    ['a file that is missing', () => rmSync(join(release, 'agent.gz')), 'agent.gz'],
    ['a manifest that is none', () => writeFileSync(join(release, 'release.json'), '{}'), 'is missing'],
  ])('refuses to sign with or for %s', async (_what, spoil, words) => {
    spoil();

    const { status, err } = await sign();

    expect(status).toBe(2);
    expect(err).toContain(words);
  });

  it.each([
    ['another root', ['--root-key', 'other/root.key'], 'not the key of root.pem'],
    ['a key to drop that there is not', ['--drop', 'ffffffffffffffff'], 'has no key ffffffffffffffff'],
  ])('refuses %s, and changes nothing', async (_what, [flag = '', value = ''], words) => {
    const other = join(folder, `other-${crypto.randomUUID()}`);
    await gpuaas('release-keys', 'init', other);
    const before = fingerprints();

    const { status, err } = await gpuaas('release-keys', 'add', keys, flag, value.replace('other', other));

    expect([status, fingerprints()]).toEqual([2, before]);
    expect(err).toContain(words);
  });
});

describe('gpuaas releases verify', () => {
  it.each([
    ['a changed file', () => writeFileSync(join(release, 'agent.gz'), gzipSync('x')), 'update.damaged'],
    ['a file that was cut', () => writeFileSync(join(release, 'agent.gz'), packed.subarray(0, -1)), 'update.damaged'],
    ['a missing file', () => rmSync(join(release, 'agent.gz')), 'file.unusable'],
    ['a missing signature', () => rmSync(join(release, 'release.json.sig')), 'file.unusable'],
    ['a changed manifest', () => writeRelease({ seq: 2 }), 'update.untrusted'],
  ])('refuses %s', async (_what, spoil, code) => {
    await sign();
    spoil();

    expect((await verify()).json).toMatchObject({ failure: { code } });
  });

  it.each([
    ['unpacks to something else', { unpacked_sha256: 'a'.repeat(64) }, 'agent.gz'],
    ['cannot be unpacked', { name: 'release.bin', size: 1, sha256: sha256Of(Buffer.from('x')) }, 'unpacked'],
  ])('refuses a file that %s', async (_what, changes, words) => {
    writeFileSync(join(release, 'release.bin'), 'x');
    writeRelease({}, changes);

    expect((await sign()).err).toContain(words);
  });

  it('refuses the release of another root', async () => {
    await sign();
    const other = join(folder, `root-${crypto.randomUUID()}`);
    await gpuaas('release-keys', 'init', other);
    cpSync(join(other, 'root.pem'), join(keys, 'root.pem'));

    expect((await verify()).json).toMatchObject({ failure: { code: 'update.untrusted' } });
  });

  it('says of one that has expired that it is genuine, and expired', async () => {
    writeRelease({ expires: '2020-01-01T00:00:00Z' });
    await sign();

    const { status, json } = await verify();
    expect([status, json.expired]).toEqual([0, true]);
  });

  it.each([
    ['no key', 'a root', 'no PEM'],
    ['missing', undefined, 'cannot be read'],
  ])('refuses a root that is %s', async (_what, text, words) => {
    await sign();
    const root = join(folder, `pem-${crypto.randomUUID()}`);
    if (text) writeFileSync(root, text);

    const { status, err } = await gpuaas('releases', 'verify', release, '--root', root);
    expect([status, err]).toEqual([2, expect.stringContaining(words)]);
  });
});

const gpuaas = (...words: string[]) => runGpuaas(nowhere, words);
const sign = () => gpuaas('release-keys', 'sign', release, '--keys', keys);
const modeOf = (file: string) => (statSync(file).mode & 0o777).toString(8);

async function verify() {
  const { status, out } = await gpuaas('releases', 'verify', release, '--root', join(keys, 'root.pem'), '--json');
  return { status, json: JSON.parse(out) };
}

/** The public keys in the bundle, in its order, by the same short name that the commands use. */
function fingerprints(): string[] {
  const text = readFileSync(join(keys, 'release-keys.pem'), 'utf8');
  return [...text.matchAll(/KEY-----\n([A-Za-z0-9+/=]+)\n-----END/g)].map(([, base64 = '']) =>
    sha256Of(Buffer.from(base64, 'base64')).slice(0, 16),
  );
}

function writeRelease(about: Partial<Release> = {}, artifact: Partial<ReleaseArtifact> = {}): void {
  writeFileSync(join(release, 'agent.gz'), packed);
  const file: ReleaseArtifact = {
    ...{ name: 'agent.gz', kind: 'agent', os: 'linux', arch: 'x64', size: packed.length, sha256: sha256Of(packed) },
    ...{ unpacked_size: agent.length, unpacked_sha256: sha256Of(agent) },
    ...artifact,
  };
  const text = releaseText({
    ...{ schema: 'gpuaas-release.v1', seq: 1, version: '1.0.0', commit: '0'.repeat(40), channel: 'stable' },
    ...{ min_from: 0, floor: 0, expires: '2100-01-01T00:00:00Z', artifacts: [file] },
    ...about,
  });
  writeFileSync(join(release, 'release.json'), text);
}
