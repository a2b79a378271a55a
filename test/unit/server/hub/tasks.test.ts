import { compactVerify, importJWK, type JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { FromAgent } from '../../../../src/contract/session-messages.ts';
import { type HubGround, openHubGround, removal, until } from '../../../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';
import type { AgentKeys, ScriptedAgent } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('hub-tasks');
let count = 0;
let ground: HubGround;
let clock: ManualClock;
let keys: AgentKeys;

beforeEach(async () => {
  count += 1;
  clock = manualClock();
  ground = await openHubGround(`${root}/${count}`, { clock });
  keys = await ground.addNode('node-1');
});
afterEach(() => ground.close());

async function enter(epoch = 0): Promise<ScriptedAgent> {
  const agent = ground.dial();
  await agent.enter(keys, 'node-1', epoch);
  await until(() => ground.hub.isConnected('node-1'));
  return agent;
}

/** Waits until the hub has read everything that was sent to it. */
async function settled(agent: ScriptedAgent): Promise<void> {
  await new Promise((resolve) => {
    agent.socket.once('pong', resolve);
    agent.socket.ping();
  });
  await ground.store.write(async () => undefined);
}

const state = async (id: string) => (await ground.store.read((tx) => tx.tasks.get(id)))?.state;

describe('a task', () => {
  it('reaches its node signed, and is the node’s once that has it on disk', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 1, received: 0 });

    const { id, fencing } = await ground.enqueue();
    const { lease_id, jws } = await agent.next('task');

    const { current } = ground.keys;
    const { payload, protectedHeader } = await compactVerify(jws, await importJWK(current.jwk as JWK, 'EdDSA'));
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', kid: current.kid });
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ task_id: id, fencing, attempt: 1 });
    expect(await state(id)).toBe('leased');
    agent.send({ type: 'task_accepted', lease_id, task_id: id });
    await until(async () => (await state(id)) === 'accepted');
  });

  it('beyond what its node can take is sent as soon as there is room, in order', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 1, received: 0 });
    await settled(agent);
    const queued = [await ground.enqueue(), await ground.enqueue(), await ground.enqueue()];
    const first = await agent.accept();
    expect(await state(queued[1]?.id ?? '')).toBe('queued');

    agent.send({ type: 'pull', credits: 2, received: 1 });
    const others = [await agent.accept(), await agent.accept()];

    expect([first, ...others].map(({ task_id }) => task_id)).toEqual(queued.map(({ id }) => id));
  });

  it('is sent where it waited behind others whose time is over', async () => {
    await ground.enqueue({ valid_seconds: 5 });
    await ground.enqueue({ valid_seconds: 5 });
    await clock.advance(6000);
    const { id } = await ground.enqueue();

    const agent = await enter();
    agent.send({ type: 'pull', credits: 2, received: 0 });

    expect((await agent.accept()).task_id).toBe(id);
  });

  it('waits for its node, also over a restart of the control plane (FAULTS 2)', async () => {
    const { id } = await ground.enqueue();
    await ground.close();
    ground = await openHubGround(`${root}/${count}`, { clock });

    const agent = await enter();
    agent.send({ type: 'pull', credits: 1, received: 0 });

    expect((await agent.accept()).task_id).toBe(id);
  });

  it('is not asked twice where the control plane stops after the node has it (FAULTS 2)', async () => {
    const first = await enter();
    first.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    await first.accept();
    await until(async () => (await state(id)) === 'accepted');
    await ground.close();
    ground = await openHubGround(`${root}/${count}`, { clock });

    const agent = await enter(1);
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const other = await ground.enqueue({ workload_id: 'app-2' });

    expect((await agent.accept()).task_id).toBe(other.id);
  });

  it('comes again in the next session where the last one ended before the answer (FAULTS 1)', async () => {
    const first = await enter();
    first.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();
    await first.task();
    first.socket.terminate();

    const agent = await enter(1);
    agent.send({ type: 'pull', credits: 1, received: 0 });

    expect(await agent.accept()).toMatchObject({ task_id: id, attempt: 2 });
  });

  it('comes again in the same session where nobody answers in time', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 2, received: 0 });
    const { id } = await ground.enqueue();
    const first = await agent.task();

    // In steps below three heartbeats: the node lives, it only does not answer.
    for (let step = 0; step < 4; step += 1) {
      agent.send({ type: 'heartbeat' });
      await settled(agent);
      await clock.advance(8000);
    }

    const second = await agent.task();
    expect(second.envelope).toMatchObject({ task_id: id, attempt: 2 });
    expect(second.lease_id).not.toBe(first.lease_id);
  });

  it('that a node has no room for comes again later, not at once', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    const { lease_id } = await agent.task();
    agent.send({ type: 'task_refused', lease_id, failure: new AgentError('disk.full').toFailure() });
    await until(async () => (await state(id)) === 'queued');
    await settled(agent);
    expect(agent.received.filter(({ type }) => type === 'task')).toEqual([]);

    await clock.advance(1000);

    expect(await agent.task()).toMatchObject({ envelope: { task_id: id, attempt: 2 } });
  });

  it.each(['preflight', 'launch'] as const)(
    'launches nothing on a node whose disk is full: its %s ends (FAULTS 18)',
    async (purpose) => {
      const agent = await enter();
      agent.send({ type: 'pull', credits: 1, received: 0 });
      const { id } = await ground.enqueue({ purpose });
      const { lease_id } = await agent.task();

      agent.send({ type: 'task_refused', lease_id, failure: new AgentError('disk.full').toFailure() });

      await until(() => ground.sink.ended.length === 1);
      expect(ground.sink.ended).toMatchObject([{ id, result: { status: 'rejected', failure: { code: 'disk.full' } } }]);
    },
  );

  it('that a node has no room for until its time is over ends, with the reason of the node', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue({ valid_seconds: 1 });
    const { lease_id } = await agent.task();
    await clock.advance(2000);

    agent.send({ type: 'task_refused', lease_id, failure: new AgentError('disk.full').toFailure() });

    await until(() => ground.sink.ended.length === 1);
    expect(ground.sink.ended).toMatchObject([{ id, result: { status: 'rejected', failure: { code: 'disk.full' } } }]);
  });

  it('that a node does not trust ends, and the reason is told', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();
    const { lease_id } = await agent.task();

    agent.send({ type: 'task_refused', lease_id, failure: new AgentError('task.untrusted').toFailure() });

    await until(() => ground.sink.ended.length === 1);
    expect(ground.sink.ended).toMatchObject([
      { id, result: { status: 'rejected', failure: { code: 'task.untrusted' } } },
    ]);
  });

  it('that is too large for a message ends instead of breaking the session', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { params } = await ground.enqueue({ node_id: 'node-2', workload_id: 'app-2' });
    const huge = { ...(params as object), padding: 'x'.repeat(900_000) } as never;

    const { id } = await ground.enqueue({ params: huge });

    await until(() => ground.sink.ended.length === 1);
    expect(ground.sink.ended).toMatchObject([{ id, result: { failure: { code: 'task.invalid' } } }]);
    expect(agent.socket.readyState).toBe(agent.socket.OPEN);
  });

  it('that is given up is cancelled at its node, once', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    await agent.accept();

    await ground.store.write((tx) => ground.queue.cancel(tx, id));

    expect(await agent.next('task_cancel')).toEqual({ type: 'task_cancel', task_id: id });
    await ground.enqueue({ workload_id: 'app-2' });
    await agent.accept();
    await settled(agent);
    expect(agent.received.filter(({ type }) => type === 'task_cancel')).toEqual([]);
  });

  it('that was given up between two deliveries is cancelled behind the second', async () => {
    const first = await enter();
    first.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();
    await first.task();
    first.socket.terminate();
    await until(() => !ground.hub.isConnected('node-1'));
    const agent = await enter(1);
    await ground.store.write((tx) => ground.queue.cancel(tx, id));

    agent.send({ type: 'pull', credits: 1, received: 0 });
    await agent.accept();
    await settled(agent);

    expect(agent.received.at(-1)).toEqual({ type: 'task_cancel', task_id: id });
    expect((await ground.store.read((tx) => tx.tasks.get(id)))?.state).toBe('accepted');
  });

  it('that is given up while it is on its way is cancelled behind its delivery', async () => {
    const agent = await enter();
    const { promise: signing, resolve: seen } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const sign = ground.keys.sign.bind(ground.keys);
    vi.spyOn(ground.keys, 'sign').mockImplementation(async (envelope) => {
      seen();
      await released;
      return await sign(envelope);
    });
    agent.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();
    await signing;

    await ground.store.write((tx) => ground.queue.cancel(tx, id));
    // The node does not know yet what that is about.
    await agent.next('task_cancel');
    release();
    await agent.accept();

    expect(await agent.next('task_cancel')).toEqual({ type: 'task_cancel', task_id: id });
  });

  it('that was given up while its node was away is cancelled when that is back', async () => {
    const first = await enter();
    first.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();
    await first.accept();
    await until(async () => (await state(id)) === 'accepted');
    first.socket.terminate();
    await ground.store.write((tx) => ground.queue.cancel(tx, id));

    expect(await (await enter(1)).next('task_cancel')).toEqual({ type: 'task_cancel', task_id: id });
  });
});

describe('credits', () => {
  it('hold: a thousand tasks wait in the store, not at the node (FAULTS 33)', async () => {
    await ground.store.write(async (tx) => {
      for (let number = 0; number < 1000; number += 1) {
        await ground.queue.enqueue(tx, { ...removal, workload_id: `app-${number}` });
      }
    });
    const agent = await enter();

    agent.send({ type: 'pull', credits: 4, received: 0 });
    const got = [await agent.task(), await agent.task(), await agent.task(), await agent.task()];
    await settled(agent);

    expect(agent.received.filter(({ type }) => type === 'task')).toEqual([]);
    expect(await ground.store.read((tx) => tx.tasks.count({ state: 'leased' }))).toBe(4);
    expect(got.map(({ envelope }) => envelope.workload_id)).toEqual(['app-0', 'app-1', 'app-2', 'app-3']);
  });

  it('that crossed with tasks on their way are not counted twice', async () => {
    const agent = await enter();
    for (const workload_id of ['a', 'b', 'c', 'd']) await ground.enqueue({ workload_id });
    agent.send({ type: 'pull', credits: 2, received: 0 });
    await agent.task();
    await agent.task();

    // The node said this before the two arrived: it has room for two, and these two are there already.
    agent.send({ type: 'pull', credits: 2, received: 0 });
    await settled(agent);
    expect(agent.received.filter(({ type }) => type === 'task')).toEqual([]);

    agent.send({ type: 'pull', credits: 1, received: 2 });
    expect((await agent.task()).envelope.workload_id).toBe('c');
    await settled(agent);
    expect(agent.received.filter(({ type }) => type === 'task')).toEqual([]);
  });
});

describe('before the epoch is confirmed', () => {
  it('nothing is sent and nothing is believed', async () => {
    await ground.enqueue();
    const agent = ground.dial();
    await agent.hello(keys, 'node-1', 0);
    await agent.next('welcome');

    agent.send({ type: 'pull', credits: 4, received: 0 } satisfies FromAgent);
    await settled(agent);

    expect(agent.received).toEqual([]);
    expect(ground.hub.counters()).toMatchObject({ protocol_errors: 1 });
    expect(ground.hub.isConnected('node-1')).toBe(false);
  });
});
