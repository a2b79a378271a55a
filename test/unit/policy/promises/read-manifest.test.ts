/** How a manifest is read that travels with a plan, and when it holds. */
import { describe, expect, it } from 'vitest';
import type { PayloadManifest } from '../../../../src/contract/payload-manifest.ts';
import { checkTime, timeOf } from '../../../../src/policy/promises/dates.ts';
import { readManifest } from '../../../../src/policy/promises/read-manifest.ts';
import { payloadManifest } from '../../../support/payload-manifests.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const errorsOf = (manifest: object) => {
  const read = readManifest(JSON.stringify(manifest));
  return read.ok ? [] : read.errors.map(({ path, message }) => `${path} ${message}`);
};
const withPayload = (over: Partial<PayloadManifest['payload'][number]>) => {
  const manifest = payloadManifest();
  return { ...manifest, payload: manifest.payload.map((each) => ({ ...each, ...over })) };
};
const sha = 'a'.repeat(64);

describe('a manifest', () => {
  it('is read as JSON and as the base64 of it (M-9)', () => {
    const text = JSON.stringify(payloadManifest());

    expect(readManifest(text)).toEqual({ ok: true, value: payloadManifest() });
    expect(readManifest(base64(text))).toEqual({ ok: true, value: payloadManifest() });
  });

  it.each([
    ['what is neither', 'hello world'],
    ['base64 with a line break', `${base64('{}')}\n`],
    ['base64 of something else', base64('hello')],
    ['base64 of no UTF-8', Buffer.from([0x7b, 0xff, 0x7d, 0]).toString('base64')],
    ['a key twice', base64('{"version": "0.1.0", "version": "0.2.0"}')],
    ['nothing', ''],
  ])('is not %s', (_what, text) => {
    expect(readManifest(text)).toMatchObject({ ok: false });
  });

  it('may say more than anybody knows', () => {
    expect(errorsOf({ ...payloadManifest(), x: 1, metadata: { name: 'a', more: [] } })).toEqual([]);
  });

  it('says where it is wrong, all of it at once (M-2, M-7)', () => {
    expect(errorsOf({ ...payloadManifest(), version: 'abc', payload: [] })).toEqual([
      expect.stringMatching(/^\/version /),
      expect.stringMatching(/^\/payload /),
    ]);
  });

  it.each([
    [{ hash: 'md5:abc' }, '/payload/0/hash'],
    [{ hash: 'sha3:abcd' }, '/payload/0/hash'],
    [{ urls: [] }, '/payload/0/urls'],
    [{ urls: ['ftp://a.example/x'] }, '/payload/0/urls/0'],
    [{ urls: ['https://a.example/x', 'https://user@a.example/x'] }, '/payload/0/urls/1'],
    [{ urls: ['docker://a.example/x@sha256:a'] }, '/payload/0/urls/0'],
    [{ hash: `sha256:${sha}` }, '/payload/0/urls/0'],
    [{ hash: `sha256:${sha}`, urls: [`docker://a.example/x@sha256:${'b'.repeat(64)}`] }, '/payload/0/urls/0'],
    [{ hash: `sha256:${sha}`, urls: [`docker://x@sha256:${sha}`] }, '/payload/0/urls/0'],
    [{ hash: `sha256:${sha}`, urls: ['docker://a.example/x:latest'] }, '/payload/0/urls/0'],
  ] as [object, string][])('is refused with the payload %j (M-13, M-14)', (over, path) => {
    expect(errorsOf(withPayload(over)).map((error) => error.split(' ')[0])).toEqual([path]);
  });

  it('has images to download by http or https, and OCI images by the digest that is their hash', () => {
    expect(errorsOf(withPayload({ urls: ['https://a.example/x.gvmi', 'http://10.0.0.1/x.gvmi'] }))).toEqual([]);
    expect(errorsOf(withPayload({ hash: `sha256:${sha}`, urls: [`docker://a.example/x@sha256:${sha}`] }))).toEqual([]);
  });
});

describe('a date', () => {
  it.each([
    ['2022-09-15T00:00:00.000000Z', '2022-09-15T00:00:00.000Z'],
    ['2022-09-15T02:30:00.123456789+02:30', '2022-09-15T00:00:00.123Z'],
    ['2022-09-15t00:00:00-01:00', '2022-09-15T01:00:00.000Z'],
    ['2024-02-29T00:00:00z', '2024-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
  ])('%s is %s (M-3, M-4)', (text, expected) => {
    expect(new Date(timeOf(text) ?? Number.NaN).toISOString()).toBe(expected);
  });

  it.each([
    ...['2023-02-29T00:00:00Z', '2022-13-01T00:00:00Z', '2022-00-01T00:00:00Z', '2022-04-31T00:00:00Z'],
    ...['2022-01-01T24:00:00Z', '2022-01-01T00:60:00Z', '2022-01-01T00:00:60Z', '2022-01-01T00:00:00+24:00'],
  ])('%s is a day or a time that there is not (M-3, M-4)', (date) => {
    expect(timeOf(date)).toBeUndefined();
    expect(errorsOf(payloadManifest({ createdAt: date }))).toEqual(['/createdAt is a day or a time that there is not']);
  });

  it.each(['2022-09-15', '2022-09-15T00:00:00', '2022-09-15 00:00:00Z', 'soon'])('%s is none', (date) => {
    expect(errorsOf(payloadManifest({ expiresAt: date }))).toEqual([expect.stringMatching(/^\/expiresAt /)]);
  });

  it('ends a manifest after it begins', () => {
    expect(errorsOf(payloadManifest({ expiresAt: '2022-09-14T00:00:00Z' }))).toEqual([
      '/expiresAt must be after createdAt',
    ]);
  });

  it('ends a manifest, and begins it with five minutes to spare for clocks (M-3, M-4)', () => {
    const manifest = payloadManifest({ createdAt: '2026-01-01T00:00:00Z', expiresAt: '2026-01-02T00:00:00Z' });
    const codesAt = (date: string) => checkTime(manifest, Date.parse(date)).map(({ path, code }) => `${path} ${code}`);

    expect(codesAt('2025-12-31T23:54:59Z')).toEqual(['/createdAt future']);
    expect(codesAt('2025-12-31T23:55:00Z')).toEqual([]);
    expect(codesAt('2026-01-01T23:59:59Z')).toEqual([]);
    expect(codesAt('2026-01-02T00:00:00Z')).toEqual(['/expiresAt expired']);
    expect(checkTime({}, 0)).toEqual([]);
  });
});
