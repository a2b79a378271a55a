import { afterEach, describe, expect, it } from 'vitest';
import type { LogsChunk } from '../../../../src/contract/session-messages.ts';
import { eventually } from '../../../support/eventually.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { type BenchOptions, type SessionBench, sessionBench } from './session-bench.ts';

const folder = temporaryFolder('log-relay');
let bench: SessionBench;
afterEach(() => bench.close());

async function open(options: Partial<BenchOptions> = {}): Promise<SessionBench> {
  bench = await sessionBench({ folder, ...options });
  return bench;
}

describe('log streams', () => {
  const request = { type: 'logs_open', stream: 's1', source: { kind: 'task', id: 'task-1' } } as const;
  const whole = { ...request, cursor: null, tail: null, follow: false, bytes: 1000 };
  const line = { time: '2026-11-25T12:00:00Z', channel: 'task', text: 'x', encoding: 'utf8', partial: false } as const;
  const chunk: LogsChunk = { type: 'logs_chunk', stream: 's1', cursor: 'c1', block: [line] };
  const end = { type: 'logs_end', stream: 's1', failure: null } as const;

  it('are opened, credited and closed as the control plane says, and send while they are open', async () => {
    const { welcome, said } = await open();
    const peer = await welcome();
    peer.say(whole);
    peer.say({ type: 'logs_credit', stream: 's1', bytes: 10 });
    await eventually(() => expect(said.logCalls).toEqual(['credit s1 10']));
    const [{ request: asked, reply } = fail()] = said.streams;

    const sent = await reply.send(chunk);
    const ended = await reply.send(end);
    const late = await reply.send(chunk);
    peer.say({ type: 'logs_credit', stream: 's1', bytes: 10 });
    peer.say({ type: 'logs_close', stream: 's1' });
    peer.say({ type: 'heartbeat' });

    expect(asked).toEqual(whole);
    expect([sent, ended, late]).toEqual([true, true, false]);
    expect(await peer.next('logs_chunk')).toEqual(chunk);
    expect(await peer.next('logs_end')).toEqual(end);
    expect(said.logCalls).toEqual(['credit s1 10']);
  });

  it('are closed with the connection, and what they still send goes nowhere', async () => {
    const { welcome, said } = await open();
    const peer = await welcome();
    peer.say(whole);
    await eventually(() => expect(said.streams).toHaveLength(1));

    peer.socket.terminate();
    const next = await welcome();
    await eventually(() => expect(said.logCalls).toEqual(['close s1']));
    next.say(whole);
    await eventually(() => expect(said.streams).toHaveLength(2));

    const [first = fail(), second = fail()] = said.streams;
    expect(await first.reply.send(chunk)).toBe(false);
    expect(await second.reply.send(chunk)).toBe(true);
  });

  it('cannot be opened twice under one name', async () => {
    const { welcome, said, session } = await open();
    const peer = await welcome();

    peer.say(whole);
    peer.say(whole);

    await eventually(() => expect(session.counts.protocolErrors).toBe(1));
    expect(said.streams).toHaveLength(1);
  });
});

function fail(): never {
  throw new Error('no stream was opened');
}
