import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import type { Ending } from '../../../../src/agent/session/reconnect.ts';
import { AgentSocket } from '../../../../src/agent/session/socket.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { certificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { challengeFrom, isProven, welcomeWith } from '../../../support/session-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { launchTask } from '../journal/samples.ts';
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
    await eventually(() => expect(said.states).toContainEqual(expect.objectContaining({ kind: 'waiting' })));
    expect(said.log.join('')).toContain('control_plane.untrusted');
  });

  it('over TLS with a control plane that the trusted CA vouches for', async () => {
    const tls = certificate(folder);
    const { welcome, session } = await open({ tls, ca: tls.cert });

    await welcome();

    await eventually(() => expect(session.state.kind).toBe('connected'));
  });

  it('not over TLS with a control plane that only vouches for itself', async () => {
    const { said } = await open({ tls: certificate(folder) });

    await eventually(() =>
      expect(said.states).toContainEqual(
        expect.objectContaining({ kind: 'waiting', reason: expect.stringContaining('self-signed certificate') }),
      ),
    );

    expect(said.states).not.toContainEqual(expect.objectContaining({ kind: 'connected' }));
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
      await eventually(() => expect(session.serverNow()).toBe(Date.parse(`2026-11-25T12:0${round}:00.000Z`)));
    }

    expect(session.counts.connections).toBe(1);
  });

  it('survives what makes no sense, up to a threshold (FAULTS 8)', async () => {
    const { welcome, signer, session } = await open();
    const peer = await welcome();
    const nonsense = [
      '{',
      '[]',
      'null',
      '"task"',
      '{"type":"reboot"}',
      '{"type":"ack"}',
      '{"type":"heartbeat","server_time":1}',
    ];
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

  it('does not mind what a newer control plane adds to what it says', async () => {
    const { session } = await open();
    const peer = await bench.server.nextPeer();

    peer.say({ ...challengeFrom(bench.server.origin), region: 'x' } as never);
    await peer.next('hello');
    peer.say({ ...welcomeWith({ epoch: 3 }), quota: { tasks: 4 } } as never);
    await peer.next('confirm');

    expect(bench.epochs.read()).toBe(3);
    expect(session.counts).toEqual({ connections: 1, protocolErrors: 0 });
  });

  it('whose other end asks without reading the answers is dropped (FAULTS 4)', async () => {
    const { welcome, said } = await open();
    const peer = await welcome();
    peer.socket.pause();

    const failure = { ...new AgentError('logs.not_found').toFailure(), detail: { excerpt: 'x'.repeat(1_000_000) } };
    for (let number = 1; number <= 32; number += 1) {
      const source = { kind: 'task', id: 'task-1' } as const;
      const rest = { source, cursor: null, tail: null, follow: false, bytes: 1 };
      peer.say({ type: 'logs_open', stream: `s${number}`, ...rest });
    }
    await eventually(() => expect(said.streams).toHaveLength(32));

    for (const { request, reply } of said.streams) {
      void reply.send({ type: 'logs_end', stream: request.stream, failure });
    }

    await eventually(() =>
      expect(said.states).toContainEqual(
        expect.objectContaining({ kind: 'waiting', reason: 'the control plane asks and does not read' }),
      ),
    );
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
    [4409, 'superseded', 40_000],
    [4423, 'quarantined', 40_000],
  ])('that is closed with %i is not dialled again soon: %s (FAULTS 32)', async (code, trouble, ms) => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });

    (await welcome()).socket.close(code, 'no');

    await eventually(() => expect(session.state).toEqual({ kind: 'waiting', delay_ms: ms, reason: 'no', trouble }));
    expect(clock.waiting()).toEqual([ms]);
  });

  it('is dialled again when the control plane said', async () => {
    const clock = manualClock();
    const { welcome, session } = await open({ clock });
    const peer = await welcome();

    peer.say({ type: 'retry_after', seconds: 30 });
    peer.socket.close(1001);

    await eventually(() => expect(session.state).toMatchObject({ kind: 'waiting', delay_ms: 30_000 }));
  });
});

describe('a control plane that is away', () => {
  const log = createLog({ level: 'silent' });
  const stateOf = async (url: string) => {
    const { session } = await open();
    await session.close();
    const ended = Promise.withResolvers<Omit<Ending, 'stoodMs'>>();
    const nothing = () => undefined;
    const handlers = {
      onSign: nothing,
      onMessage: nothing,
      onFault: nothing,
      onError: (err: unknown) => log.warn({ err }),
    };
    await AgentSocket.dial(controlPlaneOrigin(url), { ...handlers, onEnd: ended.resolve });
    return (await ended.promise).answered;
  };
  const answering = async (status: number) => {
    const server = createServer((_request, response) => response.writeHead(status).end());
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    server.unref();
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it.each([
    ['nobody listens', async () => 'http://127.0.0.1:1', false],
    ['a proxy finds nobody behind it', () => answering(502), false],
    ['it says no', () => answering(403), true],
  ])('is told from one that answers: %s', async (_what, url, answered) => {
    expect(await stateOf(await url())).toBe(answered);
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
    await eventually(() => expect(session.state.kind).toBe('waiting'));

    await session.close();

    expect(clock.waiting()).toEqual([]);
  });
});
