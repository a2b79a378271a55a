import { createHash, createPublicKey, verify } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { DrainState, drainers } from '../../../../src/agent/drain-state.ts';
import { enrol } from '../../../../src/agent/identity/enrol.ts';
import { enrollingKeys } from '../../../../src/agent/identity/enrolling-keys.ts';
import { epochFile } from '../../../../src/agent/identity/epoch-file.ts';
import { openIdentityKey } from '../../../../src/agent/identity/identity-key.ts';
import { parseJoinToken, readJoinToken, removeJoinToken } from '../../../../src/agent/identity/join-token.ts';
import { leave } from '../../../../src/agent/identity/leave.ts';
import { readNode } from '../../../../src/agent/identity/node-record.ts';
import { openWrappingKey } from '../../../../src/agent/identity/wrapping-key.ts';
import { type EnrolAnswer, EnrolRequest } from '../../../../src/contract/enrolment.ts';
import { enrolText, pinText } from '../../../../src/contract/signing.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { type Answering, answerJson, type StandIn, standIn } from '../../../support/control-plane-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('enrol');
const host = { hostname: 'host-1', agent_version: '0.1.0', os: 'Debian 12', arch: 'x64' };
const key = (letter: string) => ({ kty: 'OKP', crv: 'Ed25519', x: letter.repeat(43) }) as const;
const answer: EnrolAnswer = {
  ...{ node_id: 'node-1', allocation_id: 'alloc-1', release_root: key('R'), ca: '' },
  task_key: { kid: 'k1', jwk: key('T') },
};
const secret = 's'.repeat(43);
const tokenFor = ({ task_key, release_root, ca }: EnrolAnswer) => {
  const pin = createHash('sha256')
    .update(pinText({ task_key: task_key.jwk, release_root, ca }))
    .digest('base64url');
  return `abcdefgh12345678.${secret}.${pin}`;
};

let server: StandIn;
let count = 0;
afterEach(() => server.close());

async function host1(answering: Answering) {
  server = await standIn(answering);
  count += 1;
  const stateDir = join(folder, `state-${count}`);
  const now = () => Date.parse('2026-11-25T12:00:00Z');
  const ask = (token: string) =>
    enrol({ ...{ stateDir, token, host, now }, origin: controlPlaneOrigin(server.origin) });
  return { stateDir, ask };
}

describe('enrolment', () => {
  it('proves that the host has its keys, and keeps who it is and whom it trusts', async () => {
    const { stateDir, ask } = await host1((_, response) => answerJson(response, 200, answer));

    const node = await ask(tokenFor(answer));

    const [asked] = server.asked;
    const judged = judge(EnrolRequest, asked?.body);
    expect(asked?.path).toBe('/agent/v1/enroll');
    expect(judged.ok).toBe(true);
    const body = asked?.body as EnrolRequest;
    expect(body).toMatchObject({ token_id: 'abcdefgh12345678', token_secret: secret, audience: server.origin, host });
    const signed = Buffer.from(enrolText(body));
    const by = createPublicKey({ key: body.identity_key, format: 'jwk' });
    expect(verify(null, signed, by, Buffer.from(body.signature, 'base64url'))).toBe(true);
    expect(node).toEqual({
      ...{ node_id: 'node-1', allocation_id: 'alloc-1', control_plane: server.origin, ca: '', release_root: key('R') },
      task_keys: [{ kid: 'k1', jwk: key('T'), retire_after: null }],
      keys_since: '2026-11-25T12:00:00.000Z',
    });
    expect(readNode(stateDir)).toEqual(node);
    expect(readFileSync(join(stateDir, 'identity/node.json'), 'utf8')).not.toContain(secret);
  });

  it('asks again with the same keys where the answer was lost', async () => {
    let lose = true;
    const { ask } = await host1((_, response) => {
      if (lose) response.destroy();
      else answerJson(response, 200, answer);
    });

    await expect(ask(tokenFor(answer))).rejects.toMatchObject({ code: 'control_plane.unavailable' });
    lose = false;
    await ask(tokenFor(answer));

    const [first, second] = server.asked;
    expect(second?.body).toEqual(first?.body);
  });

  it.each<[string, Partial<EnrolAnswer>]>([
    ['task key', { task_key: { kid: 'k1', jwk: key('X') } }],
    ['release root', { release_root: key('X') }],
    ['CA', { ca: '-----BEGIN CERTIFICATE-----\nX\n-----END CERTIFICATE-----' }],
  ])('keeps nothing where the %s is not the one that the operator handed over', async (_what, changes) => {
    const { stateDir, ask } = await host1((_, response) => answerJson(response, 200, { ...answer, ...changes }));

    await expect(ask(tokenFor(answer))).rejects.toMatchObject({ code: 'enrolment.untrusted' });

    expect(readNode(stateDir)).toBeUndefined();
  });

  it('repeats why the control plane refuses', async () => {
    const error = { code: 'enrolment.refused', message: 'The join token is used up.', hint: '', errors: [] };
    const { stateDir, ask } = await host1((_, response) => answerJson(response, 403, { error }));

    await expect(ask(tokenFor(answer))).rejects.toMatchObject({
      code: 'control_plane.refused',
      message: expect.stringContaining('The join token is used up.'),
      detail: { refused_as: 'enrolment.refused', status: 403 },
    });
    expect(readNode(stateDir)).toBeUndefined();
  });

  it('asks with new keys where its own are those of another node, keeps them, and the old wrapping key too', async () => {
    const used = (body: unknown) => (body as EnrolRequest).identity_key.x === before.x;
    const before = { x: '' };
    const { stateDir, ask } = await host1(({ body }, response) =>
      used(body)
        ? answerJson(response, 409, { error: { code: 'enrolment.keys_used', message: 'Used.', hint: '', errors: [] } })
        : answerJson(response, 200, answer),
    );
    before.x = openIdentityKey(stateDir).publicJwk.x;
    const old = (await openWrappingKey(stateDir)).publicJwk;

    await ask(tokenFor(answer));

    const shown = server.asked.map(({ body }) => (body as EnrolRequest).identity_key.x);
    expect(shown).toEqual([before.x, openIdentityKey(stateDir).publicJwk.x]);
    const names = readdirSync(join(stateDir, 'identity')).toSorted();
    expect(names).toEqual(
      ['allocation', 'epoch', 'identity.jwk', 'node.json', 'wrapping.jwk', `wrapping.old.${old.x}.jwk`].toSorted(),
    );
  });

  it('goes on with the new keys that it has shown, also where one is in place already', async () => {
    let lose = true;
    const { stateDir, ask } = await host1((_, response) => {
      if (lose) response.destroy();
      else answerJson(response, 200, answer);
    });
    const first = await enrollingKeys(stateDir, { fresh: true });

    await expect(ask(tokenFor(answer))).rejects.toMatchObject({ code: 'control_plane.unavailable' });
    lose = false;
    renameSync(join(stateDir, 'identity/wrapping.fresh.jwk'), join(stateDir, 'identity/wrapping.jwk'));
    await ask(tokenFor(answer));

    const shown = server.asked.map(({ body }) => [
      (body as EnrolRequest).identity_key.x,
      (body as EnrolRequest).wrapping_key.x,
    ]);
    const keys = [first.identity.publicJwk.x, first.wrapping.x];
    expect(shown).toEqual([keys, keys]);
    expect(openIdentityKey(stateDir).publicJwk.x).toBe(keys[0]);
  });

  it('forgets epoch and drain of the node that the host was before, but not what the host itself wants', async () => {
    let id = 'node-1';
    const { stateDir, ask } = await host1((_, response) => answerJson(response, 200, { ...answer, node_id: id }));
    await ask(tokenFor(answer));
    epochFile(stateDir).write(9);
    for (const by of drainers) new DrainState(stateDir).begin(by, 'maintenance', '2026-11-25T12:00:00Z');

    await ask(tokenFor(answer));
    const kept = [epochFile(stateDir).read(), new DrainState(stateDir).by];
    id = 'node-2';
    await ask(tokenFor(answer));

    expect(kept).toEqual([9, drainers]);
    expect([epochFile(stateDir).read(), new DrainState(stateDir).by]).toEqual([0, ['host']]);
  });

  it('forgets the work of the tenant before where it is for another allocation, and nothing else', async () => {
    let given: Partial<EnrolAnswer> = {};
    const { stateDir, ask } = await host1((_, response) => answerJson(response, 200, { ...answer, ...given }));
    const ofTenant = ['agent.db', 'agent.db-wal', 'agent.db.before-3', 'stacks/i1/compose.yaml', 'task-logs/t1.ndjson'];
    const ofHost = ['gpu-health.json', 'update/last'];
    const look = () => [...ofTenant, ...ofHost].filter((name) => existsSync(join(stateDir, name)));
    for (const name of [...ofTenant, ...ofHost]) {
      mkdirSync(dirname(join(stateDir, name)), { recursive: true });
      writeFileSync(join(stateDir, name), 'of a tenant');
    }
    await ask(tokenFor(answer));
    const first = look();
    given = { node_id: 'node-2' };
    await ask(tokenFor(answer));
    const again = look();
    given = { node_id: 'node-3', allocation_id: 'alloc-2' };
    await ask(tokenFor(answer));

    expect([first, again]).toEqual([
      [...ofTenant, ...ofHost],
      [...ofTenant, ...ofHost],
    ]);
    expect(look()).toEqual(ofHost);
  });

  it('knows whose work there is also after the host had left, or was enrolled by an older version', async () => {
    let given: Partial<EnrolAnswer> = {};
    const { stateDir, ask } = await host1(({ path }, response) =>
      answerJson(response, 200, path === '/agent/v1/enroll' ? { ...answer, ...given } : {}),
    );
    await ask(tokenFor(answer));
    rmSync(join(stateDir, 'identity/allocation'));
    writeFileSync(join(stateDir, 'agent.db'), 'of a tenant');
    await leave({ stateDir, origin: controlPlaneOrigin(server.origin) });
    const left = existsSync(join(stateDir, 'agent.db'));
    given = { node_id: 'node-2', allocation_id: 'alloc-2' };
    await ask(tokenFor(answer));

    expect([left, existsSync(join(stateDir, 'agent.db'))]).toEqual([true, false]);
  });
});

describe('a join token', () => {
  it.each(['', 'abc', `abcdefgh12345678.${secret}`, `ABCDEFGH12345678.${secret}.${secret}`, `${tokenFor(answer)} x`])(
    'that is %j is refused without a word of it',
    async (token) => {
      server = await standIn(() => undefined);

      expect(() => parseJoinToken(token)).toThrow(
        expect.objectContaining({ code: 'enrolment.token_invalid', message: expect.not.stringContaining(secret) }),
      );
    },
  );

  it('is read from its file without the line feed, and removed after use', async () => {
    server = await standIn(() => undefined);
    const file = join(folder, 'token');
    writeFileSync(file, `  ${tokenFor(answer)}\n`);

    const token = readJoinToken(file);
    removeJoinToken(file);
    removeJoinToken(file);

    expect(token).toBe(tokenFor(answer));
    expect(existsSync(file)).toBe(false);
    expect(() => readJoinToken(file)).toThrow(expect.objectContaining({ code: 'enrolment.token_unreadable' }));
  });
});
