/**
 * Nonsense on the session between a real daemon and a real control plane: it is counted and survived, up to a threshold, and
 * a frame that is too large is never taken in (FAULTS 7, 8). Either side is the hostile one in turn.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { closeCodes, maxFrameBytes } from '../../src/contract/signing.ts';
import { until } from '../support/daemon-ground.ts';
import { type MeddledSession, type Meddler, type Side, startMeddler } from '../support/meddling-proxy.ts';
import { challengeFrom, welcomeWith } from '../support/session-stand-in.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

/** As the contract of both sides has it. */
const tolerated = 16;
let wire: Wire;
let meddler: Meddler;
let metricsPort: number;

beforeAll(async () => {
  metricsPort = await freePort();
  wire = await openWire({ agentConfig: { telemetry: { port: metricsPort, interval_seconds: 15 } } });
  meddler = await startMeddler(wire.proxy.target);
  wire.proxy.target = meddler.port;
  await newSession(() => reconnect());
});
afterEach(async () => {
  const { items } = (await wire.member.call('GET', '/api/v1/app-instances')).body;
  for (const { id, state } of items) {
    if (state !== 'decommissioned') await wire.member.cli('apps', 'instances', 'decommission', id).ended;
  }
});
afterAll(async () => {
  await wire?.close();
  await meddler?.close();
});

function reconnect(): void {
  wire.proxy.cut();
  wire.proxy.mend();
}

/** Resolves when the agent has a session that is younger than what `work` does. */
async function newSession(work: () => void): Promise<void> {
  const before = meddler.sessions.length;
  work();
  await until(() => meddler.sessions.length > before, 'the agent to dial again');
  await until(isConnected, 'the session');
}

const isConnected = async () => (await metric('gpuaas_agent_session_connected')) === 1 && (await knowsNode());
const knowsNode = async () =>
  (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`).catch(() => undefined))?.body.connected === true;

function present(): MeddledSession {
  return meddler.sessions.at(-1) as MeddledSession;
}

async function metric(name: string): Promise<number> {
  const text = name.startsWith('gpuaas_agent')
    ? await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
    : ((await wire.admin.call('GET', '/metrics')).body as string);
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

const errorsOf = { agent: 'gpuaas_agent_protocol_errors_total', server: 'gpuaas_session_protocol_errors_total' };

const common = [
  ['invalid JSON', '{"type":'],
  ['JSON that is no object', '"task"'],
  ['a key given twice', '{"type":"heartbeat","type":"heartbeat"}'],
  ['an unknown message', '{"type":"shell","command":"id"}'],
  ['a field of another kind', '{"type":"heartbeat","server_time":1}'],
  ['a message without its fields', '{"type":"record"}'],
  ['binary', Buffer.from('{"type":"heartbeat"}')],
  ['random bytes', randomBytes(512)],
] as const;

const wrong: Readonly<Record<Side, readonly (readonly [string, string | Buffer])[]>> = {
  agent: [
    ...common,
    ['a message of its own side', '{"type":"pull","credits":1,"received":0}'],
    ['a second challenge', JSON.stringify(challengeFrom('http://127.0.0.1:1'))],
    ['a second welcome', JSON.stringify(welcomeWith({ epoch: 1_000_000 }))],
    ['an ack of what was never sent', '{"type":"ack","journal_id":"other","seq":1}'],
  ],
  server: [
    ...common,
    ['a message of its own side', '{"type":"task","lease_id":"l","jws":"a.b.c"}'],
    ['a second confirm', '{"type":"confirm","epoch":1}'],
  ],
};

describe.each(['agent', 'server'] as const)('the %s', (side) => {
  it('counts what makes no sense, keeps its session, and works on (FAULTS 8)', async () => {
    const session = present();
    const before = await metric(errorsOf[side]);
    const sessions = meddler.sessions.length;

    for (const [index, [what, data]] of wrong[side].entries()) {
      session.say(side, data);
      await until(async () => (await metric(errorsOf[side])) === before + index + 1, `${what} to be counted`);
    }
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');

    expect(wrong[side].length).toBeLessThanOrEqual(tolerated);
    expect(meddler.sessions).toHaveLength(sessions);
    expect(await metric(errorsOf[side])).toBe(before + wrong[side].length);
    expect(await wire.containers(id)).toHaveLength(1);
  });

  it('ends a session with too much of it, in the middle of a launch, and the next one goes on (FAULTS 8)', async () => {
    await newSession(reconnect);
    const session = present();
    const { id } = await wire.launch({ wait_seconds: 2 });
    await until(async () => (await wire.containers(id)).length === 1, 'the container');

    await newSession(() => {
      for (let number = 0; number <= tolerated; number += 1) session.say(side, '{');
    });
    await wire.reaches(id, 'running');

    expect(await session.closed[side]).toBe(closeCodes.protocolError);
    expect(await wire.containers(id)).toHaveLength(1);
  });

  it('refuses a frame over the limit by its head, and the next session goes on (FAULTS 7)', async () => {
    const session = present();

    // Nothing but the head is sent: whoever answers now has buffered nothing.
    await newSession(() => session.write(side, headOfFrame(maxFrameBytes + 1, side)));
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');

    expect(await session.closed[side]).toBe(1009);
  });
});

/** The begin of a text frame of that many bytes; those to a server are masked. */
function headOfFrame(bytes: number, to: Side): Buffer {
  const head = Buffer.alloc(to === 'server' ? 14 : 10);
  head.writeUInt16BE(to === 'server' ? 0x81ff : 0x817f, 0);
  head.writeBigUInt64BE(BigInt(bytes), 2);
  return head;
}
