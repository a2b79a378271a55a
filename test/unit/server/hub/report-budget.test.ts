import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordKind } from '../../../../src/contract/records.ts';
import type { RecordMessage } from '../../../../src/contract/session-messages.ts';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../../../src/server/db/store.ts';
import {
  changesPerMinute,
  fullBudget,
  fullChanges,
  ReportBudget,
  refillPerMinute,
} from '../../../../src/server/hub/report-budget.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';
import type { AgentKeys, ScriptedAgent } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('report-budget');
const at = '2026-11-25T10:00:00.000Z';
let count = 0;
let clock: ManualClock;

beforeEach(() => {
  count += 1;
  clock = manualClock();
});

const droppedOf = (store: Store) =>
  store.read(async (tx) => {
    const events = await tx.events.list({ after: 0, limit: 100, subject_id: 'node-1' });
    return events.filter(({ type }) => type === 'node.events_dropped').map(({ data }) => data['count']);
  });

describe('the budget of a node', () => {
  let budget: ReportBudget;
  let store: Store;

  beforeEach(() => {
    budget = new ReportBudget(clock);
    store = openSqliteStore(`${root}/${count}.db`);
  });
  afterEach(() => store.close());

  const recordOf = (kind: RecordKind, body: unknown): RecordMessage => ({
    ...{ type: 'record', journal_id: 'journal-1', seq: 1, kind, at, body },
  });

  /** Says so many of them in one transaction; returns how many are kept. */
  function say(number: number, kind: RecordKind = 'event', body: unknown = {}, nodeId = 'node-1'): number {
    const allowance = budget.allowance(nodeId);
    const kept = Array.from({ length: number }, () => allowance.take(recordOf(kind, body))).filter(Boolean).length;
    budget.settle(nodeId, allowance);
    return kept;
  }

  it('is enough for the whole outbox of an agent, in records and in bytes, and 64 workloads that start again', () => {
    const body = { values: 'x'.repeat(8 * 1024) };

    expect(say(2000, 'event', body)).toBe(2000);
    expect(say(64 * 20)).toBe(64 * 20);
  });

  it('is spent by a flood, and comes back with time, as much as it is and no more', async () => {
    expect(say(fullBudget + 5)).toBe(fullBudget);
    expect(say(1)).toBe(0);

    await clock.advance(60_000);
    expect(say(refillPerMinute + 5)).toBe(refillPerMinute);

    await clock.advance(24 * 3_600_000);
    expect(say(2 * fullBudget)).toBe(fullBudget);
  });

  it('follows nobody who sets the clock of the control plane (FAULTS 20)', () => {
    say(fullBudget);

    clock.setWall(clock.wallMs() + 86_400_000);

    expect(say(1)).toBe(0);
  });

  it('is of that node alone', () => {
    say(fullBudget);

    expect(say(1, 'event', {}, 'node-2')).toBe(1);
  });

  it('keeps a half for what happens where a node tells of progress all the time', () => {
    expect(say(fullBudget, 'task.progress')).toBe(fullBudget / 2);
    expect(say(fullBudget)).toBe(fullBudget / 2);
  });

  it('is spent by large reports in proportion', () => {
    expect(say(fullBudget / 10, 'event', 'x'.repeat(10 * 4096))).toBe(Math.floor(fullBudget / 11));
  });

  it('costs nothing where a transaction failed', () => {
    const lost = budget.allowance('node-1');
    for (let number = 0; number < fullBudget; number += 1) lost.take(recordOf('event', {}));

    expect(say(fullBudget)).toBe(fullBudget);
  });

  it('tells what was dropped once, and again what was dropped since', async () => {
    say(fullBudget + 5);
    say(2);

    await budget.tell(store, at);
    await budget.tell(store, at);
    say(3);
    await budget.tell(store, at);

    expect(await droppedOf(store)).toEqual([7, 3]);
  });

  it('tells it again where that could not be kept', async () => {
    say(fullBudget + 5);
    const broken = { ...store, write: () => Promise.reject(new Error('the disk is full')) };

    await expect(budget.tell(broken, at)).rejects.toThrow('the disk is full');
    await budget.tell(store, at);

    expect(await droppedOf(store)).toEqual([5]);
  });

  it('is remembered until it is full again, and not longer', async () => {
    for (let number = 0; number < 100; number += 1) say(refillPerMinute, 'event', {}, `node-${number}`);
    await budget.tell(store, at);
    expect(budget.size).toBe(100);

    await clock.advance(60_000);
    await budget.tell(store, at);

    expect(budget.size).toBe(0);
  });
});

describe('the budget of a node for changes by topology', () => {
  let budget: ReportBudget;

  beforeEach(() => {
    budget = new ReportBudget(clock);
  });

  /** Changes so many workloads by each topology of one transaction; returns which count. */
  function look(...changes: number[]): boolean[] {
    const allowance = budget.allowance('node-1');
    const counts = changes.map((number) => allowance.takeTopology(number));
    budget.settle('node-1', allowance);
    return counts;
  }

  it('is enough for 64 workloads that start again ten times, and for one that says the same for ever', () => {
    expect(look(64 * 20)).toEqual([true]);
    expect(look(...Array.from({ length: 10_000 }, () => 0))).not.toContain(false);
  });

  it('holds back what is beyond it and all behind that, until the last of them counts', async () => {
    expect(look(fullChanges, 1, 0)).toEqual([true, false, false]);
    await clock.advance(60_000);
    expect(look(1)).toEqual([false]);
    expect(budget.held()).toEqual([{ id: 'node-1', held: 3, told: false }]);

    budget.caughtUp('node-1', 3);

    expect(budget.held()).toEqual([]);
    expect(look(changesPerMinute, 1)).toEqual([true, false]);
    expect(budget.held()).toEqual([{ id: 'node-1', held: 1, told: true }]);
  });

  it('does not go with the other: states are right in a flood of events', () => {
    const allowance = budget.allowance('node-1');
    const event: RecordMessage = { type: 'record', journal_id: 'journal-1', seq: 1, kind: 'event', at, body: {} };
    for (let number = 0; number <= fullBudget; number += 1) allowance.take(event);
    budget.settle('node-1', allowance);

    expect(look(1)).toEqual([true]);
  });
});

describe('a node that floods its control plane', () => {
  let ground: HubGround;
  let keys: AgentKeys;
  let seq: number;
  let epoch: number;
  /** Smaller than that of a real one: what is beyond it has to be sent. */
  const reportBudget = 1000;

  beforeEach(async () => {
    ground = await openHubGround(`${root}/${count}`, { clock, reportBudget });
    keys = await ground.addNode('node-1');
    seq = 0;
    epoch = 0;
  });
  afterEach(() => ground.close());

  async function enter(): Promise<ScriptedAgent> {
    const agent = ground.dial();
    ({ epoch } = await agent.enter(keys, 'node-1', epoch));
    await until(async () => (await ground.node('node-1')).epoch_confirmed === epoch);
    return agent;
  }

  function say(agent: ScriptedAgent, kind: RecordKind, body: unknown): void {
    seq += 1;
    agent.send({ type: 'record', journal_id: 'journal-1', seq, kind, at, body });
  }

  /** Each costs 200 of the budget. */
  function flood(agent: ScriptedAgent, number: number): void {
    const event = { time: at, type: 'workload.note', phase: null, message: 'x', values: { x: 'x'.repeat(199 * 4096) } };
    for (let left = number; left > 0; left -= 1) {
      say(agent, 'event', { workload_id: 'app-1', source: 'supervisor', state: null, failure: null, event });
    }
  }

  async function acked(agent: ScriptedAgent): Promise<void> {
    while ((await agent.next('ack')).seq < seq);
  }

  /** A minute in which the node is heard of. */
  async function minute(agent: ScriptedAgent): Promise<void> {
    for (let left = 3; left > 0; left -= 1) {
      await clock.advance(20_000);
      say(agent, 'event', {});
      await acked(agent);
    }
  }

  const kept = (kind: RecordKind) => ground.sink.records.filter((record) => record.kind === kind).length;

  it('has what is too much dropped and acknowledged, results and topology kept, and one event that tells it', async () => {
    const agent = await enter();
    agent.send({ type: 'pull', credits: 4, received: 0 });
    const { id } = await ground.enqueue();
    await agent.accept();

    flood(agent, 12);
    say(agent, 'topology', { at, workloads: [] });
    const times = { started_at: at, finished_at: at };
    const result = { task_id: id, status: 'failed', output: null, failure: null, ...times };
    say(agent, 'task.result', { workload_id: 'app-1', type: 'workload.oci_remove', fencing: 1, result });
    await acked(agent);

    expect(kept('event')).toBe(reportBudget / 200);
    expect(kept('topology')).toBe(1);
    expect(ground.sink.ended.map(({ id: ended }) => ended)).toEqual([id]);
    expect(await droppedOf(ground.store)).toEqual([]);
    await clock.advance(60_000);
    await until(async () => (await droppedOf(ground.store)).length > 0);
    await clock.advance(60_000);
    expect(await droppedOf(ground.store)).toEqual([12 - reportBudget / 200]);
  });

  it('changes states so often by topology and no more; the last of each minute counts, and that is told once', async () => {
    const agent = await enter();
    const states = () =>
      ground.sink.records.flatMap((record) => (record.kind === 'topology' ? [record.body.workloads[0]?.state] : []));
    const facts = { project_id: 'p1', allocation_id: 'a1', fencing: 1, endpoints: [], restarts: 0, since: at };
    const look = (state: string) =>
      say(agent, 'topology', {
        at,
        workloads: Array.from({ length: 500 }, (_, number) => ({ ...facts, workload_id: `w${number}`, state })),
      });
    const flip = async (last: string) => {
      for (let left = 10; left > 0; left -= 1) look(left % 2 === 0 ? 'running' : 'stopped');
      look(last);
      await acked(agent);
    };
    const told = () =>
      ground.store.read(async (tx) =>
        (await tx.events.list({ after: 0, limit: 100 })).filter(({ type }) => type === 'node.changes_held'),
      );

    await flip('degraded');
    expect(states()).toEqual(['running', 'stopped', 'running', 'stopped']);
    expect(await told()).toEqual([]);

    await minute(agent);
    await until(() => states().length === 5);
    await flip('failed');
    await minute(agent);
    await until(() => states().length === 6);

    expect(states().slice(4)).toEqual(['degraded', 'failed']);
    expect(await told()).toMatchObject([{ subject: { kind: 'node', id: 'node-1' }, project_id: null }]);
    expect((await ground.node('node-1')).topology?.workloads[0]?.state).toBe('failed');
  });

  it('has no more by coming back, and is heard again when it was quiet', async () => {
    const first = await enter();
    flood(first, reportBudget / 200);
    await acked(first);
    first.socket.terminate();

    const second = await enter();
    flood(second, 2);
    await acked(second);
    expect(kept('event')).toBe(reportBudget / 200);
    second.socket.terminate();

    await clock.advance(60_000);
    const third = await enter();
    flood(third, 2);
    await acked(third);
    expect(kept('event')).toBe(reportBudget / 200 + 1);
  });

  it('has no event for each record without sense either, whatever its kind', async () => {
    const agent = await enter();

    for (let left = 12; left > 0; left -= 1) say(agent, 'topology', { x: 'x'.repeat(199 * 4096) });
    await acked(agent);

    const events = await ground.store.read((tx) => tx.events.list({ after: 0, limit: 100, subject_id: 'node-1' }));
    expect(events.filter(({ type }) => type === 'node.record_dropped')).toHaveLength(reportBudget / 200);
  });

  it('is told of when the control plane stops as well', async () => {
    const agent = await enter();
    flood(agent, reportBudget / 200 + 3);
    await acked(agent);

    await ground.stopHub();

    expect(await droppedOf(ground.store)).toEqual([3]);
  });
});
