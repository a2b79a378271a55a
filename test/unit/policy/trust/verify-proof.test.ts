import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Keystore, readCertificates } from '../../../../src/policy/trust/certificates.ts';
import { type Proof, verifyProof } from '../../../../src/policy/trust/verify-proof.ts';
import { type Author, authority, base64, makeAuthor, proofOf, stackOf } from '../../../support/authors.ts';

const folder = mkdtempSync(join(tmpdir(), 'trust-'));
afterAll(() => rmSync(folder, { recursive: true }));

const make = (name: string, options?: Parameters<typeof makeAuthor>[2]) => makeAuthor(folder, name, options);
const root = make('root');
const between = make('between', { issuer: root, extensions: authority });
const author = make('author', { issuer: between });
const direct = make('direct', { issuer: root });
const stranger = make('stranger');

const rsa = make('rsa', { kind: 'rsa' });
const text = base64({ version: '0.1.0', payload: [] });
const now = Date.now() + 60_000;
const day = 86_400_000;

function keystore(...authors: readonly Author[]): Keystore {
  return authors.flatMap(({ pem }) => {
    const read = readCertificates(Buffer.from(pem));
    if (!read.ok) throw new Error(read.why);
    return read.certificates;
  });
}

function verdict(proof: Proof, { known = [root], signed = text, at = now } = {}) {
  const proven = verifyProof(signed, proof, keystore(...known), at);
  return proven.ok
    ? proven.chain.map(({ certificate }) => certificate.subject.replace('CN=', '')).join(' < ')
    : proven.why.replaceAll(/ \([0-9a-f]{16}…\)/g, '');
}

describe('a signature', () => {
  it('of an author is believed up to the root that the operator has imported (M-41, M-44)', () => {
    expect(verdict(proofOf(text, author, { stack: [root, between] }))).toBe('author < between < root');
    expect(verdict(proofOf(text, author, { stack: [between] }))).toBe('author < between < root');
    expect(verdict(proofOf(text, author), { known: [root, between] })).toBe('author < between < root');
    expect(verdict(proofOf(text, direct))).toBe('direct < root');
  });

  it.each(['sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-384', 'sha3-512', 'SHA256'])(
    'is over the base64 text by %s, of RSA and ECDSA',
    (algorithm) => {
      expect(verdict(proofOf(text, direct, { algorithm }))).toBe('direct < root');
      expect(verdict(proofOf(text, rsa, { algorithm }), { known: [rsa] })).toBe('rsa');
    },
  );

  it('of Ed25519 says so instead of a digest', () => {
    const ed = make('ed', { kind: 'ed25519', issuer: root });

    expect(verdict(proofOf(text, ed, { algorithm: 'ed25519' }))).toBe('ed < root');
    expect(verdict(proofOf(text, ed, { algorithm: 'sha256' }))).toBe(
      'A key of the kind ed25519 signs by ed25519, not by sha256.',
    );
    expect(verdict({ ...proofOf(text, direct), algorithm: 'ed25519' })).toMatch(
      /^The signature is not one of CN=direct/,
    );
  });

  it.each(['sha1', 'md5', 'sha224', 'sha3-224', 'ripemd160', 'RSA-SHA256', 'shake256', 'null'])(
    'by %s is refused',
    (algorithm) => {
      expect(verdict({ ...proofOf(text, direct), algorithm })).toContain(`Signatures by ${algorithm} are not accepted`);
    },
  );

  const signed = proofOf(text, author, { stack: [between] });
  const other = base64({ version: '0.1.0', payload: [], compManifest: { version: '0.1.0' } });
  const cases: readonly [string, string, Parameters<typeof verdict>][] = [
    ['of another manifest', 'The signature is not one of CN=author', [signed, { signed: other }]],
    ['of another digest', 'The signature is not one of CN=author', [{ ...signed, algorithm: 'sha384' }]],
    ['that was cut short', 'The signature is not one of', [{ ...signed, signature: cut(signed.signature, 1) }]],
    ['that is one byte', 'The signature is not one of', [{ ...signed, signature: 'AA==' }]],
    ['that has a byte too many', 'The signature is not one of', [{ ...signed, signature: cut(signed.signature, -1) }]],
    ['in base64 with a line break', 'The signature is not base64', [{ ...signed, signature: `${signed.signature}\n` }]],
    ['in base64 that is not padded', 'The signature is not base64', [{ ...signed, signature: 'AAA' }]],
    ['in base64 with bits that nobody reads', 'The signature is not base64', [{ ...signed, signature: 'AB==' }]],
    [
      'over a text that ends in a line break',
      'The text that is signed is not base64',
      [signed, { signed: `${text}\n` }],
    ],
    ['over no text', 'The text that is signed is not base64', [signed, { signed: '' }]],
    ['over a text and a line break', 'a line break behind it', [{ ...proofOf(`${text}\n`, direct) }]],
    ['over the JSON and not its base64', 'sign the base64 text itself', [proofOf(atob(text), direct)]],
    [
      'of somebody whose certificate is not the last',
      'not the last of the stack',
      [{ ...signed, certificate: stackOf(author, between) }],
    ],
    [
      'of a key that the certificate is not of',
      'The signature is not one of CN=direct',
      [{ ...signed, certificate: stackOf(direct) }],
    ],
    ['with a certificate that is none', 'holds no certificate', [{ ...signed, certificate: base64('hello') }]],
    ['with a certificate that is DER of nothing', 'holds what is no certificate', [{ ...signed, certificate: 'MAA=' }]],
    ['with its private key', 'holds a private key', [{ ...signed, certificate: base64(keyPem()) }]],
    ['with a stack of too many', '17 certificates', [{ ...signed, certificate: stackOf(...Array(17).fill(direct)) }]],
    ['of a root that is not in the keystore', 'does not have CN=stranger', [proofOf(text, stranger)]],
    [
      'of a chain whose root is not in the keystore',
      'does not have CN=root',
      [proofOf(text, direct, { stack: [root] }), { known: [stranger] }],
    ],
    ['of a chain that lacks its middle', 'has who issued CN=author', [proofOf(text, author)]],
    [
      'where nothing was imported',
      'does not have CN=root',
      [proofOf(text, author, { stack: [root, between] }), { known: [] }],
    ],
  ];
  it.each(cases)('%s is refused and says: %s (M-44)', (_what, why, given) => {
    expect(verdict(...given)).toContain(why);
  });

  it('whose certificate is DER is as good', () => {
    const der = new X509Certificate(direct.pem).raw.toString('base64');

    expect(verdict({ ...proofOf(text, direct), certificate: der })).toBe('direct < root');
  });
});

describe('a chain', () => {
  const under = (issuer: Author, stack: readonly Author[] = [issuer]) => {
    const name = `under ${issuer.name}`;
    return proofOf(text, make(name, { issuer }), { stack });
  };
  const withIntermediate = (name: string, options: Parameters<typeof makeAuthor>[2]) =>
    under(make(name, { issuer: root, extensions: authority, ...options }));

  it('holds in the time of each of its certificates only', () => {
    const short = withIntermediate('short', { days: 2 });

    expect(verdict(short)).toBe('under short < short < root');
    expect(verdict(short, { at: now + 3 * day })).toMatch(/^CN=short has expired on /);
    expect(verdict(short, { at: now - day })).toMatch(/^CN=under short does not hold before /);
    expect(verdict(short, { at: now + 40 * day })).toMatch(/^CN=under short has expired on /);
  });

  it('has expired with its root', () => {
    const old = make('old', { days: 1 });

    expect(verdict(under(old), { known: [old], at: now + 2 * day })).toMatch(/^CN=old has expired on /);
  });

  it('is refused where somebody in it is no authority', () => {
    expect(verdict(under(direct))).toBe('CN=direct is not that of an authority, and cannot issue others.');
    expect(verdict(withIntermediate('plain', { extensions: [] }))).toMatch(/^CN=plain is not that of an authority/);
    expect(
      verdict(withIntermediate('no certs', { extensions: [authority[0] as string, 'keyUsage=digitalSignature'] })),
    ).toBe('CN=no certs is for a key that is not to sign certificates.');
  });

  it('is no longer than an authority of it allows', () => {
    const strict = make('strict', { extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] });
    const middle = make('middle', { issuer: strict, extensions: authority });

    expect(verdict(under(strict), { known: [strict] })).toBe('under strict < strict');
    expect(verdict(under(middle), { known: [strict] })).toBe(
      'CN=strict allows 0 authorities below it, and there are 1.',
    );
  });

  it('begins with a key that may sign', () => {
    const only = make('only certs', { extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=keyCertSign'] });

    expect(verdict(proofOf(text, only), { known: [only] })).toMatch(
      /^CN=only certs is for a key that is not to sign any/,
    );
  });

  it.each([
    ['rsa-1024', 'has an RSA key of 1024 bits'],
    ['secp256k1', 'has a key of the curve secp256k1'],
  ] as const)('with a key of %s is refused', (kind, why) => {
    const weak = make(kind, { kind, issuer: root });
    const above = make(`above ${kind}`, { kind, issuer: root, extensions: authority });

    expect(verdict(proofOf(text, weak))).toContain(why);
    expect(verdict(under(above))).toContain(why);
  });

  it('with a certificate that was signed by SHA-1 is refused, but for one that was imported', () => {
    const weak = make('weak', { issuer: root, digest: 'sha1' });

    expect(verdict(proofOf(text, weak))).toMatch(/^CN=weak was signed with .*SHA1, which is not accepted/i);
    expect(verdict(proofOf(text, weak), { known: [weak] })).toBe('weak');
  });

  it('with a limit that is not understood is refused', () => {
    const limited = withIntermediate('limited', {
      extensions: [...authority, 'nameConstraints=critical,permitted;DNS:example.com'],
    });

    expect(verdict(limited)).toMatch(/^CN=limited restricts its use by an extension that is not understood/);
  });

  it('ends at what was imported, also where that is no root, and goes up as far as the keystore does', () => {
    const proof = proofOf(text, author, { stack: [between] });

    expect(verdict(proof, { known: [between] })).toBe('author < between');
    expect(verdict(proof, { known: [author] })).toBe('author');
    expect(verdict(proof, { known: [author, root] })).toBe('author < between < root');
  });

  it('of an author who was imported holds where what is above has expired', () => {
    const old = make('old root', { days: 1 });
    const lasting = make('lasting', { issuer: old, days: 20 });
    const known = [old, lasting];

    expect(verdict(proofOf(text, lasting), { known, at: now + 2 * day })).toBe('lasting');
  });

  it('is looked for no longer than is reasonable, whoever vouches for whom', () => {
    // Each of them has issued each other: 14 factorial ways.
    const one = make('same');
    const same = [one, ...Array.from({ length: 13 }, (_, index) => again(one, index))];

    expect(verdict(proofOf(text, one, { stack: same }))).toBe(
      'There are too many ways from its signer up: send a stack with one chain.',
    );
  });

  it('takes no certificate for that of another of the same name', () => {
    const impostor = makeAuthor(join(folder, 'impostor'), 'root');
    const false_ = make('false', { issuer: impostor });

    expect(verdict(proofOf(text, false_, { stack: [impostor] }))).toBe(
      'The keystore of this host does not have CN=root, where the chain of its signer ends.',
    );
    expect(verdict(proofOf(text, false_))).toMatch(/has who issued CN=false/);
  });
});

function again(one: Author, index: number): Author {
  return makeAuthor(join(folder, `same-${index}`), one.name, { keyOf: one });
}

function cut(signature: string, bytes: number): string {
  const whole = Buffer.from(signature, 'base64');
  return (bytes > 0 ? whole.subarray(0, -bytes) : Buffer.concat([whole, Buffer.alloc(-bytes)])).toString('base64');
}

function keyPem(): string {
  return stranger.key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
