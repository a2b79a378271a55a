import { createPublicKey, verify } from 'node:crypto';
import { existsSync, linkSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterEach, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { openIdentityKey } from '../../../../src/agent/identity/identity-key.ts';
import { type NodeRecord, readNode, writeNode } from '../../../../src/agent/identity/node-record.ts';
import { rotateKeys, rotationIsDue } from '../../../../src/agent/identity/rotate-keys.ts';
import {
  forgetOldWrappingKeys,
  openWrappingKey,
  type WrappingKey,
} from '../../../../src/agent/identity/wrapping-key.ts';
import { RotateRequest } from '../../../../src/contract/enrolment.ts';
import { rotateText } from '../../../../src/contract/signing.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { type Answering, answerJson, type StandIn, standIn } from '../../../support/control-plane-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('rotate');
const now = Date.parse('2026-11-25T12:00:00Z');
let server: StandIn;
let count = 0;
afterEach(() => server.close());

async function node(answering: Answering) {
  server = await standIn(answering);
  count += 1;
  const stateDir = join(folder, `state-${count}`);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'T'.repeat(43) } as const;
  const record: NodeRecord = {
    ...{ node_id: 'node-1', allocation_id: 'alloc-1', control_plane: server.origin, ca: '', release_root: jwk },
    ...{ task_keys: [{ kid: 'k1', jwk, retire_after: null }], keys_since: '2026-10-26T12:00:00.000Z' },
  };
  writeNode(stateDir, record);
  const options = { stateDir, node: record, now, origin: controlPlaneOrigin(server.origin) };
  return { stateDir, record, options, identity: openIdentityKey(stateDir), wrapping: await openWrappingKey(stateDir) };
}

const accept: Answering = (_, response) => answerJson(response, 200, {});

it('replaces both keys, vouched for by the old and the new identity key', async () => {
  const { stateDir, options, identity, wrapping } = await node(accept);

  await rotateKeys(options);

  const body = server.asked[0]?.body as RotateRequest;
  const text = Buffer.from(rotateText(body));
  const proves = (jwk: object, signature: string) =>
    verify(null, text, createPublicKey({ key: jwk, format: 'jwk' }), Buffer.from(signature, 'base64url'));
  expect(judge(RotateRequest, body).ok).toBe(true);
  expect(proves(identity.publicJwk, body.old_signature)).toBe(true);
  expect(proves(body.identity_key, body.new_signature)).toBe(true);
  expect(openIdentityKey(stateDir).publicJwk).toEqual(body.identity_key);
  expect((await openWrappingKey(stateDir)).publicJwk).toEqual(body.wrapping_key);
  expect(body.identity_key).not.toEqual(identity.publicJwk);
  expect(body.wrapping_key).not.toEqual(wrapping.publicJwk);
  expect(readNode(stateDir)?.keys_since).toBe('2026-11-25T12:00:00.000Z');
});

it('still opens what was sealed for the old key, until nothing of that is left', async () => {
  const { stateDir, options, wrapping } = await node(accept);
  const old = await seal('old', wrapping);
  await rotateKeys(options);
  const fresh = await openWrappingKey(stateDir);
  const sealed = await seal('new', fresh);

  expect([await wrapping.unseal(sealed), await fresh.unseal(old)].map(String)).toEqual(['new', 'old']);
  expect(await forgetOldWrappingKeys(stateDir, [sealed, old])).toBe(0);
  expect(await forgetOldWrappingKeys(stateDir, [sealed])).toBe(1);
  await expect(fresh.unseal(old)).rejects.toMatchObject({ code: 'secret.unavailable' });
  expect(String(await fresh.unseal(sealed))).toBe('new');
});

it('changes nothing where the control plane refuses, and asks with the same keys again', async () => {
  let refuse = true;
  const { stateDir, options, identity, wrapping } = await node((asked, response) =>
    refuse ? answerJson(response, 503, {}) : accept(asked, response),
  );

  await expect(rotateKeys(options)).rejects.toMatchObject({ code: 'control_plane.unavailable' });
  expect(openIdentityKey(stateDir).publicJwk).toEqual(identity.publicJwk);
  expect((await openWrappingKey(stateDir)).publicJwk).toEqual(wrapping.publicJwk);
  refuse = false;
  await rotateKeys(options);

  const [first, second] = server.asked;
  expect(second?.body).toEqual(first?.body);
});

it('ends what was begun: killed after the wrapping key took its place, it does not ask again', async () => {
  const { stateDir, options } = await node(accept);
  await rotateKeys(options);
  const asked = server.asked[0]?.body as RotateRequest;
  // As it was before the last step: the identity key still waits beside its place.
  linkSync(join(stateDir, 'identity/identity.jwk'), join(stateDir, 'identity/identity.next.jwk'));
  rmSync(join(stateDir, 'identity/identity.jwk'));

  expect(rotationIsDue({ stateDir, node: { ...options.node, keys_since: new Date(now).toISOString() }, now })).toBe(
    true,
  );
  await rotateKeys(options);

  expect(server.asked).toHaveLength(1);
  expect(openIdentityKey(stateDir).publicJwk).toEqual(asked.identity_key);
  expect((await openWrappingKey(stateDir)).publicJwk).toEqual(asked.wrapping_key);
  expect(existsSync(join(stateDir, 'identity/identity.next.jwk'))).toBe(false);
  expect(readdirSync(join(stateDir, 'identity')).filter((name) => name.startsWith('wrapping.old.'))).toHaveLength(1);
});

it('is due after 30 days', async () => {
  const { stateDir, record } = await node(accept);
  const dueAt = (keysSince: string) => rotationIsDue({ stateDir, now, node: { ...record, keys_since: keysSince } });

  expect(dueAt('2026-10-26T12:00:00.000Z')).toBe(true);
  expect(dueAt('2026-10-26T12:00:00.001Z')).toBe(false);
});

async function seal(text: string, { publicJwk }: WrappingKey): Promise<string> {
  return await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(publicJwk, 'ECDH-ES'));
}
