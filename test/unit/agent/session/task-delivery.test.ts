import { afterEach, describe, expect, it } from 'vitest';
import { readNode } from '../../../../src/agent/identity/node-record.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { rotationJwsType } from '../../../../src/contract/signing.ts';
import { eventually } from '../../../support/eventually.ts';
import { challengeFrom, signerNamed, welcomeWith } from '../../../support/session-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { launchTask } from '../journal/samples.ts';
import { type BenchOptions, deliver, type SessionBench, sessionBench } from './session-bench.ts';

const folder = temporaryFolder('task-delivery');
let bench: SessionBench;
afterEach(() => bench.close());

async function open(options: Partial<BenchOptions> = {}): Promise<SessionBench> {
  bench = await sessionBench({ folder, ...options });
  return bench;
}

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
  ])('is refused as %s when signed %s, and nobody sees it (FAULTS 10, X-2)', async (code, _how, make) => {
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
    await eventually(() => expect(said.cancels).toEqual(['a']));

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

  it('are not said while a task is in hand, which has arrived and taken no place yet', async () => {
    const taken = Promise.withResolvers<void>();
    const { welcome, signer, capacity, session, said } = await open({
      onTask: async () => {
        await taken.promise;
        capacity.credits = 3;
        return { accepted: true };
      },
    });
    const peer = await welcome();
    expect(await peer.next('pull')).toMatchObject({ credits: 4, received: 0 });

    peer.say({ type: 'task', lease_id: 'lease-1', jws: await signer.sign(launchTask()) });
    await eventually(() => expect(said.tasks).toHaveLength(1));
    session.pull();
    taken.resolve();
    await peer.next('task_accepted');
    capacity.credits = 4;
    session.pull();

    expect(await peer.next('pull')).toEqual({ type: 'pull', credits: 4, received: 1 });
    expect(peer.heard).toEqual([]);
  });

  it('hold: what is sent beyond them is not taken', async () => {
    const { welcome, signer, said, session } = await open({ takesPlaces: true });
    const peer = await welcome();
    await peer.next('pull');
    for (let number = 1; number <= 10; number += 1) {
      const jws = await signer.sign(launchTask({ task_id: `task-${number}` }));
      peer.say({ type: 'task', lease_id: `lease-${number}`, jws });
    }

    await eventually(() => expect(session.counts.protocolErrors).toBe(6));

    expect(said.tasks.map(({ task_id }) => task_id)).toEqual(['task-1', 'task-2', 'task-3', 'task-4']);
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

function tampered(jws: string): string {
  const [header, payload = '', signature] = jws.split('.');
  const changed = Buffer.from(payload, 'base64url').toString().replace('"node-1"', '"node-1" ');
  return [header, Buffer.from(changed).toString('base64url'), signature].join('.');
}

function unsigned(payload: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none', kid: 'task-key-1', typ: 'gpuaas-task+jws' })}.${part(payload)}.`;
}
