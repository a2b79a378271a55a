import { afterEach, describe, expect, it, vi } from 'vitest';
import { readNode } from '../../../../src/agent/identity/node-record.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { LogsChunk } from '../../../../src/contract/session-messages.ts';
import { rotationJwsType } from '../../../../src/contract/signing.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { challengeFrom, isProven, signerNamed, welcomeWith } from '../../../support/session-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { exitEvent, launchTask, progress } from '../journal/samples.ts';
import { type BenchOptions, deliver, type SessionBench, sessionBench } from './session-bench.ts';

const folder = temporaryFolder('session');
let bench: SessionBench;
afterEach(() => bench.close());

async function open(options: Partial<BenchOptions> = {}): Promise<SessionBench> {
  bench = await sessionBench({ folder, ...options });
  return bench;
}

describe('a session begins', () => {
  it('with a hello that proves who the node is, and is confirmed once its epoch is on the disk', async () => {
    const { server, identity, session, epochs, said } = await open();
    const peer = await server.nextPeer();
    const challenge = challengeFrom(server.origin);
    peer.say(challenge);
    const hello = await peer.next('hello');
    peer.say(welcomeWith({ epoch: 7 }));

    expect(await peer.next('confirm')).toEqual({ type: 'confirm', epoch: 7 });
    expect(epochs.read()).toBe(7);
    expect(hello).toMatchObject({
      node_id: 'node-1',
      boot_id: 'boot-1',
      epoch: 0,
      protocol: 1,
      agent_version: '0.1.0',
    });
    expect(hello.task_types).toContainEqual({ type: 'workload.oci_launch', version: 1 });
    expect(isProven(hello, challenge, identity.publicJwk)).toBe(true);
    expect(isProven(hello, challengeFrom(server.origin), identity.publicJwk)).toBe(false);
    expect(await peer.next('pull')).toEqual({ type: 'pull', credits: 4, received: 0 });
    expect(session.state).toEqual({ kind: 'connected', epoch: 7 });
    expect(session.bearer()).toBe('bearer-1');
    expect(said.states.map(({ kind }) => kind)).toEqual(['connecting', 'connected']);
  });

  it('with the last epoch that was confirmed', async () => {
    const { server, welcome } = await open();
    (await welcome({ epoch: 12 })).socket.terminate();

    const peer = await server.nextPeer();
    peer.say(challengeFrom(server.origin));

    expect((await peer.next('hello')).epoch).toBe(12);
  });

  it('not with a control plane that believes to be another one', async () => {
    const { server, said } = await open();
    const peer = await server.nextPeer();

    peer.say(challengeFrom('https://elsewhere.example.com'));

    expect(await peer.closed).toBe(1006);
    expect(peer.heard).toEqual([]);
    await vi.waitFor(() => expect(said.states).toContainEqual(expect.objectContaining({ kind: 'waiting' })));
    expect(said.log.join('')).toContain('control_plane.untrusted');
  });

  it('not with an epoch that was there before', async () => {
    const { server, welcome, epochs } = await open();
    (await welcome({ epoch: 12 })).socket.terminate();
    const peer = await server.nextPeer();
    peer.say(challengeFrom(server.origin));
    await peer.next('hello');

    peer.say(welcomeWith({ epoch: 12 }));

    expect(await peer.closed).toBe(1006);
    expect(epochs.read()).toBe(12);
  });

  it('anew where nothing is said for too long', async () => {
    const clock = manualClock();
    const { server } = await open({ clock });
    const peer = await server.nextPeer();

    await clock.advance(10_000);

    expect(await peer.closed).toBe(1006);
  });
});

describe('a task', () => {
  it('is proven, handed over, and accepted when that is done', async () => {
    const { welcome, signer, said } = await open();
    const peer = await welcome();

    const answer = await deliver(peer, signer, launchTask());

    expect(answer).toEqual({ type: 'task_accepted', lease_id: 'lease-1', task_id: 'task-1' });
    expect(said.tasks).toEqual([launchTask()]);
  });

  it('that the agent cannot take is refused with its reason', async () => {
    const failure = new AgentError('agent.draining').toFailure();
    const { welcome, signer } = await open({ onTask: () => ({ accepted: false, failure }) });
    const peer = await welcome();

    expect(await deliver(peer, signer, launchTask())).toEqual({ type: 'task_refused', lease_id: 'lease-1', failure });
  });

  it('that makes the agent fail is refused as internal, and the session goes on', async () => {
    const { welcome, signer, said } = await open({
      onTask: () => {
        throw new Error('no database');
      },
    });
    const peer = await welcome();

    expect(await deliver(peer, signer, launchTask())).toMatchObject({ failure: { code: 'internal' } });
    expect(await deliver(peer, signer, launchTask())).toMatchObject({ failure: { code: 'internal' } });
    expect(said.states.at(-1)?.kind).toBe('connected');
  });

  it.each<[string, string, (bench: SessionBench) => Promise<string>]>([
    ['task.untrusted', 'by a key that nobody knows', () => signerNamed('unknown').sign(launchTask())],
    ['task.untrusted', 'by another key of the same name', () => signerNamed('task-key-1').sign(launchTask())],
    ['task.untrusted', 'as something else', ({ signer }) => signer.sign(launchTask(), rotationJwsType)],
    ['task.untrusted', 'for another node', ({ signer }) => signer.sign(launchTask({ node_id: 'node-2' }))],
    ['task.untrusted', 'and changed afterwards', async ({ signer }) => tampered(await signer.sign(launchTask()))],
    ['task.untrusted', 'not at all', async () => unsigned(launchTask())],
    ['task.untrusted', 'in no way', async () => 'garbage'],
    ['task.invalid', 'that is no JSON', ({ signer }) => signer.sign('{"task_id": ')],
    ['task.invalid', 'with a key given twice', ({ signer }) => signer.sign('{"task_id": "a", "task_id": "b"}')],
    ['task.invalid', 'with an unknown key', ({ signer }) => signer.sign({ ...launchTask(), privileged: true })],
  ])('is refused as %s when signed %s, and nobody sees it (FAULTS 10)', async (code, _how, make) => {
    const { welcome, said } = await open();
    const peer = await welcome();

    peer.say({ type: 'task', lease_id: 'lease-9', jws: await make(bench) });

    expect(await peer.next('task_refused')).toMatchObject({ lease_id: 'lease-9', failure: { code } });
    expect(said.tasks).toEqual([]);
  });

  it('with a wrong envelope is refused with the path (FAULTS 9)', async () => {
    const { welcome, signer } = await open();

    const answer = await deliver(await welcome(), signer, launchTask({ attempt: 0 }));

    expect(answer).toMatchObject({ failure: { detail: { errors: [{ path: '/attempt' }] } } });
  });

  it('and its cancellation arrive in their order', async () => {
    const { welcome, signer, said } = await open();
    const peer = await welcome();
    const jws = await Promise.all(['a', 'b'].map((id) => signer.sign(launchTask({ task_id: id }))));

    peer.say({ type: 'task', lease_id: 'l-1', jws: jws[0] ?? '' });
    peer.say({ type: 'task', lease_id: 'l-2', jws: jws[1] ?? '' });
    peer.say({ type: 'task_cancel', task_id: 'a' });
    await peer.next('task_accepted');
    await peer.next('task_accepted');
    await vi.waitFor(() => expect(said.cancels).toEqual(['a']));

    expect(said.tasks.map(({ task_id }) => task_id)).toEqual(['a', 'b']);
  });
});

describe('credits', () => {
  it('are said again only where the control plane believes otherwise (FAULTS 33)', async () => {
    const { welcome, signer, capacity, session } = await open({ takesPlaces: true });
    const peer = await welcome();
    expect(await peer.next('pull')).toMatchObject({ credits: 4, received: 0 });

    await deliver(peer, signer, launchTask());
    session.pull();
    capacity.credits = 4;
    session.pull();

    expect(await peer.next('pull')).toEqual({ type: 'pull', credits: 4, received: 1 });
    expect(peer.heard).toEqual([]);
  });

  it('are given back for a task that took no place', async () => {
    const { welcome, signer } = await open();
    const peer = await welcome();
    await peer.next('pull');

    await deliver(peer, signerNamed('unknown'), launchTask());
    const back = await peer.next('pull');
    await deliver(peer, signer, launchTask());

    expect(back).toEqual({ type: 'pull', credits: 4, received: 1 });
    expect(await peer.next('pull')).toEqual({ type: 'pull', credits: 4, received: 2 });
  });

  it('hold: what is sent beyond them is not taken', async () => {
    const { welcome, signer, said, session } = await open({ takesPlaces: true });
    const peer = await welcome();
    await peer.next('pull');
    for (let number = 1; number <= 10; number += 1) {
      const jws = await signer.sign(launchTask({ task_id: `task-${number}` }));
      peer.say({ type: 'task', lease_id: `lease-${number}`, jws });
    }

    await vi.waitFor(() => expect(session.counts.protocolErrors).toBe(6));

    expect(said.tasks.map(({ task_id }) => task_id)).toEqual(['task-1', 'task-2', 'task-3', 'task-4']);
  });
});

describe('records', () => {
  it('wait in the journal without a session, and are sent in order until they are acknowledged (FAULTS 1)', async () => {
    const { welcome, journal } = await open();
    journal.append('event', exitEvent('instance-1', 'one'));
    const first = await welcome();
    journal.append('event', exitEvent('instance-1', 'two'));
    const one = await first.next('record');
    const two = await first.next('record');
    first.say({ type: 'ack', journal_id: journal.id, seq: 1 });
    await vi.waitFor(() => expect(journal.depth().records).toBe(1));
    first.socket.terminate();

    const second = await welcome();
    const again = await second.next('record');
    second.say({ type: 'ack', journal_id: journal.id, seq: 2 });
    await vi.waitFor(() => expect(journal.depth().records).toBe(0));

    expect(one).toMatchObject({ journal_id: journal.id, seq: 1, kind: 'event', body: { event: { message: 'one' } } });
    expect(two.seq).toBe(2);
    expect(again).toEqual(two);
    expect(second.heard).not.toContainEqual(expect.objectContaining({ type: 'record' }));
  });

  it('that the control plane has already are not sent', async () => {
    const { welcome, journal } = await open();
    journal.append('event', exitEvent(null));
    journal.append('event', exitEvent(null));

    const peer = await welcome({ acked: { journal_id: journal.id, seq: 1 } });

    expect((await peer.next('record')).seq).toBe(2);
    expect(journal.depth().records).toBe(1);
  });

  it('are held back where nothing is acknowledged (FAULTS 4)', async () => {
    const { welcome, journal } = await open();
    const peer = await welcome();
    for (let number = 1; number <= 300; number += 1) {
      journal.append('task.progress', progress(`step ${number}`));
    }

    for (let number = 1; number <= 256; number += 1) {
      expect((await peer.next('record')).seq).toBe(number);
    }
    expect(peer.heard).not.toContainEqual(expect.objectContaining({ type: 'record' }));
    peer.say({ type: 'ack', journal_id: journal.id, seq: 256 });
    for (let number = 257; number <= 300; number += 1) {
      expect((await peer.next('record')).seq).toBe(number);
    }
  }, 30_000);

  it('count as kept by no ack for another journal or for what was never sent', async () => {
    const { welcome, journal, session } = await open();
    const peer = await welcome();
    journal.append('event', exitEvent(null));
    await peer.next('record');

    peer.say({ type: 'ack', journal_id: 'another', seq: 1 });
    peer.say({ type: 'ack', journal_id: journal.id, seq: 2 });
    await vi.waitFor(() => expect(session.counts.protocolErrors).toBe(2));

    expect(journal.depth().records).toBe(1);
  });
});

describe('a connection', () => {
  it('over which nothing is heard for 45 s is dropped, and another one stands under a new epoch (FAULTS 3)', async () => {
    const clock = manualClock();
    const { server, welcome, epochs, said } = await open({ clock });
    const silent = await welcome({ epoch: 1 });
    silent.socket.pause();

    await clock.advance(30_000);
    const before = said.states.at(-1)?.kind;
    await clock.advance(15_000);
    const next = await server.nextPeer();
    next.say(challengeFrom(server.origin));
    await next.next('hello');
    next.say(welcomeWith({ epoch: 2 }));
    await next.next('confirm');

    expect(before).toBe('connected');
    expect(epochs.read()).toBe(2);
    expect(said.states).toContainEqual(
      expect.objectContaining({ kind: 'waiting', reason: 'the control plane is silent' }),
    );
  });

  it('stays where anything at all is heard, and says itself that it lives', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    const peer = await welcome();

    for (let round = 0; round < 8; round += 1) {
      await clock.advance(15_000);
      await peer.next('heartbeat');
      peer.say({ type: 'heartbeat', server_time: `2026-11-25T12:0${round}:00.000Z` });
      await vi.waitFor(() => expect(session.serverNow()).toBe(Date.parse(`2026-11-25T12:0${round}:00.000Z`)));
    }

    expect(session.counts.connections).toBe(1);
  });

  it('survives what makes no sense, up to a threshold (FAULTS 8)', async () => {
    const { welcome, signer, session } = await open();
    const peer = await welcome();
    const nonsense = ['{', '[]', 'null', '"task"', '{"type":"reboot"}', '{"type":"ack"}', '{"type":"heartbeat","x":1}'];
    for (const text of nonsense) {
      peer.socket.send(text);
    }
    peer.socket.send(Buffer.from('{"type":"heartbeat"}'), { binary: true });
    peer.say(challengeFrom(bench.server.origin));
    peer.say(welcomeWith({ epoch: 99 }));
    const answer = await deliver(peer, signer, launchTask());
    const tolerated = session.counts;
    for (let number = 0; number < 7; number += 1) {
      peer.socket.send('{');
    }

    expect(answer.type).toBe('task_accepted');
    expect(tolerated).toEqual({ connections: 1, protocolErrors: 10 });
    expect(await peer.closed).toBe(4400);
    expect(bench.epochs.read()).toBe(1);
  });

  it('over which a task comes before the welcome takes none', async () => {
    const { server, signer, said, session } = await open();
    const peer = await server.nextPeer();

    peer.say({ type: 'task', lease_id: 'l', jws: await signer.sign(launchTask()) });
    peer.say(welcomeWith());
    peer.say(challengeFrom(server.origin));
    await peer.next('hello');

    expect(session.counts.protocolErrors).toBe(2);
    expect(said.tasks).toEqual([]);
  });

  it('is closed with 1009 on a frame over the limit, and dialled again (FAULTS 7)', async () => {
    const { server, welcome, session } = await open();
    const peer = await welcome();

    peer.socket.send('x'.repeat(1024 * 1024 + 1));

    expect(await peer.closed).toBe(1009);
    (await server.nextPeer()).socket.terminate();
    expect(session.counts.protocolErrors).toBe(0);
  });

  it.each([
    [4401, 'unauthenticated', 120_000],
    [4403, 'revoked', 1_800_000],
    [4409, 'superseded', 60_000],
    [4423, 'quarantined', 900_000],
  ])('that is closed with %i is not dialled again soon: %s (FAULTS 32)', async (code, trouble, ms) => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });

    (await welcome()).socket.close(code, 'no');

    await vi.waitFor(() => expect(session.state).toEqual({ kind: 'waiting', delay_ms: ms, reason: 'no', trouble }));
    expect(clock.waiting()).toEqual([ms]);
  });

  it('is dialled again when the control plane said', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    const peer = await welcome();

    peer.say({ type: 'retry_after', seconds: 30 });
    peer.socket.close(1001);

    await vi.waitFor(() => expect(session.state).toMatchObject({ kind: 'waiting', delay_ms: 30_000 }));
  });
});

describe('the time of the control plane', () => {
  it('goes on with the monotonic clock, whatever becomes of the clock of the host (FAULTS 20)', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    const before = session.serverNow();
    await welcome({ server_time: '2026-11-25T12:00:00.000Z' });

    clock.setWall(Date.parse('2026-11-26T12:00:00Z'));
    await clock.advance(1500);

    expect(before).toBeUndefined();
    expect(session.serverNow()).toBe(Date.parse('2026-11-25T12:00:01.500Z'));
    expect(session.state.kind).toBe('connected');
  });
});

describe('a key that tasks are signed with', () => {
  const rotation = (by: ReturnType<typeof signerNamed>, next: ReturnType<typeof signerNamed>, retireAfter: string) =>
    by.sign({ next: { kid: next.kid, jwk: next.jwk }, retire_after: retireAfter }, rotationJwsType);

  it("is followed by the one that it has signed, and by that one's next, on the disk as well", async () => {
    const { welcome, signer, stateDir } = await open();
    const [second, third] = [signerNamed('task-key-2'), signerNamed('task-key-3')];

    const peer = await welcome({
      rotations: [
        await rotation(signer, second, '2026-11-25T11:00:00Z'),
        await rotation(second, third, '2026-11-25T13:00:00Z'),
      ],
    });

    expect((await deliver(peer, third, launchTask())).type).toBe('task_accepted');
    expect((await deliver(peer, second, launchTask())).type).toBe('task_accepted');
    expect(await deliver(peer, signer, launchTask())).toMatchObject({ failure: { code: 'task.untrusted' } });
    expect(readNode(stateDir)?.task_keys.map(({ kid }) => kid)).toEqual(['task-key-1', 'task-key-2', 'task-key-3']);
  });

  it('hands on once: not to another heir later', async () => {
    const { server, welcome, signer, stateDir } = await open();
    const [second, thief] = [signerNamed('task-key-2'), signerNamed('thief')];
    (await welcome({ rotations: [await rotation(signer, second, '2027-01-01T00:00:00Z')] })).socket.terminate();
    const peer = await server.nextPeer();
    peer.say(challengeFrom(server.origin));
    await peer.next('hello');

    peer.say(welcomeWith({ epoch: 5, rotations: [await rotation(signer, thief, '2027-01-01T00:00:00Z')] }));

    expect(await peer.closed).toBe(1006);
    expect(readNode(stateDir)?.task_keys.map(({ kid }) => kid)).toEqual(['task-key-1', 'task-key-2']);
  });

  it.each<[string, (bench: SessionBench) => Promise<string>]>([
    ['by a stranger', () => rotation(signerNamed('stranger'), signerNamed('next'), '2027-01-01T00:00:00Z')],
    ['as a task', ({ signer }) => signer.sign({ next: { kid: 'x', jwk: signer.jwk }, retire_after: '2027' })],
    ['to one of its own name', ({ signer }) => rotation(signer, signerNamed('task-key-1'), '2027-01-01T00:00:00Z')],
    ['without saying to whom', ({ signer }) => signer.sign({}, rotationJwsType)],
  ])('is not handed on %s', async (_how, make) => {
    const { server, stateDir, epochs } = await open();
    const peer = await server.nextPeer();
    peer.say(challengeFrom(server.origin));
    await peer.next('hello');

    peer.say(welcomeWith({ rotations: [await make(bench)] }));

    expect(await peer.closed).toBe(1006);
    expect(readNode(stateDir)?.task_keys).toHaveLength(1);
    expect(epochs.read()).toBe(0);
  });
});

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
    await vi.waitFor(() => expect(said.logCalls).toEqual(['credit s1 10']));
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
    await vi.waitFor(() => expect(said.streams).toHaveLength(1));

    peer.socket.terminate();
    const next = await welcome();
    await vi.waitFor(() => expect(said.logCalls).toEqual(['close s1']));
    next.say(whole);
    await vi.waitFor(() => expect(said.streams).toHaveLength(2));

    const [first = fail(), second = fail()] = said.streams;
    expect(await first.reply.send(chunk)).toBe(false);
    expect(await second.reply.send(chunk)).toBe(true);
  });

  it('cannot be opened twice under one name', async () => {
    const { welcome, said, session } = await open();
    const peer = await welcome();

    peer.say(whole);
    peer.say(whole);

    await vi.waitFor(() => expect(session.counts.protocolErrors).toBe(1));
    expect(said.streams).toHaveLength(1);
  });
});

describe('closing', () => {
  it('ends the connection and dials no more', async () => {
    const { welcome, session, said } = await open();
    const peer = await welcome();

    await session.close();

    expect(await peer.closed).toBe(1000);
    expect(session.state).toEqual({ kind: 'closed' });
    expect(session.bearer()).toBeUndefined();
    expect(said.states.map(({ kind }) => kind)).toEqual(['connecting', 'connected', 'closed']);
  });

  it('does not wait for a control plane that does not answer', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    (await welcome()).socket.pause();

    const closed = session.close();
    await clock.advance(1000);
    await closed;

    expect(session.state.kind).toBe('closed');
  });

  it('ends a wait for the next attempt', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    (await welcome()).socket.close(4403);
    await vi.waitFor(() => expect(session.state.kind).toBe('waiting'));

    await session.close();

    expect(clock.waiting()).toEqual([]);
  });
});

function fail(): never {
  throw new Error('no stream was opened');
}

function tampered(jws: string): string {
  const [header, payload = '', signature] = jws.split('.');
  const changed = Buffer.from(payload, 'base64url').toString().replace('"node-1"', '"node-1" ');
  return [header, Buffer.from(changed).toString('base64url'), signature].join('.');
}

function unsigned(payload: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none', kid: 'task-key-1', typ: 'gpuaas-task+jws' })}.${part(payload)}.`;
}
