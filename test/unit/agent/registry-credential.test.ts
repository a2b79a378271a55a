import { join } from 'node:path';
import { CompactEncrypt, importJWK } from 'jose';
import { afterEach, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../src/agent/control-plane/origin.ts';
import { openWrappingKey } from '../../../src/agent/identity/wrapping-key.ts';
import { credentialSource } from '../../../src/agent/registry-credential.ts';
import { answerJson, type StandIn, standIn } from '../../support/control-plane-stand-in.ts';
import { eventually } from '../../support/eventually.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('pull-credential');
let server: StandIn;
afterEach(() => server.close());

const { signal } = new AbortController();

async function ask(credential: unknown, { sealedFor = 'node' } = {}) {
  const key = await openWrappingKey(join(folder, 'node'));
  const { publicJwk } = await openWrappingKey(join(folder, sealedFor));
  const sealed = credential === null ? null : await seal(credential, publicJwk);
  server = await standIn((_, response) => answerJson(response, 200, { credential: sealed, expires_at: null }));
  const origin = controlPlaneOrigin(server.origin);
  const source = credentialSource({ origin, bearer: () => 'b-1', unseal: key.unseal, clock: manualClock() });
  return await source({ task_id: 'task-1' }, signal);
}

it('asks with the bearer of the session, for the task, and opens what is sealed for this node', async () => {
  expect(await ask({ bearer: 'registry-token' })).toEqual({ bearer: 'registry-token' });
  expect(server.asked).toEqual([
    { path: '/agent/v1/registry-credentials', authorization: 'Bearer b-1', body: { task_id: 'task-1' } },
  ]);
});

it('is nothing where the registry asks for none', async () => {
  expect(await ask(null)).toBeUndefined();
});

it('waits a little for a session that is just being made, and asks for nothing without one', async () => {
  server = await standIn((_, response) => answerJson(response, 200, { credential: null, expires_at: null }));
  const { unseal } = await openWrappingKey(join(folder, 'node'));
  const clock = manualClock();
  let token: string | undefined;
  const ask = credentialSource({ origin: controlPlaneOrigin(server.origin), bearer: () => token, unseal, clock });

  const inTime = ask({ task_id: 'task-1' }, signal);
  await clock.advance(5000);
  token = 'b-2';
  await clock.advance(1000);
  await inTime;
  token = undefined;
  const never = expect(ask({ task_id: 'task-1' }, signal)).rejects.toMatchObject({ code: 'control_plane.unavailable' });
  await clock.advance(30_000);
  await never;

  expect(server.asked.map(({ authorization }) => authorization)).toEqual(['Bearer b-2']);
});

it('is given up with its task, while it waits for a session and while it waits for the answer', async () => {
  server = await standIn(() => undefined);
  const { unseal } = await openWrappingKey(join(folder, 'node'));
  const clock = manualClock();
  let token: string | undefined;
  const ask = credentialSource({ origin: controlPlaneOrigin(server.origin), bearer: () => token, unseal, clock });
  const waits = new AbortController();
  const asks = new AbortController();

  const waiting = ask({ task_id: 'task-1' }, waits.signal);
  waits.abort(new Error('cancelled'));
  await expect(waiting).rejects.toThrow('cancelled');
  expect(clock.waiting()).toEqual([]);
  token = 'b-1';
  const asking = ask({ task_id: 'task-1' }, asks.signal);
  await eventually(() => expect(server.asked).toHaveLength(1));
  asks.abort(new Error('cancelled as well'));
  await expect(asking).rejects.toThrow('cancelled as well');
});

it('does not believe what is sealed for another node, or is no credential, and repeats nothing of it', async () => {
  await expect(ask({ bearer: 'c4nary' }, { sealedFor: 'other' })).rejects.toMatchObject({ code: 'secret.unavailable' });
  await server.close();
  await expect(ask({ c4nary: 'c4nary' })).rejects.toMatchObject({
    code: 'control_plane.untrusted',
    message: expect.not.stringContaining('c4nary'),
  });
});

async function seal(value: unknown, publicJwk: object): Promise<string> {
  return await new CompactEncrypt(Buffer.from(JSON.stringify(value)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(publicJwk, 'ECDH-ES'));
}
