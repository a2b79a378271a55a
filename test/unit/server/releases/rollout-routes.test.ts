/** Rollouts over the wire: operators by the commands, hosts as agents of which the test says every word. */
import { expect, it } from 'vitest';
import type { UpdatePhase } from '../../../../src/contract/agent-self-update.ts';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import type { TaskEnvelope } from '../../../../src/contract/task-envelope.ts';
import { atFileEnd } from '../../../support/file-end.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { makeRelease, makeSigners } from '../../../support/releases.ts';
import { runGpuaas } from '../../../support/run-gpuaas.ts';
import { type AgentKeys, makeAgentKeys, ScriptedAgent } from '../../../support/scripted-agent.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const signers = makeSigners();
const server = await testServer({}, { releaseRoot: signers.root });
const { call, store } = server;
const run = (...words: string[]) => runGpuaas({ url: server.url, token: server.tokens['operator'] ?? '' }, words);
await store.write((tx) => tx.allocations.insert(anAllocation()));
let number = 0;

/** A release for a channel of its own, whole. */
async function release(): Promise<{ version: string; channel: string; seq: number }> {
  number += 1;
  const about = { version: `2.${number}.0`, channel: `c${number}`, seq: number };
  const made = makeRelease(signers, about);
  await call('POST', '/api/v1/releases', { body: made.papers });
  for (const [name, bytes] of made.files) {
    await call('PUT', `/api/v1/releases/${about.version}/files/${name}`, {
      ...{ body: bytes.toString(), headers: { 'content-type': 'application/octet-stream' } },
    });
  }
  return about;
}

/** A host that does what it is asked, as the test says. */
class Host {
  readonly id: string;
  readonly #keys: AgentKeys;
  #epoch = 0;
  #seq = 0;
  #agent: ScriptedAgent | undefined;

  constructor(id: string, keys: AgentKeys) {
    this.id = id;
    this.#keys = keys;
  }

  async comes(agent_version: string): Promise<void> {
    this.#agent?.socket.terminate();
    const agent = new ScriptedAgent(server.url);
    this.#agent = agent;
    atFileEnd(() => agent.socket.terminate());
    await agent.hello(this.#keys, this.id, this.#epoch, {
      ...{ agent_version, task_types: [{ type: 'agent.self_update', version: 1 }] },
    });
    this.#epoch = (await agent.next('welcome')).epoch;
    agent.send({ type: 'confirm', epoch: this.#epoch });
    agent.send({ type: 'pull', credits: 1, received: 0 });
  }

  async takes(): Promise<TaskEnvelope> {
    if (!this.#agent) throw new Error('it is away');
    return await this.#agent.accept();
  }

  tells({ task_id }: TaskEnvelope, phase: UpdatePhase, values: Record<string, unknown> = {}): void {
    const event = {
      time: '2026-11-25T10:00:00Z',
      type: `update.${phase}`,
      phase: null,
      message: `It is ${phase}.`,
      values,
    };
    this.#record('task.progress', { workload_id: this.id, task_id, event });
  }

  ends({ task_id, fencing }: TaskEnvelope, output: object | FailureCode): void {
    const time = '2026-11-25T10:00:00.000Z';
    const failed = typeof output === 'string' ? new AgentError(output).toFailure() : null;
    const result = {
      ...{ task_id, status: failed ? 'failed' : 'succeeded', output: failed ? null : output, failure: failed },
      ...{ started_at: time, finished_at: time },
    };
    this.#record('task.result', { workload_id: this.id, type: 'agent.self_update', fencing, result });
  }

  #record(kind: 'task.progress' | 'task.result', body: object): void {
    this.#seq += 1;
    const at = '2026-11-25T10:00:00.000Z';
    this.#agent?.send({ type: 'record', journal_id: 'journal-1', seq: this.#seq, kind, at, body } as never);
  }
}

async function hosts(channel: string, count: number): Promise<Host[]> {
  const made: Host[] = [];
  for (let index = 0; index < count; index += 1) {
    const keys = makeAgentKeys();
    const id = `${channel}-n${index}`;
    const { identity_key, wrapping_key } = keys;
    const task_kid = server.context.keys.task.current.kid;
    const node = aNode({ id, name: id, channel, identity_key, wrapping_key, task_kid, epoch_confirmed: 0 });
    await store.write((tx) => tx.nodes.insert(node));
    const host = new Host(id, keys);
    await host.comes('1.0.0');
    await expect.poll(() => server.context.hub.isConnected(id)).toBe(true);
    made.push(host);
  }
  return made;
}

/** As an agent does it: the old version begins, the new one ends it. */
async function updates(host: Host, version: string): Promise<void> {
  const task = await host.takes();
  for (const phase of ['checking', 'downloading', 'swapping'] as const) host.tells(task, phase);
  await host.comes(version);
  host.tells(task, 'on_trial');
  host.ends(task, { version, from: '1.0.0', outcome: 'committed' });
}

it('brings a release to a channel, canary first, and says so to whoever follows it', async () => {
  const { version, channel } = await release();
  const [canary, other, pinned] = (await hosts(channel, 3)) as [Host, Host, Host];
  const marked = await run('nodes', 'set', canary.id, '--canary', '--json');

  const following = run('rollouts', 'start', version, '--wait', '0', '--jitter', '0', '-f', '--json');
  await updates(canary, version);
  const task = await pinned.takes();
  pinned.ends(task, 'update.pinned');
  await updates(other, version);
  const followed = await following;
  const list = await run('rollouts', 'list', '--channel', channel);
  const nodes = await call('GET', '/api/v1/nodes');
  const viewOf = ({ id }: Host) => nodes.body.items.find((node: { id: string }) => node.id === id);

  expect(JSON.parse(marked.out)).toMatchObject({ canary: true, channel });
  expect(task.params).toEqual({ version });
  expect(followed.status).toBe(0);
  expect(JSON.parse(followed.out)).toMatchObject({ version, counts: { committed: 2, held: 1 } });
  expect(followed.err).toContain(`${canary.id} runs it`);
  expect(followed.err).toContain(`${pinned.id} is kept from it`);
  expect(list.out).toMatch(/completed +(stragglers) +2 committed, 1 held/);
  expect(viewOf(canary)).toMatchObject({ agent_version: version, behind: null, update: { state: 'committed' } });
  expect(viewOf(pinned)).toMatchObject({
    behind: version,
    update: { state: 'held', failure: { code: 'update.pinned' } },
  });
});

it('is paused by a host that was rolled back, and does not begin beside another one', async () => {
  const { version, channel } = await release();
  const [first, second] = (await hosts(channel, 2)) as [Host, Host];

  const following = run('rollouts', 'start', version, '--canary', first.id, '-f');
  first.ends(await first.takes(), 'update.rolled_back');
  const followed = await following;
  const again = await run('rollouts', 'start', version, '--json');
  const [{ id }] = JSON.parse((await run('rollouts', 'list', '--channel', channel, '--json')).out).items;
  const described = await run('rollouts', 'describe', id);
  const cancelled = await run('rollouts', 'cancel', id, '--reason', 'A mended one comes.', '--json');
  const resumed = await run('rollouts', 'resume', id);
  const audit = await run('audit', '--subject', id);

  expect([followed.status, again.status, resumed.status]).toEqual([1, 3, 3]);
  expect(followed.err).toContain(`${first.id} was rolled back: The new version did not prove itself`);
  expect(again.out).toContain(`gpuaas rollouts cancel ${id}`);
  expect(described.out).toMatch(new RegExp(`^${first.id} +canary +rolled back`, 'm'));
  expect(described.out).toMatch(new RegExp(`^${second.id} +pending`, 'm'));
  expect(JSON.parse(cancelled.out)).toMatchObject({ state: 'cancelled', reason: 'A mended one comes.' });
  expect(audit.out).toContain('POST /api/v1/rollouts/{rollout_id}/cancel');
});

it('updates one node and waits for it, and refuses a second update meanwhile', async () => {
  const { version, channel } = await release();
  const [host] = (await hosts(channel, 1)) as [Host];

  const waiting = run('nodes', 'update', host.id, '--to', version);
  const task = await host.takes();
  const second = await call('POST', `/api/v1/nodes/${host.id}/update`, { body: { version } });
  host.tells(task, 'downloading', { bytes: 1, bytes_total: 4 });
  await expect
    .poll(async () => (await call('GET', `/api/v1/nodes/${host.id}`)).body.update)
    .toMatchObject({
      ...{ state: 'running', phase: 'downloading', bytes: 1, bytes_total: 4, from: '1.0.0', rollout_id: null },
    });
  await host.comes(version);
  host.ends(task, { version, from: '1.0.0', outcome: 'committed' });
  const waited = await waiting;

  expect([second.status, second.body.error.code]).toEqual([409, 'update.in_progress']);
  expect(waited.status).toBe(0);
  expect(waited.err).toContain('It is downloading.');
  expect((await run('nodes', 'show', host.id)).out).toMatch(new RegExp(`^update +to ${version}: committed`, 'm'));
});

it('says why a node was not updated', async () => {
  const { version, channel } = await release();
  const [host] = (await hosts(channel, 1)) as [Host];

  const waiting = run('nodes', 'update', host.id, '--to', version);
  host.ends(await host.takes(), 'update.unfit');
  const waited = await waiting;

  expect(waited.status).toBe(1);
  expect(waited.err).toContain('The new version does not work on this host; nothing was changed.');
});

it('refuses a rollout of what is not whole, withdrawn, unknown, or of canaries that are not of the channel', async () => {
  const { version } = await release();
  number += 1;
  const half = makeRelease(signers, { version: '3.0.0', seq: number });
  await call('POST', '/api/v1/releases', { body: half.papers });
  const start = async (body: object) => {
    const answer = await call('POST', '/api/v1/rollouts', { body });
    return [answer.status, answer.body.error?.code];
  };

  expect(await start({ version: '3.0.0' })).toEqual([409, 'resource.conflict']);
  expect(await start({ version: '9.9.9' })).toEqual([404, 'resource.not_found']);
  expect(await start({ version, canaries: { nodes: ['nobody'] } })).toEqual([400, 'request.invalid']);
  expect(await start({ version, canaries: { nodes: [], percent: 5 } })).toEqual([400, 'request.invalid']);
  await call('POST', `/api/v1/releases/${version}/withdraw`, { body: { reason: 'A mistake.' } });
  expect(await start({ version })).toEqual([404, 'resource.not_found']);
  expect((await call('POST', '/api/v1/rollouts', { as: 'member', body: { version } })).status).toBe(403);
});

it('cancels the rollout of a release that is withdrawn', async () => {
  const { version, channel } = await release();
  const [host] = (await hosts(channel, 1)) as [Host];
  const started = await run('rollouts', 'start', version, '--json');
  await host.takes();

  await run('releases', 'withdraw', version, '--reason', 'It burns hosts.');
  const { body } = await call('GET', `/api/v1/rollouts/${JSON.parse(started.out).id}`);

  expect(body).toMatchObject({ state: 'cancelled', reason: 'The release was withdrawn.' });
});
