import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compactVerify, importJWK, type JWK } from 'jose';
import { describe, expect, it } from 'vitest';
import type { TaskKey, TaskKeyRotation } from '../../../../src/contract/enrolment.ts';
import { identifierPattern } from '../../../../src/contract/identifiers.ts';
import { rotationJwsType, taskJwsType } from '../../../../src/contract/signing.ts';
import type { TaskEnvelope } from '../../../../src/contract/task-envelope.ts';
import { maxRotations, TaskKeys } from '../../../../src/server/keys/task-keys.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('task-keys');
const retireAfter = new Date('2026-12-25T00:00:00Z');
let folders = 0;

function newFolder(): string {
  folders += 1;
  return join(root, String(folders));
}

const envelope: TaskEnvelope = {
  ...{ task_id: 'task-1', type: 'workload.oci_remove', schema_version: 1, node_id: 'node-1', allocation_id: 'alloc-1' },
  ...{ workload_id: 'app-1', attempt: 1, fencing: 1, deadline_seconds: 60, trace_id: 'trace-1', params: {} },
  ...{ issued_at: '2026-11-25T10:00:00.000Z', not_after: '2026-11-25T10:15:00.000Z' },
};

async function read(jws: string, key: TaskKey): Promise<{ header: object; payload: unknown }> {
  const { protectedHeader, payload } = await compactVerify(jws, await importJWK(key.jwk as JWK, 'EdDSA'));
  return { header: protectedHeader, payload: JSON.parse(Buffer.from(payload).toString()) };
}

describe('the task keys', () => {
  it('sign a task so that everybody who has the public half can prove it (X-2)', async () => {
    const keys = await TaskKeys.open(newFolder());

    const read1 = await read(await keys.sign(envelope), keys.current);

    expect(read1).toEqual({ header: { alg: 'EdDSA', kid: keys.current.kid, typ: taskJwsType }, payload: envelope });
  });

  it('are the same after a restart', async () => {
    const folder = newFolder();
    const before = await TaskKeys.open(folder);

    const after = await TaskKeys.open(folder);

    expect(after.current).toEqual(before.current);
    await expect(read(await after.sign(envelope), before.current)).resolves.toMatchObject({ payload: envelope });
  });

  it('lead a node from any key it believes to the present one, each step signed by the key before', async () => {
    const folder = newFolder();
    const keys = await TaskKeys.open(folder);
    const pinned = keys.current;
    await keys.rotate(retireAfter);
    await keys.rotate(retireAfter);

    let believed = pinned;
    for (const rotation of (await TaskKeys.open(folder)).rotationsAfter(pinned.kid) ?? []) {
      const { header, payload } = await read(rotation, believed);
      expect(header).toEqual({ alg: 'EdDSA', kid: believed.kid, typ: rotationJwsType });
      believed = (payload as TaskKeyRotation).next;
    }

    expect(believed).toEqual(keys.current);
    expect(believed).not.toEqual(pinned);
    await expect(read(await keys.sign(envelope), believed)).resolves.toMatchObject({ payload: envelope });
  });

  it('have names that events can speak of, whatever the keys are', async () => {
    const keys = await TaskKeys.open(newFolder());
    const names = new Set([keys.current.kid]);

    for (let count = 0; count < 150; count += 1) names.add((await keys.rotate(retireAfter)).kid);

    expect(names.size).toBe(151);
    expect([...names].filter((name) => !new RegExp(identifierPattern).test(name))).toEqual([]);
  });

  it('are replaced one after another, also where two ask at once', async () => {
    const keys = await TaskKeys.open(newFolder());
    const first = keys.current;

    await Promise.all([keys.rotate(retireAfter), keys.rotate(retireAfter), keys.rotate(retireAfter)]);

    expect(keys.rotationsAfter(first.kid)).toHaveLength(3);
  });

  it('have nothing to tell a node that is up to date, and no way for one that was away too long or pins a stranger', async () => {
    const keys = await TaskKeys.open(newFolder());
    const first = keys.current;
    for (let count = 0; count <= maxRotations; count += 1) await keys.rotate(retireAfter);

    expect(keys.rotationsAfter(keys.current.kid)).toEqual([]);
    expect(keys.rotationsAfter(first.kid)).toBeUndefined();
    expect(keys.rotationsAfter('stranger')).toBeUndefined();
  });

  it('still know the key that an older join token was made for', async () => {
    const keys = await TaskKeys.open(newFolder());
    const first = keys.current;
    await keys.rotate(retireAfter);

    expect(keys.named(first.kid)).toEqual(first);
    expect(keys.named('stranger')).toBeUndefined();
  });

  it('lie in files that nobody else can read, and leave nothing beside them', async () => {
    const folder = newFolder();
    const keys = await TaskKeys.open(folder);
    await keys.rotate(retireAfter);

    expect(readdirSync(folder)).toEqual(['task-keys.json']);
    expect(statSync(join(folder, 'task-keys.json')).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('are refused, not repaired, where others can read them', async () => {
    const folder = newFolder();
    await TaskKeys.open(folder);
    chmodSync(join(folder, 'task-keys.json'), 0o644);

    await expect(TaskKeys.open(folder)).rejects.toMatchObject({ code: 'server.key_unusable' });
  });

  it.each(['', '{', '[]', '[{"kid":"x"}]'])('are refused, not made anew, where the file holds %j', async (text) => {
    const folder = newFolder();
    await TaskKeys.open(folder);
    const file = join(folder, 'task-keys.json');
    writeFileSync(file, text, { mode: 0o600 });

    await expect(TaskKeys.open(folder)).rejects.toMatchObject({ code: 'server.key_unusable' });
    expect(readFileSync(file, 'utf8')).toBe(text);
  });
});
