/** What a manifest promises of the network, and what is refused because it could mean two things. */
import { describe, expect, it } from 'vitest';
import { letsThrough, readNetworkRules } from '../../../../src/policy/promises/network-rules.ts';
import { payloadManifest, withNetwork } from '../../../support/payload-manifests.ts';

const outOf = (out: unknown) => readNetworkRules(withNetwork({ inet: { out } }));
const urls = (...list: string[]) => outOf({ urls: list });
const errorsOf = (read: ReturnType<typeof readNetworkRules>) =>
  read.ok ? [] : read.errors.map(({ path, message }) => `${path.replace('/compManifest/net/inet', '')}: ${message}`);

describe('the network of a manifest', () => {
  it.each([
    ['without compManifest', payloadManifest()],
    ['without net (M-39)', payloadManifest({ compManifest: { version: '0.1.0' } })],
    ['without inet', withNetwork({})],
    ['with an empty list', withNetwork({ inet: { out: { urls: [] } } })],
  ])('is none %s', (_what, manifest) => {
    expect(readNetworkRules(manifest)).toEqual({ ok: true, egress: 'none', warnings: [] });
  });

  it('is scheme, host and port of each address (M-36)', () => {
    expect(urls('https://Api.Example.com.', 'http://api.example.com:8080', 'https://bücher.example:443/')).toEqual({
      ok: true,
      egress: {
        rules: [
          { scheme: 'https', host: 'api.example.com', port: 443 },
          { scheme: 'http', host: 'api.example.com', port: 8080 },
          { scheme: 'https', host: 'xn--bcher-kva.example', port: 443 },
        ],
        any_public: [],
      },
      warnings: [],
    });
  });

  it('is told that paths do not count, and has an address once', () => {
    const read = urls('https://a.example/file1', 'https://a.example/file2', 'https://[2606:4700::1111]:1/?x#y');

    expect(read).toMatchObject({ egress: { rules: [{ host: 'a.example' }, { host: '[2606:4700::1111]', port: 1 }] } });
    expect(read.ok && read.warnings.map(({ path }) => path.split('/').at(-1))).toEqual(['0', '1', '2']);
  });

  it('is any public address only where it says so, in its protocols', () => {
    expect(outOf({ unrestricted: { urls: true } })).toMatchObject({ egress: { any_public: ['http', 'https'] } });
    expect(outOf({ unrestricted: { urls: true }, protocols: ['https'] })).toMatchObject({
      egress: { rules: [], any_public: ['https'] },
    });
  });

  it('is refused where it could mean all or nothing (M-40)', () => {
    expect(errorsOf(readNetworkRules(withNetwork({ inet: {} })))).toEqual([expect.stringContaining('must have out')]);
    expect(errorsOf(outOf({}))).toEqual([expect.stringMatching(/^\/out: must have urls, or unrestricted/)]);
    expect(errorsOf(outOf({ protocols: ['https'] }))).toEqual([expect.stringMatching(/^\/out: must have urls/)]);
    expect(errorsOf(outOf({ unrestricted: { urls: false } }))).toEqual([expect.stringMatching(/^\/out: must have/)]);
    expect(errorsOf(outOf({ unrestricted: { urls: true }, urls: ['https://a.example'] }))).toEqual([
      expect.stringMatching(/^\/out\/unrestricted: must not stand beside urls/),
    ]);
    expect(errorsOf(outOf({ unrestricted: { urls: true }, protocols: [] }))).toEqual([
      expect.stringMatching(/^\/out\/protocols: must name a protocol/),
    ]);
  });

  it('is refused where its protocols exclude its own address (M-35, M-38)', () => {
    expect(errorsOf(outOf({ protocols: ['https'], urls: ['https://a.example', 'http://b.example'] }))).toEqual([
      '/out/urls/1: is http, which is not among its protocols',
    ]);
  });

  it.each([
    ...[
      'ftp://a.example',
      'tcp://a.example:1',
      'ws://a.example',
      'a.example',
      '//a.example',
      '/x',
      'https://',
      'https:a',
    ],
    ...['https:///a', 'https://?x', 'https://*.example.com', 'https://a.example:0', 'https://a.example:70000'],
    ...[
      'https://user@a.example',
      'https://:p@a.example',
      'https://a..example',
      'https://-a.example',
      'https://a b.example',
    ],
    ...['https://a.example\\@b.example', 'https://a.example\n', 'https://%00.example', 'https://a.example..'],
  ])('is refused with %j, which is no address (M-35)', (url) => {
    expect(errorsOf(urls('https://ok.example', url))).toEqual([expect.stringMatching(/^\/out\/urls\/1: /)]);
  });

  it.each([
    ...[
      'http://127.0.0.1',
      'http://127.1',
      'http://0x7f000001',
      'http://10.0.0.1:8080',
      'http://169.254.169.254/latest',
    ],
    ...['http://[::1]', 'http://[fd00:ec2::254]', 'http://[::ffff:10.0.0.1]', 'http://192.168.1.1', 'http://0.0.0.0'],
    ...['http://localhost:3000', 'http://a.localhost', 'http://LOCALHOST.'],
  ])('is refused with %j, which is never let through', (url) => {
    expect(errorsOf(urls(url))).toEqual([expect.stringMatching(/^\/out\/urls\/0: is .* never let through$/)]);
  });

  it('lets through what it names and nothing else', () => {
    const read = urls('https://a.example', 'http://b.example:8080');
    const egress = read.ok ? read.egress : 'none';
    const rule = (scheme: 'http' | 'https', host: string, port: number) => letsThrough(egress, { scheme, host, port });

    expect(rule('https', 'a.example', 443)).toBe(true);
    expect(rule('http', 'b.example', 8080)).toBe(true);
    expect(rule('http', 'a.example', 80)).toBe(false);
    expect(rule('https', 'a.example', 8443)).toBe(false);
    expect(rule('https', 'x.a.example', 443)).toBe(false);
  });
});
