import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordKind } from '../../../../src/contract/records.ts';
import type { TaskResult } from '../../../../src/contract/task-envelope.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { inventory, runtimeStatus } from '../../../support/launch-samples.ts';
import type { AgentKeys, ScriptedAgent } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('hub-records');
const at = '2026-11-25T10:00:00Z';
let count = 0;
let ground: HubGround;
let keys: AgentKeys;

beforeEach(async () => {
  count += 1;
  ground = await openHubGround(`${root}/${count}`);
  keys = await ground.addNode('node-1');
});
afterEach(() => ground.close());

async function enter(epoch = 0): Promise<ScriptedAgent> {
  const agent = ground.dial();
  await agent.enter(keys, 'node-1', epoch);
  await until(() => ground.hub.isConnected('node-1'));
  return agent;
}

function say(agent: ScriptedAgent, seq: number, kind: RecordKind, body: unknown, journal_id = 'journal-1'): void {
  agent.send({ type: 'record', journal_id, seq, kind, at, body });
}

/** Waits until everything up to `seq` is acknowledged. */
async function acked(agent: ScriptedAgent, seq: number): Promise<void> {
  while ((await agent.next('ack')).seq < seq);
}

const eventOf = (message: string) => ({
  ...{ workload_id: 'app-1', source: 'supervisor', state: null, failure: null },
  event: { time: at, type: 'workload.note', phase: null, message, values: {} },
});

function resultOf(task_id: string, given: Partial<TaskResult> = {}) {
  const result = {
    task_id,
    status: 'succeeded',
    output: null,
    failure: null,
    started_at: at,
    finished_at: at,
    ...given,
  };
  return { workload_id: 'app-1', type: 'workload.oci_remove', fencing: 1, result };
}

const messages = () =>
  ground.sink.records.map((record) => (record.kind === 'event' ? record.body.event.message : record.kind));

describe('a record', () => {
  it('is acknowledged when it is kept, and kept once however often it comes (FAULTS 1)', async () => {
    const first = await enter();
    say(first, 1, 'event', eventOf('one'));
    say(first, 2, 'event', eventOf('two'));
    await acked(first, 2);
    first.socket.terminate();

    const agent = ground.dial();
    const { acked: known } = await agent.enter(keys, 'node-1', 1);
    say(agent, 1, 'event', eventOf('one'));
    say(agent, 2, 'event', eventOf('two'));
    say(agent, 5, 'event', eventOf('five, after two that were thinned'));
    await acked(agent, 5);

    expect(known).toEqual({ journal_id: 'journal-1', seq: 2 });
    expect(messages()).toEqual(['one', 'two', 'five, after two that were thinned']);
  });

  it('of what the host has says the last of its runtime, and is no answer to a launch', async () => {
    const agent = await enter();

    for (const [seq, ready] of [true, false].entries()) {
      const runtime = runtimeStatus({ ready, reasons: ready ? [] : ['The gate is away.'] });
      say(agent, seq + 1, 'inventory', inventory({ runtime }));
    }
    await acked(agent, 2);

    const node = await ground.store.read((tx) => tx.nodes.get('node-1'));
    expect(node).toMatchObject({ runtime: { ready: false, reasons: ['The gate is away.'] }, runtime_at: null });
  });

  it('of an agent that is newer than its control plane is kept without what nobody knows here, at any depth', async () => {
    const agent = await enter();
    const runtime = { ...runtimeStatus(), scheduler: 'x' };

    say(agent, 1, 'inventory', { ...inventory({ hostname: 'renamed' }), runtime, firmware: { version: '2' } });
    await acked(agent, 1);

    const node = await ground.store.read((tx) => tx.nodes.get('node-1'));
    expect(node?.inventory).toEqual(inventory({ hostname: 'renamed' }));
    const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 10, subject_id: 'node-1' }));
    expect(events.map(({ type }) => type)).not.toContain('node.record_dropped');
  });

  it('of what the host has says how far its clock is from ours (G-197)', async () => {
    const agent = await enter();

    say(agent, 1, 'inventory', inventory({ at: new Date(Date.parse(at) + 95_400).toISOString() }));
    await acked(agent, 1);

    const node = await ground.store.read((tx) => tx.nodes.get('node-1'));
    expect(node?.clock_offset_seconds).toBe(95);
  });

  it('is not acknowledged where it could not be kept: the session ends and the record comes again', async () => {
    const agent = await enter();
    const { recorded } = ground.sink;
    ground.sink.recorded = () => Promise.reject(new Error('the disk is full'));
    say(agent, 1, 'event', eventOf('one'));
    await agent.closed;
    expect(agent.received.filter(({ type }) => type === 'ack')).toEqual([]);
    ground.sink.recorded = recorded;

    const again = await enter(1);
    say(again, 1, 'event', eventOf('one'));
    await acked(again, 1);

    expect(messages()).toEqual(['one']);
  });

  it('that its schema refuses is dropped with an event, and does not block those behind it', async () => {
    const agent = await enter();

    say(agent, 1, 'event', { secret: 'x' });
    say(agent, 2, 'event', eventOf('two'));
    await acked(agent, 2);

    expect(messages()).toEqual(['two']);
    const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 10, subject_id: 'node-1' }));
    expect(events).toMatchObject([{ type: 'node.record_dropped', data: { kind: 'event', seq: 1 } }]);
  });

  it('that makes something of what is kept that the store refuses is dropped alone, with an event', async () => {
    const agent = await enter();
    const { recorded } = ground.sink;
    ground.sink.recorded = async (tx, node, record) => {
      await recorded(tx, node, record);
      const message = record.kind === 'event' ? record.body.event.message : '';
      if (message.startsWith('two')) await tx.nodes.put({ ...node, name: message });
    };

    say(agent, 1, 'event', eventOf('one'));
    say(agent, 2, 'event', eventOf('two'.padEnd(3000)));
    say(agent, 3, 'event', eventOf('three'));
    await acked(agent, 3);

    expect(
      messages()
        .filter((message) => !message.startsWith('two'))
        .slice(-2),
    ).toEqual(['one', 'three']);
    expect((await ground.node('node-1')).name).toBe('host');
    const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 10, subject_id: 'node-1' }));
    expect(events).toMatchObject([{ type: 'node.record_dropped', data: { kind: 'event', seq: 2 } }]);
  });

  it('of a rebuilt journal is new, whatever its number, and what the node had accepted is given again (FAULTS 19)', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    await agent.accept();
    say(agent, 9, 'event', eventOf('nine'));
    await acked(agent, 9);

    say(agent, 1, 'event', eventOf('one of the new journal'), 'journal-2');

    expect(await agent.task()).toMatchObject({ envelope: { task_id: id, attempt: 2 } });
    expect(messages()).toEqual(['nine', 'one of the new journal']);
  });

  it('comes in any number: all are kept, in order', async () => {
    const agent = await enter();

    for (let seq = 1; seq <= 1000; seq += 1) say(agent, seq, 'event', eventOf(String(seq)));
    await acked(agent, 1000);

    expect(messages()).toEqual(Array.from({ length: 1000 }, (_, index) => String(index + 1)));
  });

  it('about the host itself is remembered at the node', async () => {
    const agent = await enter();
    say(agent, 1, 'topology', { at, workloads: [] });
    await acked(agent, 1);

    expect((await ground.node('node-1')).topology).toEqual({ at, workloads: [] });
  });
});

describe('a result', () => {
  async function heldTask(agent: ScriptedAgent): Promise<string> {
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    await agent.accept();
    return id;
  }

  it('ends its task, once, also when it comes again from a rebuilt journal', async () => {
    const agent = await enter();
    const id = await heldTask(agent);

    say(agent, 1, 'task.result', resultOf(id));
    await acked(agent, 1);
    say(agent, 1, 'task.result', resultOf(id, { status: 'failed' }), 'journal-2');
    await acked(agent, 1);

    expect(ground.sink.ended).toMatchObject([{ id, state: 'ended', result: { status: 'succeeded' } }]);
  });

  it('has times by the clock of its host, which are kept in the time of the control plane', async () => {
    const agent = await enter();
    const id = await heldTask(agent);
    const dayAhead = (secondsBefore: number) =>
      new Date(Date.parse(at) + 86_400_000 - secondsBefore * 1000).toISOString();

    say(agent, 1, 'task.result', resultOf(id, { started_at: dayAhead(5), finished_at: dayAhead(0) }));
    await acked(agent, 1);

    const started_at = new Date(Date.parse(at) - 5000).toISOString();
    const finished_at = new Date(at).toISOString();
    expect(ground.sink.ended).toMatchObject([{ id, result: { started_at, finished_at } }]);
  });

  it('counts before its acceptance was noted: a fast task is not handed out again', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    const { lease_id } = await agent.task();

    say(agent, 1, 'task.result', resultOf(id));
    agent.send({ type: 'task_accepted', lease_id, task_id: id });
    await acked(agent, 1);

    expect((await ground.store.read((tx) => tx.tasks.get(id)))?.state).toBe('ended');
    expect(ground.sink.ended).toHaveLength(1);
  });

  it('for a task of another node, or of nobody, changes nothing', async () => {
    const foreign = await ground.enqueue({ node_id: 'node-2', workload_id: 'app-2' });
    const agent = await enter();

    say(agent, 1, 'task.result', resultOf(foreign.id));
    say(agent, 2, 'task.result', resultOf('task-nobody'));
    await acked(agent, 2);

    expect(ground.sink.ended).toEqual([]);
    expect((await ground.store.read((tx) => tx.tasks.get(foreign.id)))?.state).toBe('queued');
  });

  it.each([
    ['whose output does not match the type', (id: string) => resultOf(id, { output: { state: 'on fire' } })],
    ['that does not match its schema', (id: string) => ({ result: { task_id: id, status: 'perhaps' } })],
  ])('%s ends its task as failed: nobody waits for ever (G-124)', async (_, body) => {
    const agent = await enter();
    const id = await heldTask(agent);

    say(agent, 1, 'task.result', body(id));
    await acked(agent, 1);

    expect(ground.sink.ended).toMatchObject([{ id, result: { status: 'failed', failure: { code: 'internal' } } }]);
  });
});
