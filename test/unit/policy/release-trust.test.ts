import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Release, releaseDomain, releaseKeysDomain, releaseText } from '../../../src/contract/release.ts';
import {
  admitRelease,
  artifactFor,
  judgeArtifact,
  judgeRelease,
  type ReleasePapers,
  type ReleaseStanding,
  sha256Of,
  trustRelease,
} from '../../../src/policy/release-trust.ts';
import { bundleText, type Signing, signedPapers, signingPair } from '../../support/signed-release.ts';
import { refusalOf } from './samples.ts';

const [root, signing, stranger] = [signingPair(), signingPair(), signingPair()];
const file = Buffer.from('the agent');
const release: Release = {
  ...{ schema: 'gpuaas-release.v1', seq: 5, version: '1.2.0', commit: 'c'.repeat(40), channel: 'stable' },
  ...{ min_from: 3, floor: 2, expires: '2027-01-01T00:00:00Z' },
  artifacts: [
    {
      ...{ name: 'node-agent-1.2.0-linux-x64.gz', kind: 'agent', os: 'linux', arch: 'x64' },
      ...{ size: file.length, sha256: sha256Of(file), unpacked_size: 4, unpacked_sha256: 'a'.repeat(64) },
    },
    { name: 'bootstrap.sh', kind: 'bootstrap', os: 'linux', arch: 'any', size: 1, sha256: 'b'.repeat(64) },
  ],
};
const standing: ReleaseStanding = {
  memory: { seq: 4, floor: 2, keysSeq: 1 },
  now: Date.parse('2026-12-31T23:59:59Z'),
  current: { version: '1.1.0', seq: 4 },
  ...{ pinned: null, skipped: [], arch: 'x64' },
};

describe('papers', () => {
  it('that root and key have signed are believed, and say what they are', () => {
    expect(trustRelease(papers(), root.jwk)).toEqual({ release, keysSeq: 1 });
  });

  it('are believed by each key of the bundle', () => {
    const keys = bundleText(7, [stranger.pem, signing.pem]);

    expect(trustRelease(papers({ keys }), root.jwk).keysSeq).toBe(7);
  });

  const others: [string, Partial<Signing>][] = [
    ['keys that another root has signed', { rootKey: stranger.key }],
    ['keys that were signed for another purpose', { keysDomain: releaseDomain }],
    ['a manifest of a key that is not in the bundle', { signingKey: stranger.key }],
    ['a manifest that the root itself has signed', { signingKey: root.key }],
    ['a manifest that was signed for another purpose', { domain: releaseKeysDomain }],
    ['a manifest that was signed without a purpose', { domain: '' }],
    ['a manifest with a second key of the same name', { text: releaseText(release).replace('{', '{"seq":9,') }],
    ['a manifest with a key too many', { text: releaseText(release).replace('{', '{"urgent":true,') }],
    ['a manifest of another form', { text: releaseText(release).replace('release.v1', 'release.v2') }],
    ['a manifest that is no JSON', { text: 'release' }],
    ['a version that is a path', { text: textOf({ version: '1.2.0-../../x' }) }],
    ['a version with a line break behind it', { text: textOf({ version: '1.2.0\n' }) }],
    ['a file name that is a path', { text: releaseText(release).replace('bootstrap.sh', '../bootstrap.sh') }],
    ['a file twice', { text: textOf({ artifacts: [...release.artifacts, ...release.artifacts] }) }],
    ['a day that there is not', { text: textOf({ expires: '2027-13-01T00:00:00Z' }) }],
    ['a number that is none', { text: textOf({ seq: 1.5 }) }],
    ['a manifest without end', { text: releaseText(release) + ' '.repeat(70_000) }],
    ['a bundle without a number', { keys: signing.pem }],
    ['a bundle with number 0', { keys: bundleText(0, [signing.pem]) }],
    ['a bundle without a key', { keys: bundleText(1, []) }],
    ['a bundle of more keys than anybody needs', { keys: bundleText(1, Array(9).fill(signing.pem)) }],
    ['a key of another kind', { keys: bundleText(1, [signing.pem, elliptic()]) }],
  ];
  it.each(others)('are refused for %s', (_what, paper) => {
    expect(refusalOf(() => trustRelease(papers(paper), root.jwk)).code).toBe('update.untrusted');
  });

  it.each(['manifest', 'manifestSignature', 'keys', 'keysSignature'] as const)(
    'are refused where a byte of the %s is another, is missing or is too many',
    (name) => {
      const good = Buffer.from(papers()[name]);
      const flipped = good.map((byte, index) => (index === good.length >> 1 ? byte ^ 1 : byte));

      for (const bad of [flipped, good.subarray(0, -1), Buffer.concat([good, Buffer.from('\n')]), Buffer.alloc(0)]) {
        expect(refusalOf(() => trustRelease({ ...papers(), [name]: bad }, root.jwk)).code).toBe('update.untrusted');
      }
    },
  );
});

describe('a release', () => {
  it('that is newer is taken', () => {
    expect(judgeRelease(papers(), root.jwk, standing).release.version).toBe('1.2.0');
  });

  it('is taken by a host that has no agent yet', () => {
    const { current: _none, ...bare } = standing;

    admitRelease({ release, keysSeq: 1 }, { ...bare, memory: { seq: 0, floor: 0, keysSeq: 0 } });
  });

  const refused: [string, string, Partial<ReleaseStanding>, Partial<Release>?][] = [
    ['that has expired, to the second', 'update.expired', { now: Date.parse(release.expires) }],
    ['that is older than one that was here', 'update.older', { memory: { seq: 6, floor: 0, keysSeq: 1 } }],
    ['below the floor', 'update.below_floor', { memory: { seq: 4, floor: 6, keysSeq: 1 } }],
    [
      'below the floor, asked for or not',
      'update.below_floor',
      { memory: { seq: 9, floor: 6, keysSeq: 1 }, downgrade: true },
    ],
    ['that is below the floor it sets itself', 'update.below_floor', {}, { floor: 6 }],
    ['with older release keys than were here', 'update.untrusted', { memory: { seq: 4, floor: 2, keysSeq: 2 } }],
    ['that needs another one first', 'update.step_missing', { current: { version: '1.0.0', seq: 2 } }],
    ['for another processor', 'update.no_artifact', { arch: 'arm64' }],
    ['that is not the one this host is pinned to', 'update.pinned', { pinned: '1.1.0' }],
    ['that was rolled back here', 'update.skipped', { skipped: ['1.0.0', '1.2.0'] }],
  ];
  it.each(refused)('%s is refused', (_what, code, changes, other = {}) => {
    const trusted = { release: { ...release, ...other }, keysSeq: 1 };

    expect(refusalOf(() => admitRelease(trusted, { ...standing, ...changes })).code).toBe(code);
  });

  const taken: [string, Partial<ReleaseStanding>][] = [
    ['again: the one that was the last here', { memory: { seq: 5, floor: 2, keysSeq: 1 } }],
    ['by a host that is pinned to it', { pinned: '1.2.0' }],
    ['where no time can be believed', { now: null }],
    ['as a way back on purpose, not below the floor', { memory: { seq: 9, floor: 5, keysSeq: 1 }, downgrade: true }],
    ['once more by the same version, wherever that came from', { current: { version: '1.2.0', seq: 0 } }],
  ];
  it.each(taken)('is taken %s', (_what, changes) => {
    expect(() => admitRelease({ release, keysSeq: 1 }, { ...standing, ...changes })).not.toThrow();
  });

  it('says which facts refuse it', () => {
    const act = () => admitRelease({ release, keysSeq: 1 }, { ...standing, memory: { seq: 6, floor: 0, keysSeq: 1 } });

    expect(act).toThrow(expect.objectContaining({ detail: { version: '1.2.0', seq: 5, seen: 6 } }));
  });
});

describe('a file of a release', () => {
  const agent = artifactFor(release, 'agent', 'x64');
  const got = { size: file.length, sha256: sha256Of(file) };

  it('is found for a processor, and for any', () => {
    expect(artifactFor(release, 'bootstrap', 'arm64').name).toBe('bootstrap.sh');
    expect(refusalOf(() => artifactFor(release, 'compose', 'x64')).code).toBe('update.no_artifact');
  });

  it('is the one that is named', () => {
    expect(() => judgeArtifact(agent, 'packed', got)).not.toThrow();
  });

  it.each([
    ['was cut', 'packed', { ...got, size: got.size - 1 }],
    ['has other bytes', 'packed', { ...got, sha256: sha256Of(Buffer.from('an agent?')) }],
    ['unpacks to something else', 'unpacked', { size: 4, sha256: got.sha256 }],
    ['unpacks to more', 'unpacked', { size: 5, sha256: 'a'.repeat(64) }],
  ] as const)('is refused where it %s', (_what, form, bytes) => {
    expect(refusalOf(() => judgeArtifact(agent, form, bytes)).code).toBe('update.damaged');
  });

  it('is refused where nothing says what is in it', () => {
    const plain = artifactFor(release, 'bootstrap', 'x64');

    expect(refusalOf(() => judgeArtifact(plain, 'unpacked', got)).code).toBe('update.damaged');
  });
});

it('is written with one artifact a line, and each value on its own, for sed', () => {
  const lines = releaseText(release).split('\n');

  expect(lines).toContain('"version":"1.2.0",');
  expect(lines.filter((line) => line.startsWith('{"name":"'))).toHaveLength(2);
  expect(JSON.parse(releaseText(release))).toEqual(release);
  expect(releaseText(Object.fromEntries(Object.entries(release).reverse()) as Release)).toBe(releaseText(release));
});

function papers(signed: Partial<Signing> = {}): ReleasePapers {
  const usual = { text: releaseText(release), keys: bundleText(1, [signing.pem]), rootKey: root.key };
  return signedPapers({ ...usual, signingKey: signing.key, ...signed });
}

function textOf(changes: Partial<Release>): string {
  return releaseText({ ...release, ...changes });
}

function elliptic(): string {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return publicKey.export({ type: 'spki', format: 'pem' }) as string;
}
