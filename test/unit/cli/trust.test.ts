/** `node-agent trust`: what an operator settles, and what it means for a manifest. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main.ts';
import { type Author, base64, makeAuthor, proofOf } from '../../support/authors.ts';
import { payloadManifest, withNetwork, withScript } from '../../support/payload-manifests.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('trust-command');
const root = makeAuthor(folder, 'root');
const author = makeAuthor(folder, 'author', { issuer: root });
const online = withNetwork({ inet: { out: { urls: ['https://api.example.com'] } } });

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** A host of its own: nothing is settled there. */
function newHost() {
  const etc = mkdtempSync(join(folder, 'etc-'));
  const trust = async (...args: string[]) => await nodeAgent('trust', ...args, '--config', join(etc, 'agent.json'));
  const file = (name: string, content: string | Buffer) => {
    const path = join(etc, name);
    writeFileSync(path, content);
    return path;
  };
  return { etc, trust, file, settings: () => JSON.parse(readFileSync(join(etc, 'trust.json'), 'utf8')) };
}

describe('certificates', () => {
  it('are imported with a rule, and listed, and forgotten again (M-41)', async () => {
    const { etc, trust, settings } = newHost();

    const added = await trust('add', author.certFile, '--json');
    const id = idIn(added.json);

    expect(added.code).toBe(0);
    expect(added.json).toMatchObject({
      settings: join(etc, 'trust.json'),
      keystore: [{ id, subject: 'CN=author', issuer: 'CN=root', audited: 'all', partner: null, trouble: null }],
    });
    expect(id).toMatch(/^[0-9a-f]{128}$/);
    expect((await trust('list')).stdout).toMatch(
      new RegExp(`^${id.slice(0, 16)}…  CN=author .* all +- +in order$`, 'm'),
    );
    expect(settings().outbound.audited_payload).toEqual({ [id]: 'all' });

    const removed = await trust('remove', id.slice(0, 10));

    expect(removed).toMatchObject({ code: 0, stdout: expect.stringContaining('Not known any more') });
    expect(settings().outbound.audited_payload).toEqual({});
    expect(readdirSync(join(etc, 'trust'))).toEqual([]);
    expect(await trust('remove', id)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('no such certificate'),
    });
  });

  it('are the same certificate however often they are added, and have the last rule', async () => {
    const { etc, trust, settings } = newHost();

    await trust('add', author.certFile);
    const again = await trust('add', author.certFile, '--audited', 'whitelist', '--partner', 'none', '--json');

    expect(again.json).toMatchObject({ keystore: [{ audited: 'whitelist', partner: 'none' }] });
    expect(readdirSync(join(etc, 'trust'))).toHaveLength(1);
    const id = idIn(again.json);
    await trust('rules', id.slice(0, 8), '--audited', 'unset', '--partner', 'all');
    expect(settings().outbound).toMatchObject({ audited_payload: {}, partner: { [id]: 'all' } });
  });

  it('may be a stack, of which the author gets the rule, and may be DER', async () => {
    const { trust, file } = newHost();
    const der = Buffer.from(author.pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');

    const { json } = await trust('add', file('stack.pem', author.pem + root.pem), '--json');
    const again = await trust('add', file('author.der', der), '--json');

    expect((json as { keystore: unknown }).keystore).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ subject: 'CN=author', audited: 'all' }),
        expect.objectContaining({ subject: 'CN=root', audited: null }),
      ]),
    );
    expect(again.json).toEqual(json);
  });

  it('that lead nowhere are imported with a warning', async () => {
    const { trust } = newHost();
    const old = makeAuthor(folder, 'old', { kind: 'rsa-1024' });

    const { code, stderr, stdout } = await trust('add', old.certFile);

    expect(code).toBe(0);
    expect(stderr).toContain('has an RSA key of 1024 bits');
    expect(stdout).toMatch(/CN=old .*has an RSA key/);
  });

  it.each<[string, (file: (name: string, content: string) => string) => string[], string]>([
    ['no certificate', (file) => ['add', file('x', 'hello')], 'holds no certificate'],
    ['a private key', () => ['add', author.keyFile], 'holds a private key'],
    ['a file that is not there', () => ['add', join(folder, 'absent')], 'cannot be read: ENOENT'],
    ['the certificates of two', (file) => ['add', file('two', root.pem + makeAuthor(folder, 'two').pem)], 'of several'],
    ['an ID that is none', () => ['rules', 'nobody', '--audited', 'all'], 'An ID is hexadecimal'],
    ['an ID that nobody has', () => ['rules', '0123456789', '--audited', 'all'], 'There is no certificate 0123456789'],
    ['a rule for nobody', () => ['rules', '--audited', 'all'], 'want the ID'],
    ['an ID without a rule', () => ['rules', '0123456789'], 'want the ID'],
    ['a mode that there is not', () => ['rules', '--everyone', 'some'], 'all, none, whitelist'],
    ['an expression that looks ahead', () => ['whitelist', 'add', '--regex', '(?=x)'], 'no expression of RE2'],
    ['a URL for a host', () => ['whitelist', 'add', 'https://example.com'], 'not the name of a host'],
    ['a host and its port', () => ['whitelist', 'add', 'example.com:80'], 'not the name of a host'],
    ['nothing to add', () => ['whitelist', 'add'], 'Say which hosts'],
  ])('and rules are not changed by %s', async (_what, args, why) => {
    const { etc, trust, file } = newHost();

    const { code, stderr } = await trust(...args(file));

    expect([code, existsSync(join(etc, 'trust.json'))]).toEqual([2, false]);
    expect(stderr).toContain(why);
  });
});

describe('settings', () => {
  it('are what upstream has by default, and each can be changed (M-17)', async () => {
    const { trust, settings } = newHost();

    expect((await trust('rules', '--json')).json).toMatchObject({
      outbound: { enabled: true, everyone: 'whitelist', audited_payload: {}, partner: {} },
      ...{ whitelist: [], undated: 'refuse', compat: 'strict', keystore: [] },
    });
    await trust('rules', '--outbound', 'off', '--everyone', 'none', '--undated', 'accept', '--compat', 'yagna');

    expect(settings()).toMatchObject({
      outbound: { enabled: false, everyone: 'none' },
      ...{ undated: 'accept', compat: 'yagna' },
    });
    expect((await trust('list')).stdout).toContain('off: no manifest may have the network');
  });

  it('have a whitelist, each host of it once, in lower case (M-42)', async () => {
    const { trust } = newHost();

    await trust('whitelist', 'add', 'API.example.com', 'example.org');
    await trust('whitelist', 'add', 'api.example.com', '--json');
    await trust('whitelist', 'add', '--regex', '\\.example\\.net$');
    const { stdout } = await trust('whitelist');

    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ +/)),
    ).toEqual([
      ['MATCH', 'PATTERN'],
      ['strict', 'api.example.com'],
      ['strict', 'example.org'],
      ['regex', '\\.example\\.net$'],
    ]);
    expect((await trust('whitelist', 'remove', 'EXAMPLE.org', 'nobody.example', '--json')).json).toEqual({
      whitelist: [
        { match: 'strict', pattern: 'api.example.com' },
        { match: 'regex', pattern: '\\.example\\.net$' },
      ],
    });
  });

  it('can be read by the agent whatever the umask of the operator is', async () => {
    const { etc, trust } = newHost();
    const before = process.umask(0o077);
    try {
      await trust('add', author.certFile);
    } finally {
      process.umask(before);
    }
    const [name = ''] = readdirSync(join(etc, 'trust'));

    expect(['trust.json', 'trust', join('trust', name)].map((each) => statSync(join(etc, each)).mode & 0o777)).toEqual([
      ...[0o644, 0o755, 0o644],
    ]);
  });

  it.each([
    ['is no JSON', '{', 'is not JSON'],
    ['is a list', '[]', 'holds no JSON object'],
    ['says what nobody knows', '{"telepathy": true}', '/telepathy'],
    ['has an ID that is none', '{"outbound": {"audited_payload": {"abc": "all"}}}', '/outbound/audited_payload/abc'],
    ['has an expression that is none', '{"whitelist": [{"pattern": "(", "match": "regex"}]}', '/whitelist/0/pattern'],
  ])('that nobody can read are said to be, also where a manifest is tried: trust.json %s', async (_what, text, why) => {
    const { trust, file } = newHost();
    file('trust.json', text);

    for (const args of [['list'], ['test', file('m.json', JSON.stringify(payloadManifest()))]]) {
      const { code, json } = await trust(...args, '--json');

      expect(code).toBe(2);
      expect(json).toMatchObject({ failure: { code: 'trust.unusable' } });
      expect(JSON.stringify(json)).toContain(why);
    }
  });

  it('with a file among the certificates that holds none are refused by its name', async () => {
    const { etc, trust, file } = newHost();
    mkdirSync(join(etc, 'trust'));
    file('trust/a.txt', 'not looked at');
    file('trust/b.pem', 'hello');

    const { code, stderr } = await trust('list');

    expect(code).toBe(2);
    expect(stderr).toContain('trust/b.pem holds no certificate');
  });

  it('of certificates that an operator has put there by hand are as good, and are taken away one by one', async () => {
    const { etc, trust, file } = newHost();
    mkdirSync(join(etc, 'trust'));
    file('trust/mine.pem', `A comment.\n${root.pem}${author.pem}`);

    const { json } = await trust('list', '--json');
    await trust('remove', idIn(json, 'CN=author'));

    expect((await trust('list', '--json')).json).toMatchObject({ keystore: [{ subject: 'CN=root' }] });
    expect(readFileSync(join(etc, 'trust/mine.pem'), 'utf8')).toContain('BEGIN CERTIFICATE');
  });
});

describe('a manifest that is tried', () => {
  const sent = (host: ReturnType<typeof newHost>, by: Author, manifest: object = online) => {
    const text = base64(manifest);
    const { signature, certificate } = proofOf(text, by);
    return {
      manifest: host.file('manifest.json', JSON.stringify(manifest)),
      signed: [
        ...['--signature', host.file('manifest.sig', `${signature.replaceAll(/(.{64})/g, '$1\n')}\n`)],
        ...['--certificate', host.file('author.pem', Buffer.from(certificate, 'base64'))],
      ],
    };
  };

  it('is refused with each step, and accepted once its author is known (M-43)', async () => {
    const host = newHost();
    const { manifest, signed } = sent(host, author);

    expect(await host.trust('test', manifest)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^refused {2}.*\n\n {2}rules +passed .*\n {2}dates +passed .*\n.*\n.*\n.*\n {2}audited_payload +refused +It is not signed\.$/m,
      ),
    });
    expect(await host.trust('test', manifest, ...signed, '--json')).toMatchObject({
      ...{ code: 1, json: { accepted: false } },
    });
    await host.trust('add', author.certFile);
    const accepted = await host.trust('test', manifest, ...signed, '--json');
    expect(accepted).toMatchObject({ code: 0, json: { accepted: true } });
    expect(accepted.json).toMatchObject({
      steps: expect.arrayContaining([expect.objectContaining({ what: 'audited_payload', outcome: 'accepted' })]),
    });
  });

  it.each<[string, object, RegExp]>([
    ['an expression', withScript(['run ('], 'regex'), /rules +refused +Its \/compManifest\/script\/commands\/0 is no /],
    ['a network', withNetwork({ inet: {} }), /rules +refused +Its \/compManifest\/net\/inet/],
  ])('is refused for %s that no host holds to, whoever has signed it', async (_what, manifest, why) => {
    const host = newHost();
    await host.trust('add', author.certFile);
    const { manifest: file, signed } = sent(host, author, manifest);
    const { code, stdout } = await host.trust('test', file, ...signed);

    expect(code).toBe(1);
    expect(stdout).toMatch(/^refused/);
    expect(stdout).toMatch(why);
  });

  it('has its rules read as the operator has settled it', async () => {
    const host = newHost();
    const file = host.file('m.json', JSON.stringify(withScript(['run ('], 'regex')));
    await host.trust('rules', '--compat', 'yagna');

    expect((await host.trust('test', file)).code).toBe(0);
  });

  it('may be its base64, or all of it in one', async () => {
    const host = newHost();
    await host.trust('add', author.certFile);
    const { signed } = sent(host, author);
    const text = base64(online);
    const whole = { manifest: text, proof: proofOf(text, author) };

    expect((await host.trust('test', host.file('m.b64', `${text}\n`), ...signed)).code).toBe(0);
    expect((await host.trust('test', host.file('whole.json', JSON.stringify(whole)))).code).toBe(0);
    expect((await host.trust('test', host.file('whole.json', JSON.stringify(whole)), ...signed)).code).toBe(2);
  });

  it('may be of a partner, for one project, and at another time', async () => {
    const host = newHost();
    await host.trust('add', author.certFile, '--partner', 'all');
    const document = base64({
      projectId: 'project-1',
      notBefore: '2026-01-01T00:00:00Z',
      notAfter: '2099-01-01T00:00:00Z',
    });
    const partner = host.file('partner.json', JSON.stringify({ document, ...proofOf(document, author) }));
    const { manifest } = sent(host, author);
    const codeOf = async (...args: string[]) =>
      (await host.trust('test', manifest, '--partner', partner, ...args)).code;

    expect(await codeOf('--project', 'project-1')).toBe(0);
    expect(await codeOf('--project', 'project-2')).toBe(1);
    expect(await codeOf('--project', 'project-1', '--at', '2098-01-01T00:00:00Z')).toBe(1);
  });

  it.each<[string, (host: ReturnType<typeof newHost>) => string[]]>([
    ['that is none', (host) => [host.file('m.json', '{}')]],
    ['that is not there', () => [join(folder, 'absent')]],
    ['with half a proof', (host) => [sent(host, author).manifest, '--signature', author.certFile]],
    ['at no time', (host) => [sent(host, author).manifest, '--at', 'tomorrow']],
    ['with what is no document of a partner', (host) => [sent(host, author).manifest, '--partner', author.certFile]],
  ])('is unusable %s', async (_what, args) => {
    const host = newHost();

    expect((await host.trust('test', ...args(host))).code).toBe(2);
  });
});

it('completes what begins the ID of a certificate', async () => {
  const { etc, trust } = newHost();
  const id = idIn((await trust('add', author.certFile, '--json')).json);
  vi.stubEnv('GPUAAS_AGENT_CONFIG', join(etc, 'agent.json'));

  expect((await nodeAgent('complete', 'trust', id.slice(0, 2))).stdout).toBe(`${id.slice(0, 16)}\tCN=author\n`);
  expect((await nodeAgent('completion', 'bash')).stdout).toContain(
    "' trust remove') words='--config --json --help' kind='trust'",
  );
});

it('has its places in the configuration, and its schema', async () => {
  const { etc, file } = newHost();
  const user = { uid: 1234, gid: 1234, home: '/home/tenant' };
  const config = file('agent.json', JSON.stringify({ allocation: { id: 'alloc-1', user } }));

  expect((await nodeAgent('config', '--config', config, '--json')).json).toMatchObject({
    trust: { settings: join(etc, 'trust.json'), certificates: join(etc, 'trust') },
  });
  expect((await nodeAgent('config', '--config', config)).stdout).toContain(join(etc, 'trust.json'));
  expect((await nodeAgent('schema', 'trust', '--json')).json).toMatchObject({ properties: { outbound: {} } });
});

function idIn(json: unknown, subject?: string): string {
  const { keystore } = json as { keystore: { id: string; subject: string }[] };
  return keystore.find((each) => subject === undefined || each.subject === subject)?.id ?? '';
}

async function nodeAgent(...args: string[]) {
  let [stdout, stderr] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const code = await main(args);
  vi.restoreAllMocks();
  return { code, stdout, stderr, json: args.includes('--json') ? (JSON.parse(stdout) as unknown) : undefined };
}
