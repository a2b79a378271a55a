import { X509Certificate } from 'node:crypto';
import { decodeProtectedHeader, importX509, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { openServerKeys } from '../../../../src/server/keys/server-keys.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const now = new Date('2026-11-25T12:00:00Z');
const root = temporaryFolder('server-keys');

describe('the keys of the control plane', () => {
  it('are made once and kept', async () => {
    const first = await openServerKeys(`${root}/kept`, now);
    const again = await openServerKeys(`${root}/kept`, now);

    expect(again.task.current).toEqual(first.task.current);
    expect(again.releaseRoot).toEqual(first.releaseRoot);
    expect(again.registry.certificate).toBe(first.registry.certificate);
  });

  it('pin all that a node is to trust: another task key, release root or CA has another pin', async () => {
    const keys = await openServerKeys(`${root}/pin`, now);
    const others = await openServerKeys(`${root}/other-pin`, now);
    const { current } = keys.task;

    expect(keys.pin(current, 'ca')).toBe(keys.pin(current, 'ca\n'));
    expect(
      new Set([
        keys.pin(current, ''),
        keys.pin(current, 'ca'),
        others.pin(current, ''),
        keys.pin(others.task.current, ''),
      ]).size,
    ).toBe(4);
  });
});

describe('the registry key', () => {
  it('vouches for itself with a certificate that is valid for years', async () => {
    const { registry } = await openServerKeys(`${root}/registry`, now);
    const certificate = new X509Certificate(registry.certificate);

    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe('CN=gpuaas registry tokens');
    expect(certificate.issuer).toBe(certificate.subject);
    expect(new Date(certificate.validFrom)).toEqual(new Date('2026-11-24T12:00:00Z'));
    expect(new Date(certificate.validTo)).toEqual(new Date('2046-11-25T00:00:00Z'));
  });

  it('signs tokens that carry the certificate they are proven by', async () => {
    const { registry } = await openServerKeys(`${root}/registry`, now);

    const token = await registry.sign({ sub: 'somebody' });

    const key = await importX509(registry.certificate, 'ES256');
    await expect(jwtVerify(token, key)).resolves.toMatchObject({ payload: { sub: 'somebody' } });
    expect(decodeProtectedHeader(token).x5c).toEqual([
      new X509Certificate(registry.certificate).raw.toString('base64'),
    ]);
  });
});
