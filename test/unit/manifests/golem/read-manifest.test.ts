/** What is refused in a computation payload manifest, what is warned about, and that other validators agree. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { Compile } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { PayloadManifest } from '../../../../src/contract/payload-manifest.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { judgeManifest } from '../../../../src/manifests/dialects.ts';
import {
  payloadManifestSchemaName,
  payloadManifestSchemaText,
} from '../../../../src/manifests/golem/manifest-schema.ts';
import { readGolemJob } from '../../../../src/manifests/golem/read-job.ts';
import { readPayloadManifest } from '../../../../src/manifests/golem/read-manifest.ts';
import { changedDocument } from '../../../support/changed-document.ts';
import { payloadManifest, withNetwork, withScript } from '../../../support/payload-manifests.ts';

const root = resolve(import.meta.dirname, '../../../..');
const folder = join(root, 'fixtures/manifests/golem');
const documents = globSync('*.in.json', { cwd: folder }).map((file) =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')),
);
const errorsOf = (document: unknown) => {
  const read = readPayloadManifest(document);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
};
const warningsOf = (document: object) => {
  const read = readPayloadManifest(document);
  return read.ok ? read.warnings.map(({ path, code }) => `${path} ${code}`) : ['refused'];
};

describe('a computation payload manifest', () => {
  it.each(['hello-world', 'curl'])('is the example %s of the reference document (M-45)', (name) => {
    const text = readFileSync(join(folder, `${name}.in.json`), 'utf8');

    expect(judgeManifest(text, { now: Date.parse('2026-01-01T00:00:00Z') })).toEqual({
      ...{ dialect: 'golem', valid: true, errors: [], warnings: [] },
    });
  });

  it('is told from other kinds, and read as JSON, as YAML, and in base64 as it is signed (M-9)', () => {
    const text = JSON.stringify(payloadManifest(), null, 2);
    const yaml = 'version: 0.1.0\npayload: [{urls: ["https://a.example/x"], hash: md5:a}]';

    expect(judgeManifest(Buffer.from(text).toString('base64'))).toMatchObject({ dialect: 'golem', valid: true });
    expect(judgeManifest(`${Buffer.from(text).toString('base64')}\n`)).toMatchObject({ dialect: 'golem', valid: true });
    expect(judgeManifest(yaml)).toMatchObject({ dialect: 'golem', errors: [{ path: '/payload/0/hash' }] });
    expect(judgeManifest('{"compManifest": {}}')).toMatchObject({ dialect: 'golem', valid: false });
    expect(judgeManifest('eyes')).toMatchObject({ dialect: null });
  });

  it.each([
    ['M-2', { version: 'abc' }, '/version pattern'],
    ['M-2', { version: '1.0' }, '/version pattern'],
    ['M-2', { version: '01.0.0' }, '/version pattern'],
    ['M-3', { createdAt: 'yesterday' }, '/createdAt pattern'],
    ['M-4', { expiresAt: '2023-02-29T00:00:00Z' }, '/expiresAt date'],
    ['M-7', { payload: [] }, '/payload minItems'],
    ['M-7', { payload: undefined }, '/payload required'],
    [
      'M-10',
      { payload: [{ platform: { os: 'linux' }, urls: ['https://a.example'], hash: `sha3:${'0'.repeat(56)}` }] },
      '/payload/0/platform/arch required',
    ],
    ['M-13', { payload: [{ urls: ['relative/x'], hash: `sha3:${'0'.repeat(56)}` }] }, '/payload/0/urls/0 pattern'],
    ['M-14', { payload: [{ urls: ['https://a.example'], hash: 'md5:abc' }] }, '/payload/0/hash pattern'],
    ['M-14', { payload: [{ urls: ['https://a.example'], hash: `sha3:${'0'.repeat(58)}` }] }, '/payload/0/hash pattern'],
    ['M-16', { compManifest: { version: 'one' } }, '/compManifest/version pattern'],
    ['M-16', { compManifest: {} }, '/compManifest/version required'],
    ['M-28', { compManifest: { version: '0.1.0', script: { match: 'glob' } } }, '/compManifest/script/match enum'],
    ['M-19', { compManifest: { version: '0.1.0', script: { commands: [7] } } }, '/compManifest/script/commands/0 type'],
    ['M-31', withScript(['run (?=a)'], 'regex'), '/compManifest/script/commands/0 rule'],
    [
      'M-35',
      withNetwork({ inet: { out: { protocols: ['ftp'], urls: [] } } }),
      '/compManifest/net/inet/out/protocols/0 enum',
    ],
    ['M-36', withNetwork({ inet: { out: { urls: ['nowhere'] } } }), '/compManifest/net/inet/out/urls/0 address'],
    ['M-40', withNetwork({ inet: {} }), '/compManifest/net/inet ambiguous'],
  ] as [string, object, string][])('is refused where %s says so: %j', (_id, over, expected) => {
    expect(errorsOf(JSON.parse(JSON.stringify({ ...payloadManifest(), ...over })))).toEqual([expected]);
  });

  it('says all that is wrong with it at once, its rules and addresses too (M-5)', () => {
    const wrong = {
      ...withNetwork({ inet: { out: { urls: ['http://10.0.0.1'] } } }, ['exec x']),
      ...{ version: 'x', createdAt: '2023-02-29T00:00:00Z' },
    };

    expect(errorsOf(wrong)).toEqual([
      '/version pattern',
      '/createdAt date',
      '/compManifest/script/commands/0 rule',
      '/compManifest/net/inet/out/urls/0 private',
    ]);
  });

  it('holds for a time where a clock says which it is (M-3, M-4)', () => {
    const text = JSON.stringify(payloadManifest({ expiresAt: '2025-01-01T00:00:00Z' }));
    const at = (date: string) => judgeManifest(text, { now: Date.parse(date) }).errors.map(({ code }) => code);

    expect(judgeManifest(text).valid).toBe(true);
    expect(at('2024-06-01T00:00:00Z')).toEqual([]);
    expect(at('2025-01-01T00:00:00Z')).toEqual(['expired']);
    expect(at('2022-09-14T23:54:00Z')).toEqual(['future']);
  });

  it('may be for any platform, and says for which others it is (M-10, M-11, M-12)', () => {
    const payload = (platform?: object) => ({
      ...{ urls: ['https://a.example/x'], hash: `sha3:${'0'.repeat(56)}` },
      ...(platform && { platform }),
    });
    const of = (...platforms: (object | undefined)[]) => ({ ...payloadManifest(), payload: platforms.map(payload) });
    const architectures = (document: object) => {
      const read = readGolemJob(document);
      return read.ok ? read.architectures : 'refused';
    };

    expect(architectures(of(undefined))).toBeUndefined();
    expect(architectures(of({ arch: 'x86_64', os: 'linux' }))).toEqual(['x86_64']);
    expect(architectures(of({ arch: 'amd64', os: 'linux' }, { arch: 'arm64', os: 'linux' }))).toEqual([
      'x86_64',
      'aarch64',
    ]);
    expect(architectures(of({ arch: 'x86_64', os: 'windows' }))).toEqual([]);
    expect(warningsOf(of({ arch: 'riscv64', os: 'linux' }, undefined, { arch: 'x86_64', os: 'linux' }))).toEqual([
      '/payload/0/platform no_host',
      '/payload/2 never_chosen',
    ]);
  });

  it('has metadata, which is shown: the name of its job and what else its author says (X-24)', () => {
    const metadata = { name: ' external\nAPI ', version: '0.1.1', authors: ['a'], homepage: 'https://a.example' };
    const read = readGolemJob(payloadManifest({ metadata }));

    expect(read.ok && [read.nameOf('script'), read.about]).toEqual(['external API', metadata]);
    const bare = readGolemJob(payloadManifest());
    expect(bare.ok && [bare.nameOf('script'), bare.about]).toEqual(['script', undefined]);
  });

  it('is warned about where it says something that nobody reads', () => {
    expect(warningsOf({ ...payloadManifest(), expires_at: 'x', payloads: [], note: 1 })).toEqual([
      '/expires_at typo',
      '/payloads typo',
    ]);
    expect(warningsOf({ ...payloadManifest({ compManifest: { version: '0.1.0' } }), metadata: { name: 'a' } })).toEqual(
      ['/metadata published'],
    );
    const { createdAt: _created, expiresAt: _expires, ...undated } = payloadManifest();
    expect(warningsOf(undated)).toEqual(['/createdAt undated', '/expiresAt undated']);
    const read = readPayloadManifest(undated);
    expect(read.ok && read.warnings.map(({ message }) => /hosts .* refuse/.test(message))).toEqual([false, true]);
  });
});

describe('the schema of manifests', () => {
  const published = readFileSync(join(root, 'docs/schemas', payloadManifestSchemaName), 'utf8');

  it('is published, byte for byte: `gpuaas manifest schema golem` renews it (M-5)', () => {
    expect(published).toBe(payloadManifestSchemaText());
  });

  const changed = changedDocument(documents, ['0.1.0', 'sha3:00', 'strict', '2022-09-15T00:00:00Z']);

  it('lets another validator that has nothing else come to the same verdict (M-6)', () => {
    const theirs = Compile(JSON.parse(published));

    for (const document of documents) expect(theirs.Check(document)).toBe(true);
    fc.assert(
      fc.property(changed, (document) => {
        const ours = judge(PayloadManifest, document).ok;
        expect(theirs.Check(document), JSON.stringify(document)).toBe(ours);
        // What only a look at the whole can tell is refused beside that, and never the other way round.
        if (!ours) expect(readPayloadManifest(document).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
