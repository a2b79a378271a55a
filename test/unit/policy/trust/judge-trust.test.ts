import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { PayloadManifest, SignedManifest } from '../../../../src/contract/payload-manifest.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { readCertificates } from '../../../../src/policy/trust/certificates.ts';
import { judgeTrust, type TrustQuestion } from '../../../../src/policy/trust/judge-trust.ts';
import { TrustSettings } from '../../../../src/policy/trust/trust-settings.ts';
import { type Author, authority, base64, makeAuthor, proofOf } from '../../../support/authors.ts';

const folder = mkdtempSync(join(tmpdir(), 'trust-'));
afterAll(() => rmSync(folder, { recursive: true }));

const root = makeAuthor(folder, 'root');
const between = makeAuthor(folder, 'between', { issuer: root, extensions: authority });
const author = makeAuthor(folder, 'author', { issuer: between });
const stranger = makeAuthor(folder, 'stranger');
const now = Date.now() + 60_000;
const at = (ms: number) => new Date(ms).toISOString();
const hour = 3_600_000;

type Out = NonNullable<NonNullable<NonNullable<NonNullable<PayloadManifest['compManifest']>['net']>['inet']>['out']>;
const dated = { createdAt: at(now - hour), expiresAt: at(now + hour) };
const offline: PayloadManifest = {
  ...{ version: '0.1.0', ...dated },
  payload: [{ urls: ['http://example.com/image.gvmi'], hash: `sha3:${'0'.repeat(56)}` }],
};

function online(out: Out = { urls: ['https://api.example.com/v1'] }): PayloadManifest {
  return { ...offline, compManifest: { version: '0.1.0', net: { inet: { out } } } };
}

const defaults: TrustSettings = {
  outbound: { enabled: true, everyone: 'whitelist', audited_payload: {}, partner: {} },
  ...{ whitelist: [], compat: 'strict', undated: 'refuse' },
};

interface Asked extends Partial<Pick<TrustQuestion, 'project' | 'now'>> {
  readonly manifest?: PayloadManifest;
  readonly by?: Author;
  readonly partner?: SignedManifest['partner'];
  readonly outbound?: Partial<TrustSettings['outbound']>;
  readonly settings?: Partial<TrustSettings>;
  readonly known?: readonly Author[];
}

function ask({ manifest = online(), by, partner, outbound, settings, known = [root], ...rest }: Asked = {}) {
  const text = base64(manifest);
  const signed = {
    manifest: text,
    ...(by && { proof: proofOf(text, by, { stack: [between] }) }),
    ...(partner && { partner }),
  };
  const keystore = known.flatMap(knownOf);
  const all = { ...defaults, ...settings, outbound: { ...defaults.outbound, ...outbound } };
  const verdict = judgeTrust({ manifest, signed, project: 'project-1', settings: all, keystore, now, ...rest });
  const why = Object.fromEntries(
    verdict.steps.map(({ what, outcome, why: said }) => [
      what,
      `${outcome}: ${said.replaceAll(/ \([0-9a-f]{16}…\)/g, '')}`,
    ]),
  );
  return { accepted: verdict.accepted, ...why };
}

function knownOf({ pem }: Author) {
  const read = readCertificates(Buffer.from(pem));
  if (!read.ok) throw new Error(read.why);
  return read.certificates;
}

const idOf = (by: Author) => knownOf(by)[0]?.id ?? '';

describe('a manifest', () => {
  it('that wants no network needs no signature, whatever the rules are (M-43)', () => {
    const outbound = { enabled: false, everyone: 'none' } as const;

    for (const manifest of [offline, online({ urls: [] }), { ...offline, compManifest: { version: '0.1.0' } }]) {
      expect(ask({ manifest, outbound })).toMatchObject({
        accepted: true,
        network: 'accepted: It asks for no network, and so needs no signature.',
      });
    }
  });

  it('that wants the network is refused without a signature, with what each rule lacks (M-42, M-43)', () => {
    expect(ask()).toEqual({
      accepted: false,
      dates: `passed: It holds until ${dated.expiresAt}.`,
      network: 'passed: It asks for api.example.com.',
      outbound: 'passed: This host lets jobs have the network.',
      everyone: 'refused: The rule for everyone is `whitelist`, and it does not have api.example.com.',
      audited_payload: 'refused: It is not signed.',
      partner: 'refused: Nothing was sent that makes its project a partner.',
    });
  });

  it('is accepted where the author was imported and has a rule (M-41)', () => {
    expect(ask({ by: author, outbound: { audited_payload: { [idOf(root)]: 'all' } } })).toMatchObject({
      accepted: true,
      audited_payload: 'accepted: It was signed by CN=author; the nearest rule, that of CN=root, is `all`.',
    });
    expect(ask({ by: author })).toMatchObject({
      accepted: false,
      audited_payload: 'refused: It was signed by CN=author, and no certificate of that chain has a rule.',
    });
    expect(ask({ by: stranger, outbound: { audited_payload: { [idOf(stranger)]: 'all' } } }).accepted).toBe(false);
  });

  it('that was changed after it was signed is refused', () => {
    const signed = { manifest: base64(online()), proof: proofOf(base64(offline), author, { stack: [between] }) };
    const settings = {
      ...defaults,
      outbound: { ...defaults.outbound, audited_payload: { [idOf(root)]: 'all' as const } },
    };
    const keystore = knownOf(root);

    expect(judgeTrust({ manifest: online(), signed, project: 'p', settings, keystore, now }).accepted).toBe(false);
  });

  it('is judged by the rule that is nearest to its signer', () => {
    const rule = (audited_payload: TrustSettings['outbound']['audited_payload']) =>
      ask({ by: author, outbound: { audited_payload } }).accepted;

    expect(rule({ [idOf(root)]: 'all', [idOf(between)]: 'none' })).toBe(false);
    expect(rule({ [idOf(root)]: 'none', [idOf(between)]: 'all' })).toBe(true);
    expect(rule({ [idOf(root)]: 'none', [idOf(between)]: 'none', [idOf(author)]: 'all' })).toBe(true);
  });

  it('is accepted if any of the rules accepts it, and refused by all where the host lets nobody out', () => {
    expect(ask({ outbound: { everyone: 'all' } }).accepted).toBe(true);
    expect(ask({ by: stranger, outbound: { everyone: 'all' } }).accepted).toBe(true);
    expect(ask({ outbound: { enabled: false, everyone: 'all' } })).toMatchObject({
      accepted: false,
      outbound: 'refused: This host lets no job of a manifest have the network (`outbound.enabled`).',
    });
    expect(ask({ outbound: { everyone: 'none' } })).toMatchObject({
      everyone: 'refused: The rule for everyone is `none`.',
    });
  });
});

describe('dates', () => {
  const dates = (given: Partial<typeof dated>, settings: Partial<TrustSettings> = {}) => {
    const { createdAt: _created, expiresAt: _expires, ...undated } = offline;
    return ask({ manifest: { ...undated, ...given }, settings });
  };

  it('end what a manifest is good for (M-4)', () => {
    expect(dates({ expiresAt: at(now) })).toEqual({
      accepted: false,
      dates: `refused: Its expiresAt has passed: it is ${at(now)}.`,
    });
    expect(dates({ expiresAt: at(now + 1000) }).accepted).toBe(true);
  });

  it('may be ahead by what clocks differ, and no more (M-3)', () => {
    expect(dates({ createdAt: at(now + 4 * 60_000), expiresAt: at(now + hour) }).accepted).toBe(true);
    expect(dates({ createdAt: at(now + 6 * 60_000), expiresAt: at(now + hour) }).accepted).toBe(false);
  });

  it('are asked for, unless the operator has consented', () => {
    expect(dates({ createdAt: at(now - hour) })).toMatchObject({ accepted: false });
    expect(dates({}, { undated: 'accept' })).toMatchObject({ accepted: true });
  });
});

describe('the whitelist', () => {
  const strict = (pattern: string) => ({ pattern, match: 'strict' }) as const;
  const regex = (pattern: string) => ({ pattern, match: 'regex' }) as const;
  const has = (whitelist: TrustSettings['whitelist'], ...urls: string[]) =>
    ask({ manifest: online({ urls }), settings: { whitelist } }).accepted;

  it('has to have the host of every address (M-42)', () => {
    const whitelist = [strict('api.example.com'), strict('example.org')];

    expect(has(whitelist, 'https://api.example.com/x', 'http://example.org:8080')).toBe(true);
    expect(has(whitelist, 'https://api.example.com/x', 'https://example.net')).toBe(false);
    expect(ask({ manifest: online({ urls: ['https://example.net'] }), settings: { whitelist } })).toMatchObject({
      everyone: 'refused: The rule for everyone is `whitelist`, and it does not have example.net.',
    });
  });

  it('compares whole names without regard to case, unless it is told otherwise', () => {
    expect(has([strict('API.example.com')], 'https://api.EXAMPLE.com.')).toBe(true);
    expect(has([strict('bücher.example')], 'https://xn--bcher-kva.example')).toBe(true);
    expect(has([strict('example.com')], 'https://api.example.com')).toBe(false);
    expect(has([strict('example.com')], 'https://example.com.evil.net')).toBe(false);
    expect(has([strict('.*')], 'https://example.com')).toBe(false);
    expect(has([strict('example.com')], 'https://example.com@evil.net')).toBe(false);
  });

  it('finds an expression anywhere in a name, in any case', () => {
    expect(has([regex('EXAMPLE')], 'https://api.example.com')).toBe(true);
    expect(has([regex('^(.+\\.)?example\\.com$')], 'https://api.example.com', 'https://example.com')).toBe(true);
    expect(has([regex('^(.+\\.)?example\\.com$')], 'https://example.com.evil.net')).toBe(false);
  });

  it('has nothing by an expression that cannot be read', () => {
    expect(has([regex('(?=example)')], 'https://example.com')).toBe(false);
    expect(has([regex('(')], 'https://example.com')).toBe(false);
    expect(has([regex('((a{1000}){1000}){1000}')], 'https://example.com')).toBe(false);
  });

  it('never has what is not restricted, or is no list of addresses', () => {
    const whitelist = [regex('.*')];
    const accepted = (manifest: PayloadManifest) => ask({ manifest, settings: { whitelist } }).accepted;

    expect(accepted(online({ unrestricted: { urls: true } }))).toBe(false);
    expect(accepted(online({}))).toBe(false);
    expect(accepted({ ...offline, compManifest: { version: '0.1.0', net: { inet: {} } } })).toBe(false);
    expect(accepted(online({ urls: ['no address'] }))).toBe(false);
    expect(accepted(online({ urls: ['https://example.com'], unrestricted: { urls: true } }))).toBe(false);
    expect(ask({ manifest: online({ unrestricted: { urls: true } }), outbound: { everyone: 'all' } }).accepted).toBe(
      true,
    );
  });

  it('also limits an author whose rule says so', () => {
    const outbound = { everyone: 'none', audited_payload: { [idOf(root)]: 'whitelist' } } as const;

    expect(ask({ by: author, outbound }).accepted).toBe(false);
    expect(ask({ by: author, outbound, settings: { whitelist: [strict('api.example.com')] } }).accepted).toBe(true);
  });
});

describe('a partner', () => {
  const document = { projectId: 'project-1', notBefore: at(now - hour), notAfter: at(now + hour) };
  const partnerOf = (changes: object = {}, by = author): NonNullable<SignedManifest['partner']> => {
    const text = base64({ ...document, ...changes });
    return { document: text, ...proofOf(text, by, { stack: [between] }) };
  };
  const outbound = { everyone: 'none', partner: { [idOf(root)]: 'all' } } as const;

  it('is a project that somebody says is one whom the operator knows', () => {
    expect(ask({ partner: partnerOf(), outbound })).toMatchObject({
      accepted: true,
      partner: 'accepted: It was signed by CN=author; the nearest rule, that of CN=root, is `all`.',
    });
    expect(ask({ partner: partnerOf() }).accepted).toBe(false);
    expect(
      ask({ partner: partnerOf(), outbound: { ...outbound, partner: {}, audited_payload: outbound.partner } }).accepted,
    ).toBe(false);
  });

  it.each([
    ['another project', { projectId: 'project-2' }, 'makes project-2 a partner, and its project is project-1'],
    ['later', { notBefore: at(now + 1000) }, 'is no partner before'],
    ['earlier', { notAfter: at(now - 1000) }, 'was a partner until'],
    ['times without a zone', { notAfter: '2100-01-01T00:00:00' }, 'does not say when'],
    ['more than there is', { also: 1 }, 'is no such document'],
    ['no time', { notAfter: undefined }, 'is no such document'],
  ])('is none by a document of %s', (_what, changes, why) => {
    const asked = ask({ partner: partnerOf(changes), outbound });

    expect(asked.accepted).toBe(false);
    expect(asked).toMatchObject({ partner: expect.stringContaining(why) });
  });

  it('is none by a document that nobody known has signed, or that was changed', () => {
    expect(ask({ partner: partnerOf({}, stranger), outbound }).accepted).toBe(false);
    expect(
      ask({ partner: { ...partnerOf(), document: base64({ ...document, notAfter: at(now + 2 * hour) }) }, outbound })
        .accepted,
    ).toBe(false);
  });
});

it('has settings that their own schema accepts', () => {
  expect(judge(TrustSettings, defaults)).toMatchObject({ ok: true });
});
