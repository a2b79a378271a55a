import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import * as jose from 'jose';
import { describe, expect, it } from 'vitest';
import { openWrappingKey, unsealWithKeyOf } from '../../../../src/agent/identity/wrapping-key.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('identity');
const module = resolve(import.meta.dirname, '../../../../src/agent/identity/wrapping-key.ts');
const canary = 'c4nary-5ecret';

describe('the wrapping key', () => {
  it('is created once, for its owner only, and is the same ever after', async () => {
    const state = join(folder, 'once');

    const first = await openWrappingKey(state);
    const second = await openWrappingKey(state);

    expect(second.publicJwk).toEqual(first.publicJwk);
    expect(statSync(join(state, 'identity')).mode & 0o777).toBe(0o700);
    expect(statSync(join(state, 'identity/wrapping.jwk')).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(state, 'identity'))).toEqual(['wrapping.jwk']);
  });

  it('shows its public half only', async () => {
    const state = join(folder, 'public');

    const { publicJwk } = await openWrappingKey(state);

    const { d } = JSON.parse(readFileSync(join(state, 'identity/wrapping.jwk'), 'utf8'));
    expect(publicJwk).toEqual({ kty: 'OKP', crv: 'X25519', x: expect.stringMatching(/^[\w-]{43}$/) });
    expect(d).toMatch(/^[\w-]{43}$/);
    expect(JSON.stringify(publicJwk)).not.toContain(d);
  });

  it('is one and the same for processes that ask at the same moment', async () => {
    const state = join(folder, 'race');

    const keys = await Promise.all([publicKeyByProcess(state), publicKeyByProcess(state), publicKeyByProcess(state)]);

    expect(new Set(keys)).toHaveLength(1);
    expect(JSON.parse(keys[0] ?? '')).toEqual((await openWrappingKey(state)).publicJwk);
    expect(readdirSync(join(state, 'identity'))).toEqual(['wrapping.jwk']);
  });

  it.each([
    'c4nary, which is no JSON',
    '{"kty": "OKP"}',
    '{"kty": "OKP", "crv": "X25519", "x": "c4nary", "d": "c4nary"}',
    'null',
  ])('that is spoilt (%s) is identity.unusable, and nothing of it is said', async (text) => {
    const file = join(folder, crypto.randomUUID(), 'identity/wrapping.jwk');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);

    const error = await openWrappingKey(dirname(dirname(file))).catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({ code: 'identity.unusable', detail: { path: file } });
    expect(error).not.toHaveProperty('cause');
    expect((error as Error).message).not.toContain('c4nary');
  });

  it('is used for a task once it is there, and never made by one', async () => {
    const state = join(folder, 'used');
    const without = unsealWithKeyOf(state, 'a.b.c.d.e');
    await expect(without).rejects.toMatchObject({
      code: 'secret.unavailable',
      detail: { reason: expect.stringContaining('--create-key') },
    });
    expect(existsSync(state)).toBe(false);

    const { publicJwk } = await openWrappingKey(state);
    expect(await unsealWithKeyOf(state, await seal(Buffer.from(canary), publicJwk))).toEqual(Buffer.from(canary));
  });

  it('opens what was sealed for its public half, whatever it is', async () => {
    const key = await openWrappingKey(join(folder, 'open'));
    const secrets = [
      Buffer.from(canary),
      Buffer.from([0, 255, 254, 10, 128]),
      Buffer.alloc(0),
      Buffer.alloc(50_000, 7),
    ];

    for (const secret of secrets) {
      expect(await key.unseal(await seal(secret, key.publicJwk))).toEqual(secret);
    }
  });

  it('differs from node to node', async () => {
    const one = await openWrappingKey(join(folder, 'node-1'));
    const other = await openWrappingKey(join(folder, 'node-2'));

    expect(one.publicJwk).not.toEqual(other.publicJwk);
    await expect(one.unseal(await seal(Buffer.from(canary), other.publicJwk))).rejects.toMatchObject({
      code: 'secret.unavailable',
    });
  });
});

describe('refused as secret.unavailable, without a word of what it may hold', () => {
  it.each<[string, (jwe: string, publicJwk: jose.JWK) => Promise<string> | string]>([
    ['a value with one character changed', (jwe) => tampered(jwe, 3)],
    ['a value with another tag', (jwe) => tampered(jwe, 4)],
    [
      'a value with another header',
      (jwe) => `${base64({ alg: 'ECDH-ES', enc: 'A128GCM' })}.${jwe.split('.').slice(1).join('.')}`,
    ],
    ['a value by another key agreement', (_jwe, jwk) => sealWith({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' }, jwk)],
    ['a value by another cipher', (_jwe, jwk) => sealWith({ alg: 'ECDH-ES', enc: 'A128CBC-HS256' }, jwk)],
    ['a value whose key stands beside it', () => sealedDirectly()],
    [
      'a value that says it is not sealed',
      () => `${base64({ alg: 'none', enc: 'A256GCM' })}..aXY.${base64(canary)}.dGFn`,
    ],
    ['a text that is no JWE', () => canary],
    ['nothing', () => ''],
  ])('%s', async (_name, make) => {
    const key = await openWrappingKey(join(folder, 'refuse'));
    const jwe = await make(await seal(Buffer.from(canary), key.publicJwk), key.publicJwk);

    const error = await key.unseal(jwe).then(
      () => undefined,
      (reason: unknown) => reason as { code: string; toFailure(): unknown },
    );

    expect(error?.code).toBe('secret.unavailable');
    expect(JSON.stringify(error?.toFailure())).not.toContain(canary);
  });
});

it('fails where the key cannot be kept, and leaves no half of it behind', async () => {
  const state = join(folder, 'unwritable');
  mkdirSync(join(state, 'identity/wrapping.jwk'), { recursive: true });

  await expect(openWrappingKey(state)).rejects.toMatchObject({ code: 'identity.unusable' });
  expect(readdirSync(join(state, 'identity'))).toEqual(['wrapping.jwk']);
});

async function seal(secret: Uint8Array, publicJwk: jose.JWK): Promise<string> {
  return await sealWith({ alg: 'ECDH-ES', enc: 'A256GCM' }, publicJwk, secret);
}

async function sealWith(
  header: jose.CompactJWEHeaderParameters,
  publicJwk: jose.JWK,
  secret: Uint8Array = Buffer.from(canary),
): Promise<string> {
  const key = await jose.importJWK(publicJwk, header.alg);
  return await new jose.CompactEncrypt(secret).setProtectedHeader(header).encrypt(key);
}

async function sealedDirectly(): Promise<string> {
  return await new jose.CompactEncrypt(Buffer.from(canary))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(new Uint8Array(32));
}

/** The JWE with the first character of one of its five parts replaced. */
function tampered(jwe: string, part: number): string {
  return jwe
    .split('.')
    .map((text, index) => (index === part ? `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}` : text))
    .join('.');
}

function base64(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

async function publicKeyByProcess(state: string): Promise<string> {
  const script = `
    const { openWrappingKey } = await import(${JSON.stringify(module)});
    console.log(JSON.stringify((await openWrappingKey(${JSON.stringify(state)})).publicJwk));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return await text(child.stdout);
}
