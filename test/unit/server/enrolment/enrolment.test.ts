import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EnrolAnswer, type EnrolRequest, type RotateRequest } from '../../../../src/contract/enrolment.ts';
import {
  enrolPath,
  enrolText,
  goodbyePath,
  goodbyeText,
  invitationPath,
  pinText,
  rotateKeysPath,
  rotateText,
  trustPath,
} from '../../../../src/contract/signing.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { makeJoinToken } from '../../../../src/server/enrolment/join-token.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { type AgentKeys, makeAgentKeys, signText } from '../../../support/scripted-agent.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const clock = manualClock();
let ground: HubGround;
let allocations = 0;

const root = temporaryFolder('enrolment');
beforeAll(async () => {
  ground = await openHubGround(root, { clock });
});
afterAll(() => ground.close());

const little = (hex: string) => Buffer.from(hex.padEnd(64, '0'), 'hex').toString('base64url');
const wrapping = (x: string): AgentKeys => {
  const keys = makeAgentKeys();
  return { ...keys, wrapping_key: { ...keys.wrapping_key, x } };
};
const identity = (x: string): AgentKeys => {
  const keys = makeAgentKeys();
  return { ...keys, identity_key: { ...keys.identity_key, x } };
};
/** By nobody's key, over no text in particular: the first of the small Ed25519 keys calls it good. */
const forged = Buffer.from('01'.padEnd(128, '0'), 'hex').toString('base64url');
const p = (low: string) => `${low}${'ff'.repeat(30)}7f`;

const uselessKeys: [string, string, AgentKeys][] = [
  ['X25519 of zero', '/wrapping_key/x', wrapping(little('00'))],
  ['X25519 of one', '/wrapping_key/x', wrapping(little('01'))],
  [
    'X25519 of order 8',
    '/wrapping_key/x',
    wrapping(little('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800')),
  ],
  ['X25519 of minus one', '/wrapping_key/x', wrapping(little(p('ec')))],
  ['X25519 of zero, written as p', '/wrapping_key/x', wrapping(little(p('ed')))],
  ['X25519 with bits to spare', '/wrapping_key/x', wrapping(`${makeAgentKeys().wrapping_key.x.slice(0, 42)}_`)],
  ['Ed25519 of order 1', '/identity_key/x', identity(little('01'))],
  ['Ed25519 of order 2', '/identity_key/x', identity(little(p('ec')))],
  ['Ed25519 of order 4', '/identity_key/x', identity(little('00'))],
  ['Ed25519 of order 4, the other sign', '/identity_key/x', identity(little(`${'00'.repeat(31)}80`))],
  [
    'Ed25519 of order 8',
    '/identity_key/x',
    identity(little('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')),
  ],
];

async function newAllocation(): Promise<string> {
  allocations += 1;
  const id = `0190a000-0000-7000-8000-${String(allocations).padStart(12, '0')}`;
  await ground.store.write((tx) => tx.allocations.insert(anAllocation({ id })));
  return id;
}

async function newToken(allocation_id: string, valid_seconds?: number): Promise<string> {
  const { serverKeys, store } = ground;
  const wanted = { allocation_id, created_by: 't1', now: clock.wallMs(), ca: '' };
  const made = await store.write((tx) =>
    makeJoinToken(tx, serverKeys, { ...wanted, ...(valid_seconds === undefined ? {} : { valid_seconds }) }),
  );
  return made.token;
}

function requestOf(token: string, keys: AgentKeys, given: Partial<EnrolRequest> = {}): EnrolRequest {
  const [token_id = '', token_secret = ''] = token.split('.');
  const { identity_key, wrapping_key } = keys;
  const facts = { token_id, audience: given.audience ?? ground.origin, identity_key, wrapping_key };
  return {
    ...{ ...facts, token_secret, signature: signText(keys.identity, enrolText(facts)) },
    host: { hostname: 'host-1', agent_version: '1.0.0', os: 'Debian 12', arch: 'x64' },
    ...given,
  };
}

async function post(
  path: string,
  body: object,
): Promise<{ status: number; body: { error: { code: string } } & EnrolAnswer }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(ground.origin + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as { error: { code: string } } & EnrolAnswer };
}

const enrol = (body: EnrolRequest) => post(enrolPath, body);
const typesOf = async (id: string) =>
  (await ground.store.read((tx) => tx.events.list({ after: 0, limit: 1000, subject_id: id }))).map(({ type }) => type);

describe('enrolment', () => {
  it('makes the host the node of the allocation, and tells it whom to trust', async () => {
    const allocation = await newAllocation();
    const keys = makeAgentKeys();

    const { status, body } = await enrol(requestOf(await newToken(allocation), keys));

    expect(status).toBe(200);
    expect(judge(EnrolAnswer, body).ok).toBe(true);
    expect(body).toMatchObject({ allocation_id: allocation, task_key: ground.keys.current, ca: '' });
    expect(await ground.node(body.node_id)).toMatchObject({ name: 'host-1', identity_key: keys.identity_key });
    expect((await ground.store.read((tx) => tx.allocations.get(allocation)))?.node_id).toBe(body.node_id);
    expect(await typesOf(body.node_id)).toEqual(['node.enrolled']);
    const welcome = await ground.dial().enter(keys, body.node_id, 0);
    expect(welcome.epoch).toBe(1);
  });

  it('answers with exactly what the third part of the token has promised, also after the task key was rotated', async () => {
    const token = await newToken(await newAllocation());
    await ground.keys.rotate(new Date('2026-12-25T00:00:00Z'));
    const keys = makeAgentKeys();

    const { body } = await enrol(requestOf(token, keys));

    const { task_key, release_root, ca } = body;
    const pin = createHash('sha256')
      .update(pinText({ task_key: task_key.jwk, release_root, ca }))
      .digest('base64url');
    expect(token.split('.')[2]).toBe(pin);
    expect((await ground.dial().enter(keys, body.node_id, 0)).rotations).toHaveLength(1);
  });

  it('repeated with the same keys gives the same answer, once: nothing is made twice', async () => {
    const token = await newToken(await newAllocation());
    const keys = makeAgentKeys();

    const first = await enrol(requestOf(token, keys));
    await clock.advance(3_600_000);
    const second = await enrol(requestOf(token, keys));

    expect(second).toEqual(first);
    expect(await typesOf(first.body.node_id)).toEqual(['node.enrolled']);
  });

  it('with a used token and other keys is refused, and the operator is told (X-4)', async () => {
    const token = await newToken(await newAllocation());
    const { body } = await enrol(requestOf(token, makeAgentKeys()));

    const other = await enrol(requestOf(token, makeAgentKeys()));

    expect(other).toMatchObject({ status: 403, body: { error: { code: 'enrolment.refused' } } });
    expect(await typesOf(body.node_id)).toEqual(['node.enrolled', 'node.join_token_reused']);
  });

  it('is refused once the token has expired, and never lasts longer than an hour', async () => {
    const short = await newToken(await newAllocation(), 60);
    const greedy = await newToken(await newAllocation(), 86_400);

    await clock.advance(60_000);
    expect((await enrol(requestOf(short, makeAgentKeys()))).status).toBe(403);
    await clock.advance(3_540_000);
    expect((await enrol(requestOf(greedy, makeAgentKeys()))).status).toBe(403);
  });

  it.each([
    ['the secret is wrong', { token_secret: 'A'.repeat(43) }],
    ['the token is unknown', { token_id: '0'.repeat(16) }],
    ['it was meant for another control plane', { audience: 'https://elsewhere' }],
    ['the signature is of another key', { identity_key: makeAgentKeys().identity_key }],
    ['the wrapping key was exchanged on the way', { wrapping_key: makeAgentKeys().wrapping_key }],
  ])('is refused when %s, and the token stays good', async (_, wrong) => {
    const token = await newToken(await newAllocation());
    const keys = makeAgentKeys();

    expect((await enrol(requestOf(token, keys, wrong))).status).toBe(403);
    expect((await enrol(requestOf(token, keys))).status).toBe(200);
  });

  it.each(uselessKeys)('is refused for a key that is no good: %s, and the token stays good', async (_, path, keys) => {
    const token = await newToken(await newAllocation());

    const { status, body } = await enrol(
      requestOf(token, keys, path === '/identity_key/x' ? { signature: forged } : {}),
    );

    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'node.key_invalid', errors: [{ path }] });
    expect((await enrol(requestOf(token, makeAgentKeys()))).status).toBe(200);
  });

  it('is refused where the allocation has a node already, until that is revoked', async () => {
    const allocation = await newAllocation();
    const { body } = await enrol(requestOf(await newToken(allocation), makeAgentKeys()));
    const token = await newToken(allocation);
    const keys = makeAgentKeys();
    expect((await enrol(requestOf(token, keys))).status).toBe(403);

    await ground.revoke(body.node_id);

    expect((await enrol(requestOf(token, keys))).status).toBe(200);
  });

  it('is refused with keys that a node has or had, its next ones too, and the token stays good', async () => {
    const allocation = await newAllocation();
    const used = makeAgentKeys();
    const { body } = await enrol(requestOf(await newToken(allocation), used));
    await ground.revoke(body.node_id);
    const token = await newToken(allocation);
    const fresh = makeAgentKeys();

    for (const keys of [used, { ...fresh, wrapping_key: used.wrapping_key }]) {
      expect(await enrol(requestOf(token, keys))).toMatchObject({ body: { error: { code: 'enrolment.keys_used' } } });
    }
    expect((await enrol(requestOf(token, fresh))).status).toBe(200);
  });

  it.each([
    ['has not ended', { state: 'releasing' }, 'has not ended'],
    ['was not wiped', { state: 'ended', data_policy: 'wipe' }, 'was not wiped'],
  ] as const)('of a host for another allocation is refused while the one before %s', async (_, its, reason) => {
    const before = await newAllocation();
    const keys = makeAgentKeys();
    const { body } = await enrol(requestOf(await newToken(before), keys));
    await ground.revoke(body.node_id);
    await ground.store.write(async (tx) => {
      const allocation = await tx.allocations.get(before);
      if (allocation) await tx.allocations.put({ ...allocation, ...its });
    });

    const { body: refused } = await enrol(requestOf(await newToken(await newAllocation()), keys));

    expect(refused.error).toMatchObject({ code: 'enrolment.refused', message: expect.stringContaining(reason) });
  });

  it('leaves the secret of the token nowhere', async () => {
    const token = await newToken(await newAllocation());
    const { body } = await enrol(requestOf(token, makeAgentKeys()));

    const kept = await ground.store.read(async (tx) => [
      await tx.join_tokens.list(),
      await tx.events.list({ after: 0, limit: 1000 }),
    ]);
    expect(JSON.stringify([kept, body])).not.toContain(token.split('.')[1]);
  });
});

describe('before enrolment, a host', () => {
  const text = async (path: string) => await (await fetch(ground.origin + path)).text();
  const ask = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(ground.origin + invitationPath, { headers });
    return { status: response.status, body: (await response.json()) as object };
  };
  const idAndSecret = (token: string) => token.split('.').slice(0, 2).join('.');

  it('is told whom to trust byte for byte as its token was pinned, also after the task key was rotated', async () => {
    const token = await newToken(await newAllocation());
    const [id, , pin] = token.split('.');
    await ground.keys.rotate(new Date('2026-12-26T00:00:00Z'));

    const hash = (said: string) => createHash('sha256').update(said).digest('base64url');

    expect(hash(await text(`${trustPath}?token_id=${id}`))).toBe(pin);
    expect(hash(await text(trustPath))).not.toBe(pin);
  });

  it('learns its allocation by its token, which stays good, and after it was used as long as it lasts', async () => {
    const allocation_id = await newAllocation();
    const token = await newToken(allocation_id, 60);

    const before = await ask(idAndSecret(token));
    expect((await enrol(requestOf(token, makeAgentKeys()))).status).toBe(200);
    const after = await ask(idAndSecret(token));
    await clock.advance(60_000);
    const late = await ask(idAndSecret(token));

    expect(before).toMatchObject({ status: 200, body: { allocation_id, registries: ['registry.example.com'] } });
    expect(after).toEqual(before);
    expect(late).toMatchObject({ status: 403, body: { error: { code: 'enrolment.refused' } } });
  });

  it('learns nothing by another secret, an unknown token, or none', async () => {
    const [id] = (await newToken(await newAllocation())).split('.');

    for (const wrong of [`${id}.${'A'.repeat(43)}`, `${'0'.repeat(16)}.${'A'.repeat(43)}`, 'x', `${id}`]) {
      expect(await ask(wrong)).toMatchObject({ status: 403, body: { error: { code: 'enrolment.refused' } } });
    }
  });
});

describe('a node that leaves', () => {
  const goodbye = (node_id: string, keys: AgentKeys, audience = ground.origin) =>
    post(goodbyePath, { node_id, audience, signature: signText(keys.identity, goodbyeText({ node_id, audience })) });
  async function node(): Promise<{ id: string; keys: AgentKeys }> {
    const keys = makeAgentKeys();
    const { body } = await enrol(requestOf(await newToken(await newAllocation()), keys));
    return { id: body.node_id, keys };
  }

  it('is revoked, and saying it again is no harm', async () => {
    const { id, keys } = await node();

    expect(await goodbye(id, keys)).toEqual({ status: 200, body: {} });
    expect(await goodbye(id, keys)).toEqual({ status: 200, body: {} });

    expect(await ground.node(id)).toMatchObject({ status: 'revoked', status_reason: `Revoked by node:${id}.` });
    expect(await typesOf(id)).toEqual(['node.enrolled', 'node.revoked']);
  });

  it('is believed by its own key alone, for this control plane alone', async () => {
    const { id, keys } = await node();

    const answers = [
      await goodbye(id, makeAgentKeys()),
      await goodbye('node-nobody', keys),
      await goodbye(id, keys, 'https://elsewhere'),
    ];

    expect(answers.map(({ status, body }) => [status, body.error.code])).toEqual(
      Array(3).fill([401, 'node.untrusted']),
    );
    expect((await ground.node(id)).status).toBe('enrolled');
  });
});

describe('a rotation of the keys of a node', () => {
  async function enrolled(): Promise<{ id: string; keys: AgentKeys }> {
    const keys = makeAgentKeys();
    const { body } = await enrol(requestOf(await newToken(await newAllocation()), keys));
    return { id: body.node_id, keys };
  }

  function rotation(node_id: string, old: AgentKeys, next: AgentKeys, audience = ground.origin): RotateRequest {
    const { identity_key, wrapping_key } = next;
    const text = rotateText({ node_id, audience, identity_key, wrapping_key });
    return {
      ...{ node_id, audience, identity_key, wrapping_key },
      old_signature: signText(old.identity, text),
      new_signature: signText(next.identity, text),
    };
  }

  it('counts from the first hello with the new key; until then the old one is good', async () => {
    const { id, keys } = await enrolled();
    const next = makeAgentKeys();

    expect((await post(rotateKeysPath, rotation(id, keys, next))).status).toBe(200);

    await ground.dial().enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));
    await ground.dial().enter(next, id, 1);
    await until(async () => (await ground.node(id)).identity_key.x === next.identity_key.x);
  });

  it('counts from the next rotation where that comes before a hello, and ends the key before it', async () => {
    const { id, keys } = await enrolled();
    const [second, third] = [makeAgentKeys(), makeAgentKeys()];
    await post(rotateKeysPath, rotation(id, keys, second));

    expect((await post(rotateKeysPath, rotation(id, second, third))).status).toBe(200);

    const { identity_key, next_keys } = await ground.node(id);
    expect([identity_key.x, next_keys?.identity_key.x]).toEqual([second.identity_key.x, third.identity_key.x]);
    expect((await post(rotateKeysPath, rotation(id, keys, makeAgentKeys()))).status).toBe(401);
  });

  it.each(uselessKeys.slice(0, 1))('is refused to a key that is no good: %s', async (_, path, useless) => {
    const { id, keys } = await enrolled();

    const { status, body } = await post(rotateKeysPath, rotation(id, keys, useless));

    expect({ status, ...body.error }).toMatchObject({ status: 400, code: 'node.key_invalid', errors: [{ path }] });
    expect((await ground.node(id)).next_keys).toBeNull();
  });

  it('is refused without the present key, without the new one, and for another control plane', async () => {
    const { id, keys } = await enrolled();
    const [next, stranger] = [makeAgentKeys(), makeAgentKeys()];
    const good = rotation(id, keys, next);
    const wrong = [
      rotation(id, stranger, next),
      { ...good, new_signature: rotation(id, keys, stranger).new_signature },
      rotation(id, keys, next, 'https://elsewhere'),
      rotation('node-nobody', keys, next),
      { ...good, audience: 'two\nlines' },
    ];

    for (const request of wrong) {
      expect(await post(rotateKeysPath, request)).toMatchObject({
        status: 401,
        body: { error: { code: 'node.untrusted' } },
      });
    }
    expect((await ground.node(id)).next_keys).toBeNull();
  });
});
