import { createPublicKey, verify } from 'node:crypto';
import { existsSync, linkSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { openIdentityKey } from '../../../../src/agent/identity/identity-key.ts';
import { careForKeys } from '../../../../src/agent/identity/key-care.ts';
import { type NodeRecord, readNode, writeNode } from '../../../../src/agent/identity/node-record.ts';
import { rotateKeys, rotationIsDue } from '../../../../src/agent/identity/rotate-keys.ts';
import { openWrappingKey, type WrappingKey } from '../../../../src/agent/identity/wrapping-key.ts';
import { RotateRequest } from '../../../../src/contract/enrolment.ts';
import { rotateText } from '../../../../src/contract/signing.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { type Answering, answerJson, type StandIn, standIn } from '../../../support/control-plane-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { fixtureParams } from '../../contract/samples.ts';
import { runningWorkload } from '../journal/samples.ts';

const folder = temporaryFolder('rotate');
const now = Date.parse('2026-11-25T12:00:00Z');
const launch = fixtureParams('workload.oci_launch');
let server: StandIn;
let count = 0;
afterEach(() => server.close());

async function node(answering: Answering, keysSince = '2026-10-26T12:00:00.000Z') {
  server = await standIn(answering);
  count += 1;
  const stateDir = join(folder, `state-${count}`);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'T'.repeat(43) } as const;
  const record: NodeRecord = {
    ...{ node_id: 'node-1', allocation_id: 'alloc-1', control_plane: server.origin, ca: '', release_root: jwk },
    ...{ task_keys: [{ kid: 'k1', jwk, retire_after: null }], keys_since: keysSince },
  };
  writeNode(stateDir, record);
  const options = { stateDir, now, origin: controlPlaneOrigin(server.origin) };
  return { stateDir, options, identity: openIdentityKey(stateDir), wrapping: await openWrappingKey(stateDir) };
}

const accept: Answering = (_, response) => answerJson(response, 200, {});

it('replaces both keys, vouched for by the old and the new identity key (X-4)', async () => {
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

it('still opens what was sealed for the old key', async () => {
  const { stateDir, options, wrapping } = await node(accept);
  const old = await seal('old', wrapping);
  await rotateKeys(options);
  const fresh = await openWrappingKey(stateDir);
  const sealed = await seal('new', fresh);

  expect([await wrapping.unseal(sealed), await fresh.unseal(old)].map(String)).toEqual(['new', 'old']);
});

describe('an old wrapping key', () => {
  const halfAYear = 180 * 86_400_000;

  async function rotated() {
    const begun = await node(accept, new Date(Date.now()).toISOString());
    const old = await seal('old', begun.wrapping);
    await rotateKeys({ ...begun.options, now: Date.now() });
    const { stateDir, options } = begun;
    const care = (at: number, params: object) =>
      careForKeys({
        ...{ stateDir, origin: options.origin, now: at, log: createLog({ level: 'silent' }) },
        journal: { unfinished: () => [], workloads: () => [runningWorkload({ params: { ...launch, ...params } })] },
      });
    const opensOld = async () => String(await begun.wrapping.unseal(old).catch(() => 'unreadable'));
    return { old, care, opensOld, stateDir };
  }

  it('is kept for half a year, and as long as a workload is sealed for it', async () => {
    const { old, care, opensOld } = await rotated();

    await care(Date.now() + halfAYear - 60_000, {});
    const whileYoung = await opensOld();
    await care(Date.now() + halfAYear + 60_000, { sealed_env: { TOKEN: old } });
    const whileUsed = await opensOld();
    await care(Date.now() + halfAYear + 120_000, { sealed_files: { token: 'x.y.z.a.b' } });

    expect([whileYoung, whileUsed, await opensOld()]).toEqual(['old', 'old', 'unreadable']);
  });

  it('is kept for as long after its replacement, however long it was in use before', async () => {
    const begun = await node(accept, new Date(Date.now()).toISOString());
    const old = await seal('old', begun.wrapping);
    const file = join(begun.stateDir, 'identity/wrapping.jwk');
    utimesSync(file, 0, 0);
    await rotateKeys({ ...begun.options, now: Date.now() });

    await careForKeys({
      ...{ stateDir: begun.stateDir, origin: begun.options.origin, now: Date.now() },
      ...{ log: createLog({ level: 'silent' }), journal: { unfinished: () => [], workloads: () => [] } },
    });

    expect(String(await begun.wrapping.unseal(old))).toBe('old');
  });

  it('is not waited for longer because a clock was ahead when the host enrolled (FAULTS 20)', async () => {
    const { care, stateDir } = await rotated();
    const kept = readNode(stateDir);
    if (kept) writeNode(stateDir, { ...kept, keys_since: '2999-01-01T00:00:00.000Z' });

    const now = Date.now();
    await care(now, {});
    const before = server.asked.length;
    await care(now + 31 * 86_400_000, {});

    expect(server.asked.length - before).toBe(1);
  });

  it('comes to be when the keys are 30 days old', async () => {
    const { care } = await rotated();

    await care(Date.now() + 29 * 86_400_000, {});
    const before = server.asked.length;
    await care(Date.now() + 31 * 86_400_000, {});

    expect(server.asked.length - before).toBe(1);
  });
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

  expect(rotationIsDue({ stateDir, now })).toBe(true);
  await rotateKeys(options);

  expect(server.asked).toHaveLength(1);
  expect(openIdentityKey(stateDir).publicJwk).toEqual(asked.identity_key);
  expect((await openWrappingKey(stateDir)).publicJwk).toEqual(asked.wrapping_key);
  expect(existsSync(join(stateDir, 'identity/identity.next.jwk'))).toBe(false);
  expect(readdirSync(join(stateDir, 'identity')).filter((name) => name.startsWith('wrapping.old.'))).toHaveLength(1);
});

it.each([
  ['2026-10-26T12:00:00.000Z', true],
  ['2026-10-26T12:00:00.001Z', false],
])('of keys in use since %s is due: %s', async (keysSince, due) => {
  const { stateDir } = await node(accept, keysSince);

  expect(rotationIsDue({ stateDir, now })).toBe(due);
});

it('leaves a task key alone that is handed on meanwhile', async () => {
  const { stateDir, options } = await node((asked, response) => {
    const before = readNode(stateDir) as NodeRecord;
    writeNode(stateDir, { ...before, task_keys: [...before.task_keys, ...before.task_keys] });
    accept(asked, response);
  });

  await rotateKeys(options);

  expect(readNode(stateDir)?.task_keys).toHaveLength(2);
});

async function seal(text: string, { publicJwk }: WrappingKey): Promise<string> {
  return await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(publicJwk, 'ECDH-ES'));
}
