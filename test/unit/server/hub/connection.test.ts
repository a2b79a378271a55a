/** What a connection survives, and what ends it. */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeCodes, maxFirstWordsBytes, maxFrameBytes } from '../../../../src/contract/signing.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';
import type { AgentKeys, ScriptedAgent } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('hub-connection');
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

/** The socket below the WebSocket of an agent. */
function rawOf(agent: ScriptedAgent): Socket {
  return (agent.socket as unknown as { _socket: Socket })._socket;
}

/** Of a text frame whose mask changes nothing. */
function headOfFrame(length: number): Buffer {
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x81ff, 0);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** Empty, and masked as those of an agent are. */
const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

async function heard(agent: ScriptedAgent): Promise<void> {
  await new Promise((resolve) => {
    agent.socket.once('pong', resolve);
    agent.socket.ping();
  });
}

describe('messages that make no sense', () => {
  it.each([
    ['invalid JSON', '{"type":'],
    ['a key given twice', '{"type":"heartbeat","type":"pull"}'],
    ['an unknown message', '{"type":"shell","command":"id"}'],
    ['a message of the other side', '{"type":"task","lease_id":"l","jws":"a.b.c"}'],
    ['a wrong state', '{"type":"confirm","epoch":1}'],
    ['binary', Buffer.from('{"type":"heartbeat"}')],
  ])('are counted and survived: %s (FAULTS 8)', async (_, data) => {
    const agent = await enter();

    agent.socket.send(data);
    await heard(agent);
    agent.send({ type: 'pull', credits: 1, received: 0 });
    const { id } = await ground.enqueue();

    expect((await agent.accept()).task_id).toBe(id);
    expect(ground.hub.counters().protocol_errors).toBe(1);
  });

  it.each([
    ['a key that is no ASCII', `{"${'日'.repeat(64)}":1,"${'日'.repeat(64)}":2}`],
    ['a field that is no ASCII', `{"type":"hello","${'日'.repeat(64)}":2}`],
  ])('close the door to a stranger, and to nobody else: %s', async (_, data) => {
    const stranger = ground.dial();
    await stranger.next('challenge');

    stranger.socket.send(data);

    expect(await stranger.closed).toBe(closeCodes.protocolError);
    expect((await enter()).socket.readyState).toBe(1);
  });

  it('end the session when there are too many (FAULTS 8)', async () => {
    const agent = await enter();

    for (let number = 0; number < 17; number += 1) agent.socket.send('{');

    expect(await agent.closed).toBe(closeCodes.protocolError);
    expect((await enter(1)).socket.readyState).toBe(1);
  });
});

it('keeps no socket of somebody who was refused and does not hang up', async () => {
  const { hostname, port } = new URL(ground.origin);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  // Written again and again: only a socket that is gone over there answers that with an end.
  socket.on('error', () => undefined).on('data', () => setInterval(() => socket.write('x'), 5).unref());

  socket.write('GET /elsewhere HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');

  await closed;
});

describe('a frame', () => {
  it('over the limit ends the connection with 1009 before it has arrived, and the node may come back (FAULTS 7)', async () => {
    const agent = await enter();

    // Only its head is sent: whoever answers now has buffered nothing.
    rawOf(agent).write(headOfFrame(maxFrameBytes + 1));

    expect(await agent.closed).toBe(1009);
    await enter(1);
  });

  it('of exactly the limit is read', async () => {
    const agent = await enter();

    agent.socket.send('{"type":"heartbeat"}'.padEnd(maxFrameBytes));
    await heard(agent);

    expect(ground.hub.counters().protocol_errors).toBe(0);
  });
});

describe('a silent agent', () => {
  it('is dropped within 45 s and is away a minute later (FAULTS 3)', async () => {
    const agent = await enter();
    await clock.advance(40_000);

    await agent.closed;
    expect(ground.hub.isConnected('node-1')).toBe(false);
    await clock.advance(60_000);

    await until(() => ground.sink.presence.includes('away node-1'));
    await enter(1);
    expect(ground.sink.presence).toEqual(['back node-1', 'away node-1', 'back node-1']);
  });

  it('is told that we live, with our time', async () => {
    const agent = await enter();

    await clock.advance(10_000);

    expect(await agent.next('heartbeat')).toEqual({ type: 'heartbeat', server_time: '2026-11-25T12:00:10.000Z' });
  });

  it('is told a time that follows nobody who sets our clock (FAULTS 20)', async () => {
    const agent = await enter();

    clock.setWall(Date.parse('2026-11-24T12:00:00Z'));
    await clock.advance(10_000);

    expect(await agent.next('heartbeat')).toMatchObject({ server_time: '2026-11-25T12:00:10.000Z' });
  });

  it('that was gone only for a while was never away', async () => {
    const first = await enter();
    first.socket.terminate();
    await until(() => !ground.hub.isConnected('node-1'));
    await clock.advance(30_000);

    await enter(1);
    await clock.advance(20_000);

    expect(ground.sink.presence).toEqual(['back node-1', 'back node-1']);
  });

  it('that does not come after a start of the control plane is away', async () => {
    await ground.close();
    ground = await openHubGround(`${root}/${count}`, { clock });

    await clock.advance(60_000);

    await until(() => ground.sink.presence.length > 0);
    expect(ground.sink.presence).toEqual(['away node-1']);
  });
});

describe('a stranger', () => {
  it('that says nothing does not stay', async () => {
    const agent = ground.dial();
    await agent.next('challenge');

    await clock.advance(10_000);

    expect(await agent.closed).toBe(closeCodes.unauthenticated);
  });

  it.each([
    ['a frame that does not end', Buffer.concat([headOfFrame(maxFrameBytes), Buffer.alloc(maxFirstWordsBytes)])],
    ['frames that nobody asks for', Buffer.alloc(maxFirstWordsBytes + 6, pong)],
  ])('that says more than a hello takes is sent away: %s', async (_, words) => {
    const agent = ground.dial();
    await agent.next('challenge');

    rawOf(agent).write(words);

    await agent.closed;
    expect(ground.hub.counters().protocol_errors).toBe(1);
    expect((await enter()).socket.readyState).toBe(1);
  });

  it('may say the longest hello there is', async () => {
    const agent = ground.dial();
    const task_types = Array.from({ length: 128 }, () => ({ type: 'x'.repeat(128), version: 2 ** 31 }));

    await agent.hello(keys, 'node-1', 0, { task_types, agent_version: 'x'.repeat(64) });

    expect(await agent.next('welcome')).toMatchObject({ epoch: 1 });
  });
});

describe('any number of strangers', () => {
  it('that say nothing keep no node out', async () => {
    const silent = Array.from({ length: 300 }, () => ground.dial());
    await Promise.all(silent.map((stranger) => stranger.next('challenge').catch(() => undefined)));

    const agent = await enter();

    expect(agent.socket.readyState).toBe(1);
    expect(silent.filter(({ socket }) => socket.readyState === 1).length).toBeLessThanOrEqual(256);
  });
});

describe('a stop', () => {
  it('says goodbye: when to come back, then 1001', async () => {
    const agent = await enter();

    await ground.stopHub();

    expect(await agent.closed).toBe(closeCodes.goingAway);
    expect(agentSaid(agent, 'retry_after')).toBe(true);
  });
});

function agentSaid(agent: ScriptedAgent, type: string): boolean {
  return agent.received.some((message) => message.type === type);
}
