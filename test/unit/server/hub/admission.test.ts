import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { closeCodes } from '../../../../src/contract/signing.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { type AgentKeys, makeAgentKeys } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('admission');
let ground: HubGround;
let nodes = 0;

beforeAll(async () => {
  ground = await openHubGround(root);
});
afterAll(() => ground.close());

async function newNode(): Promise<{ readonly id: string; readonly keys: AgentKeys }> {
  nodes += 1;
  const id = `node-${nodes}`;
  return { id, keys: await ground.addNode(id) };
}

describe('a node that dials', () => {
  it('is let in when it proves that it has its key, and confirms an epoch above all before', async () => {
    const { id, keys } = await newNode();
    const agent = ground.dial();

    const welcome = await agent.enter(keys, id, 0);

    expect(welcome).toMatchObject({ epoch: 1, acked: null, task_keys: [ground.keys.current], rotations: [] });
    await until(() => ground.hub.isConnected(id));
    expect(await ground.node(id)).toMatchObject({ epoch_confirmed: 1, epoch_offered: null, boot_id: 'boot-1' });
  });

  it('is challenged with another nonce each time, for the origin that the control plane has', async () => {
    const challenges = [await ground.dial().next('challenge'), await ground.dial().next('challenge')];

    expect(challenges.map(({ audience }) => audience)).toEqual([ground.origin, ground.origin]);
    expect(challenges[0]?.nonce).not.toBe(challenges[1]?.nonce);
  });

  it.each([
    ['signs with another key', async () => ({ keys: makeAgentKeys() })],
    ['is unknown', async () => ({ id: 'node-nobody' })],
  ])('is turned away when it %s, and learns nothing of what was wrong', async (_, wrong) => {
    const node = { ...(await newNode()), ...(await wrong()) } as { id: string; keys: AgentKeys };
    const agent = ground.dial();

    await agent.hello(node.keys, node.id, 0);

    expect(await agent.closed).toBe(closeCodes.unauthenticated);
    expect(agent.received).toEqual([]);
  });

  it('is turned away when it repeats the hello of an earlier session', async () => {
    const { id, keys } = await newNode();
    const first = ground.dial();
    const heard = vi.spyOn(first.socket, 'send');
    await first.enter(keys, id, 0);

    const thief = ground.dial();
    await thief.next('challenge');
    thief.socket.send(String(heard.mock.calls[0]?.[0]));

    expect(await thief.closed).toBe(closeCodes.unauthenticated);
    expect(first.socket.readyState).toBe(first.socket.OPEN);
  });

  it('is turned away for good once it was revoked, and its session ends at once', async () => {
    const { id, keys } = await newNode();
    const agent = ground.dial();
    await agent.enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));

    await ground.revoke(id);

    expect(await agent.closed).toBe(closeCodes.revoked);
    const again = ground.dial();
    await again.hello(keys, id, 1);
    expect(await again.closed).toBe(closeCodes.revoked);
  });

  it('speaks another protocol in vain', async () => {
    const { id, keys } = await newNode();
    const agent = ground.dial();

    await agent.hello(keys, id, 0, { protocol: 2 });

    expect(await agent.closed).toBe(closeCodes.protocolError);
  });

  it('that has new keys shows them once, and from then on they are its only ones', async () => {
    const { id, keys } = await newNode();
    const next = makeAgentKeys();
    await ground.store.write(async (tx) => {
      const node = await tx.nodes.get(id);
      const { identity_key, wrapping_key } = next;
      if (node) await tx.nodes.put({ ...node, next_keys: { identity_key, wrapping_key } });
    });
    await ground.dial().enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));

    await ground.dial().enter(next, id, 1);
    await until(async () => (await ground.node(id)).epoch_confirmed === 2);

    expect(await ground.node(id)).toMatchObject({ wrapping_key: next.wrapping_key, next_keys: null });
    // What it has signed can be verified for ever.
    expect((await ground.node(id)).former_keys).toEqual([{ key: keys.identity_key, until: expect.any(String) }]);
    const old = ground.dial();
    await old.hello(keys, id, 2);
    expect(await old.closed).toBe(closeCodes.unauthenticated);
  });

  it('that believes an older task key gets the chain to the present one, and after its confirm nothing more', async () => {
    const { id, keys } = await newNode();
    await ground.keys.rotate(new Date('2026-12-25T00:00:00Z'));

    const welcome = await ground.dial().enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));

    expect(welcome.rotations).toHaveLength(1);
    expect((await ground.dial().enter(keys, id, 1)).rotations).toEqual([]);
  });
});

describe('the epochs', () => {
  it('let a node back in that lost the welcome, and one whose confirmation was lost', async () => {
    const { id, keys } = await newNode();
    for (const shown of [0, 0, 2, 2]) {
      const agent = ground.dial();
      await agent.hello(keys, id, shown);
      await agent.next('welcome');
      agent.socket.terminate();
    }

    const { epoch } = await ground.dial().enter(keys, id, 4);

    expect(epoch).toBe(5);
    expect((await ground.node(id)).status).toBe('enrolled');
  });

  it('let the later session take over from a half-open one (FAULTS 3)', async () => {
    const { id, keys } = await newNode();
    const stale = ground.dial();
    await stale.enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));

    const { epoch } = await ground.dial().enter(keys, id, 1);

    expect(epoch).toBe(2);
    expect(await stale.closed).toBe(closeCodes.superseded);
    await until(() => ground.hub.isConnected(id));
  });

  it('betray a copy of the identity: both are shut out and the operator is told (FAULTS 32)', async () => {
    const { id, keys } = await newNode();
    await ground.dial().enter(keys, id, 0);
    await until(() => ground.hub.isConnected(id));
    const copy = ground.dial();
    await copy.enter(keys, id, 1);
    await until(async () => (await ground.node(id)).epoch_confirmed === 2);

    const original = ground.dial();
    await original.hello(keys, id, 1);

    expect(await original.closed).toBe(closeCodes.quarantined);
    expect(await copy.closed).toBe(closeCodes.quarantined);
    const late = ground.dial();
    await late.hello(keys, id, 2);
    expect(await late.closed).toBe(closeCodes.quarantined);
    const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 100, subject_id: id }));
    expect(events.map(({ type }) => type)).toEqual(['node.quarantined']);
  });

  it('do not matter to the first host that comes after an operator ended the quarantine', async () => {
    const { id, keys } = await newNode();
    const stranger = ground.dial();
    await stranger.hello(keys, id, 7);
    expect(await stranger.closed).toBe(closeCodes.quarantined);

    expect(await ground.release(id)).toBe(true);

    expect((await ground.dial().enter(keys, id, 7)).epoch).toBe(8);
    await until(() => ground.hub.isConnected(id));
    const other = ground.dial();
    await other.hello(keys, id, 3);
    expect(await other.closed).toBe(closeCodes.quarantined);
  });
});

describe('the bearer of a session', () => {
  it('names its node as long as its epoch lasts, and nobody else', async () => {
    const { id, keys } = await newNode();
    const { bearer } = await ground.dial().enter(keys, id, 0);
    expect((await ground.hub.authenticate(bearer))?.id).toBe(id);
    await until(() => ground.hub.isConnected(id));

    const next = await ground.dial().enter(keys, id, 1);

    expect(await ground.hub.authenticate(bearer)).toBeUndefined();
    expect((await ground.hub.authenticate(next.bearer))?.id).toBe(id);
    for (const wrong of ['', id, `${id}.2.x`, `${next.bearer}x`]) {
      expect(await ground.hub.authenticate(wrong)).toBeUndefined();
    }
    await ground.revoke(id);
    expect(await ground.hub.authenticate(next.bearer)).toBeUndefined();
  });

  it('is nowhere in the store', async () => {
    const { id, keys } = await newNode();
    const { bearer } = await ground.dial().enter(keys, id, 0);

    expect(JSON.stringify(await ground.node(id))).not.toContain(bearer.split('.')[2]);
  });
});

describe('at the door', () => {
  it.each([
    ['a browser, whatever its page', { headers: { origin: 'https://cp' } }, 403],
    ['somebody who speaks something else', { protocols: ['chat'] }, 400],
  ])('%s is turned away before anything is said', async (_, options, status) => {
    expect(await ground.dial(options).closed).toBe(status);
  });

  it('a stranger has no message free: the first that is wrong ends it', async () => {
    const agent = ground.dial();
    await agent.next('challenge');

    agent.socket.send('{');

    expect(await agent.closed).toBe(closeCodes.protocolError);
  });
});
