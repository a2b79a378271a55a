/** The agent's session and the hub, each as it is, with a network between them that fails (FAULTS 1–5, 32). */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Static } from 'typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogItem, LogSources } from '../../src/agent/logs/log-source.ts';
import { LogStreams } from '../../src/agent/logs/log-streams.ts';
import type { EventBody } from '../../src/contract/records.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type HubGround, type HubSettings, openHubGround, removal, until } from '../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { enrolHost, startAgent, type WiredAgent, type WiredAgentOptions } from '../support/wired-agent.ts';

const root = temporaryFolder('wire');
let count = 0;
let folder: string;
let proxy: FaultProxy;
let ground: HubGround;
let closing: (() => Promise<void>)[];

beforeEach(async () => {
  count += 1;
  folder = join(root, String(count));
  closing = [];
  proxy = await startFaultProxy();
  await serve();
});
afterEach(async () => {
  await Promise.all(closing.map((close) => close()));
  await ground.close();
  await proxy.close();
});

async function serve(settings: HubSettings = {}): Promise<void> {
  ground = await openHubGround(join(folder, 'server'), { audience: proxy.origin, ...settings });
  proxy.target = Number(new URL(ground.origin).port);
}

/** An enrolled host and its agent, connected. */
async function agentOf(number: number, options: Partial<WiredAgentOptions> = {}): Promise<WiredAgent> {
  const stateDir = join(folder, `agent-${number}`);
  await enrolHost(ground, proxy.origin, stateDir, number);
  const agent = start({ stateDir, origin: proxy.origin, ...options });
  await until(() => ground.hub.isConnected(agent.nodeId));
  return agent;
}

function start(options: WiredAgentOptions): WiredAgent {
  const agent = startAgent(options);
  closing.push(() => agent.close());
  return agent;
}

/** Ends the task that it began first. */
function finishFirst({ begun: [first], finish }: WiredAgent): void {
  if (!first) throw new Error('it has begun nothing');
  finish(first);
}

/** Lets the time pass for which the agent waits, and no more: what it does then has all the time that it needs. */
async function dialsAgain({ session }: WiredAgent, clock: ManualClock): Promise<void> {
  await until(() => session.state.kind === 'waiting');
  if (session.state.kind === 'waiting') await clock.advance(session.state.delay_ms);
}

const enqueue = ({ nodeId }: WiredAgent, workload_id = 'app-1') => ground.enqueue({ node_id: nodeId, workload_id });
const state = async (id: string) => (await ground.store.read((tx) => tx.tasks.get(id)))?.state;
const begun = (agent: WiredAgent) => agent.begun.map(({ task_id }) => task_id);

function eventNamed(message: string): Static<typeof EventBody> {
  return {
    ...{ workload_id: null, source: 'agent', state: null, failure: null },
    event: { time: new Date().toISOString(), type: 'agent.note', phase: null, message, values: {} },
  };
}

function messages(): string[] {
  return ground.sink.records.flatMap((record) => (record.kind === 'event' ? [record.body.event.message] : []));
}

it('a host enrols, gets a task, does it once, and its result is kept (FAULTS 5)', async () => {
  const agent = await agentOf(1, { work: (task, self) => self.finish(task) });

  const { id } = await enqueue(agent);
  await until(() => ground.sink.ended.length === 1);

  expect(begun(agent)).toEqual([id]);
  expect(ground.sink.ended).toMatchObject([{ id, result: { status: 'succeeded' } }]);
});

it('a cut in the middle of a task: work goes on, the result arrives once (FAULTS 1)', async () => {
  const agent = await agentOf(1);
  const { id } = await enqueue(agent);
  await until(async () => (await state(id)) === 'accepted');
  proxy.target = undefined;
  proxy.cut();
  await until(() => !ground.hub.isConnected(agent.nodeId));

  finishFirst(agent);
  proxy.target = Number(new URL(ground.origin).port);
  await until(() => ground.sink.ended.length === 1);
  const next = await enqueue(agent, 'app-2');
  await until(async () => (await state(next.id)) === 'accepted');

  expect(begun(agent)).toEqual([id, next.id]);
  expect(ground.sink.ended).toHaveLength(1);
});

it('a cut before the answer to a task: it comes again and is begun once (FAULTS 5)', async () => {
  const agent = await agentOf(1);
  // What the agent answers does not get through, so the control plane cannot know that it has the task.
  proxy.hold();
  const { id } = await enqueue(agent);
  await until(() => agent.begun.length === 1);
  proxy.cut();
  proxy.release();

  await until(async () => (await state(id)) === 'accepted');

  expect(begun(agent)).toEqual([id]);
  expect(await ground.store.read((tx) => tx.tasks.get(id))).toMatchObject({ attempt: 2 });
});

it('a half-open connection: both ends notice, a new epoch, the old socket is gone (FAULTS 3)', async () => {
  await ground.close();
  await serve({ heartbeatSeconds: 1 });
  const agent = await agentOf(1);
  const before = await ground.node(agent.nodeId);

  proxy.blackhole();
  await until(async () => ((await ground.node(agent.nodeId)).epoch_confirmed ?? 0) > (before.epoch_confirmed ?? 0));
  await until(() => proxy.open() === 1);
  const { id } = await enqueue(agent);
  await until(async () => (await state(id)) === 'accepted');

  expect(ground.hub.counters().sessions).toBe(1);
});

it('a control plane that reads slowly: results and events wait and arrive, each once and in order (FAULTS 4)', async () => {
  const agent = await agentOf(1);
  const { id } = await enqueue(agent);
  await until(async () => (await state(id)) === 'accepted');
  const names = Array.from({ length: 500 }, (_, number) => `event ${number}`);

  proxy.hold();
  for (const name of names) agent.journal.append('event', eventNamed(name.padEnd(2000)));
  finishFirst(agent);
  proxy.release();
  await until(() => ground.sink.ended.length === 1);

  expect(messages().map((message) => message.trim())).toEqual(names);
  expect(agent.session.counts.protocolErrors).toBe(0);
});

describe('a restart of the control plane', () => {
  it('asks nothing twice and goes on behind what it has (FAULTS 2)', async () => {
    const agent = await agentOf(1);
    agent.journal.append('event', eventNamed('before'));
    const { id } = await enqueue(agent);
    await until(async () => (await state(id)) === 'accepted' && messages().length === 1);
    await ground.close();
    agent.journal.append('event', eventNamed('meanwhile'));
    finishFirst(agent);

    await serve({ sink: ground.sink });
    await until(() => ground.sink.ended.length === 1);

    expect(messages()).toEqual(['before', 'meanwhile']);
    expect(begun(agent)).toEqual([id]);
  });

  it('with 200 agents is no storm: they come back one by one, and all of them (FAULTS 2)', async () => {
    const fleet = 200;
    const agents: WiredAgent[] = [];
    for (let first = 1; first <= fleet; first += 20) {
      agents.push(...(await Promise.all(Array.from({ length: 20 }, (_, index) => agentOf(first + index)))));
    }
    await until(() => ground.hub.counters().sessions === fleet);
    proxy.dialled.length = 0;
    for (const { states } of agents) states.length = 0;
    await ground.close();

    await serve();
    await until(() => ground.hub.counters().sessions === fleet);

    // The control plane gave each another time within ten seconds; a storm would be all of them in the first.
    const waits = agents.map(({ states }) =>
      states.flatMap((each) => (each.kind === 'waiting' ? [each.delay_ms] : [])),
    );
    const perSecond = Map.groupBy(waits, ([first = 0]) => Math.floor(first / 1000));
    expect(Math.max(...[...perSecond.values()].map(({ length }) => length))).toBeLessThan(fleet / 2);
    expect(proxy.dialled.length).toBeLessThan(fleet * 3);
    // Nobody dials who has not waited before.
    expect(proxy.dialled.length).toBeLessThanOrEqual(waits.flat().length);
    expect(await ground.store.read((tx) => tx.nodes.count({ status: 'enrolled' }))).toBe(fleet);
  });
});

it.for([
  ['empty', ''],
  ['short', 'x'],
  ['of letters that take several bytes', 'ä€🙂'.repeat(20)],
  ['no UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
] as const)('a log of 20,000 lines that are %s arrives whole through a small window (FAULTS 4)', async ([, line]) => {
  const total = 20_000;
  await ground.close();
  await serve({ logWindowBytes: 4096 });
  const agent = await agentOf(1, { logs: new LogStreams({ sources: repeating(Buffer.from(line), total) }) });
  const request = { source: { kind: 'instance', id: 'app-1' }, cursor: null, tail: null, follow: false } as const;
  const seen = { entries: 0, gaps: 0, wrong: 0 };

  for await (const part of ground.hub.readLog(agent.nodeId, request, new AbortController().signal)) {
    if (part.kind === 'end') expect(part.failure).toBeNull();
    else if (part.kind === 'gap') seen.gaps += 1;
    else {
      seen.entries += part.entries.length;
      seen.wrong += part.entries.filter(
        ({ text, encoding }) => !Buffer.from(text, encoding).equals(Buffer.from(line)),
      ).length;
    }
  }

  expect(seen).toEqual({ entries: total, gaps: 0, wrong: 0 });
  expect(ground.hub.counters().protocol_errors).toBe(0);
});

/** A log of the same line over and over. */
function repeating(data: Buffer, total: number): LogSources {
  return {
    async *read(_source, { cursor }): AsyncGenerator<LogItem, void, undefined> {
      for (let line = Number(cursor ?? 0) + 1; line <= total; line += 1) {
        const time = '2026-11-25T10:00:00.000000000Z';
        yield { cursor: String(line), time, channel: 'stdout', data, partial: false };
      }
    },
  };
}

describe('a new task key', () => {
  const rotate = () => ground.keys.rotate(new Date(Date.now() + 3_600_000));

  it('is followed by every node, also by one that was away for several', async () => {
    const [here, away] = [await agentOf(1), await agentOf(2)];
    await away.close();
    for (let turn = 0; turn < 3; turn += 1) {
      await rotate();
      ground.hub.renew();
    }
    const back = start({ stateDir: join(folder, 'agent-2'), origin: proxy.origin });
    const tasks = [await enqueue(here, 'app-1'), await enqueue(back, 'app-2')];

    for (const { id } of tasks) await until(async () => (await state(id)) === 'accepted');

    expect([begun(here), begun(back)]).toEqual(tasks.map(({ id }) => [id]));
    for (const { nodeId } of [here, back]) {
      expect((await ground.node(nodeId)).task_kid).toBe(ground.keys.current.kid);
    }
  });

  it('never signs a task for a node that has not heard of it yet: that one reconnects first', async () => {
    const agent = await agentOf(1);
    await rotate();

    const { id } = await enqueue(agent);
    await until(async () => (await state(id)) === 'accepted');

    expect(begun(agent)).toEqual([id]);
    expect(ground.sink.ended).toEqual([]);
    expect(agent.session.counts.connections).toBe(2);
  });

  it('loses no task of the many that are on their way', async () => {
    const agent = await agentOf(1, { credits: 100 });

    const tasks = [];
    for (let number = 0; number < 40; number += 1) {
      tasks.push(await enqueue(agent, `app-${number}`));
      if (number % 10 === 5) await rotate();
    }
    for (const { id } of tasks) await until(async () => (await state(id)) === 'accepted');

    expect(begun(agent).toSorted()).toEqual(tasks.map(({ id }) => id).toSorted());
    expect(ground.sink.ended).toEqual([]);
  });
});

it('two hosts with one identity: both are shut out, once, and neither keeps dialling (FAULTS 32)', async () => {
  const clock = manualClock();
  const original = await agentOf(1, { clock });
  const copyDir = join(folder, 'copy');
  cpSync(join(folder, 'agent-1', 'identity'), join(copyDir, 'identity'), { recursive: true });

  const copy = start({ stateDir: copyDir, origin: proxy.origin });
  await until(() => original.session.state.kind === 'waiting');
  expect(original.session.state).toMatchObject({ trouble: 'superseded' });
  // It has waited as it was told to, and comes back with the epoch that it knows.
  await dialsAgain(original, clock);
  await until(() => copy.session.state.kind === 'waiting' && 'trouble' in copy.session.state);
  await until(() => original.session.state.kind === 'waiting');
  await until(() => ground.hub.counters().sessions === 0);

  expect(original.session.state).toMatchObject({ trouble: 'quarantined' });
  expect(copy.session.state).toMatchObject({ trouble: 'quarantined' });
  expect(ground.hub.counters()).toMatchObject({ sessions: 0, admitted: 2 });
  const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 100, subject_id: original.nodeId }));
  expect(events.map(({ type }) => type)).toEqual(['node.enrolled', 'node.quarantined']);
});

it('a node that an operator releases from quarantine is back within a minute, and goes on with its tasks (FAULTS 32)', async () => {
  const clock = manualClock();
  const agent = await agentOf(1, { clock });
  const { epoch_confirmed } = await ground.node(agent.nodeId);
  const copyDir = join(folder, 'copy');
  cpSync(join(folder, 'agent-1', 'identity'), join(copyDir, 'identity'), { recursive: true });
  const copy = start({ stateDir: copyDir, origin: proxy.origin });
  await dialsAgain(agent, clock);
  await until(async () => (await ground.node(agent.nodeId)).status === 'quarantined');
  await until(() => agent.session.state.kind === 'waiting');
  await copy.close();

  const { id } = await enqueue(agent);
  await ground.release(agent.nodeId);
  const returned = clock.monotonicMs();
  await dialsAgain(agent, clock);
  await until(async () => (await state(id)) === 'accepted');

  expect(begun(agent)).toEqual([id]);
  expect((await ground.node(agent.nodeId)).epoch_confirmed).toBeGreaterThan(epoch_confirmed ?? 0);
  expect(clock.monotonicMs() - returned).toBeLessThanOrEqual(60_000);
});

it('a control plane put back from its backup learns what became of its tasks, once their node is released', async () => {
  const clock = manualClock();
  const agent = await agentOf(1, { clock });
  const waitingUntil = (condition: () => boolean | Promise<boolean>) =>
    until(async () => {
      if (agent.session.state.kind === 'waiting') await dialsAgain(agent, clock);
      return await condition();
    });
  const [server, backup] = [join(folder, 'server'), join(folder, 'backup')];
  const { id } = await enqueue(agent);
  await until(async () => (await state(id)) === 'accepted');
  await ground.close();
  cpSync(server, backup, { recursive: true });
  await serve();
  await waitingUntil(() => ground.hub.isConnected(agent.nodeId));
  finishFirst(agent);
  await until(() => ground.sink.ended.length === 1);

  await ground.close();
  rmSync(server, { recursive: true });
  cpSync(backup, server, { recursive: true });
  await serve();
  await waitingUntil(async () => (await ground.node(agent.nodeId)).status === 'quarantined');
  await ground.release(agent.nodeId);
  await waitingUntil(() => ground.sink.ended.length === 1);

  expect(ground.sink.ended).toMatchObject([{ id, result: { status: 'succeeded' } }]);
  expect(begun(agent)).toEqual([id]);
});

it('a task of the size of a frame arrives whole, and one above it never leaves (FAULTS 7)', async () => {
  const agent = await agentOf(1);
  const padded = (length: number) => ({ ...removal.params, padding: 'x'.repeat(length) }) as typeof removal.params;

  const large = await ground.enqueue({ node_id: agent.nodeId, params: padded(600_000) });
  const huge = await ground.enqueue({ node_id: agent.nodeId, params: padded(700_000) });
  await until(() => ground.sink.ended.length === 1);
  await until(async () => (await state(large.id)) === 'accepted');

  expect(ground.sink.ended).toMatchObject([{ id: huge.id, result: { failure: { code: 'task.invalid' } } }]);
  expect(agent.session.counts.connections).toBe(1);
});
