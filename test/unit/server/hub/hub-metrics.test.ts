import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exposeHub } from '../../../../src/server/hub/hub-metrics.ts';
import { type HubGround, openHubGround, until } from '../../../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';
import type { ScriptedAgent } from '../../../support/scripted-agent.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('hub-metrics');
let count = 0;
let ground: HubGround;
let clock: ManualClock;
let registry: Registry;

beforeEach(async () => {
  count += 1;
  clock = manualClock();
  ground = await openHubGround(`${root}/${count}`, { clock });
  registry = new Registry();
  exposeHub(registry, ground);
});
afterEach(() => ground.close());

/** Lines of the metrics that are about what is asked for. */
async function told(name: string): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith(name));
}

function say(agent: ScriptedAgent, seq: number): void {
  const at = '2026-11-25T10:00:00Z';
  const event = { time: at, type: 'workload.note', phase: null, message: 'Something happened.', values: {} };
  const body = { workload_id: 'app-1', source: 'supervisor', state: null, failure: null, event };
  agent.send({ type: 'record', journal_id: 'journal-1', seq, kind: 'event', at, body });
}

it('counts sessions, reconnects and records, each record once', async () => {
  const keys = await ground.addNode('node-1');
  const first = ground.dial();
  const { epoch } = await first.enter(keys, 'node-1', 0);
  say(first, 1);
  say(first, 2);
  while ((await first.next('ack')).seq < 2);
  const again = ground.dial();
  await again.enter(keys, 'node-1', epoch);
  say(again, 2);
  say(again, 3);
  while ((await again.next('ack')).seq < 3);

  expect(await told('gpuaas_nodes_connected')).toEqual(['gpuaas_nodes_connected 1']);
  expect(await told('gpuaas_sessions_admitted_total')).toEqual(['gpuaas_sessions_admitted_total 2']);
  expect(await told('gpuaas_sessions_reconnected_total')).toEqual(['gpuaas_sessions_reconnected_total 1']);
  expect(await told('gpuaas_records_kept_total')).toEqual(['gpuaas_records_kept_total 3']);
});

it('counts how tasks end, each once', async () => {
  await ground.addNode('node-1');
  const { id } = await ground.enqueue();

  await ground.store.write((tx) => ground.queue.cancel(tx, id));
  await ground.store.write((tx) => ground.queue.cancel(tx, id));

  expect(await told('gpuaas_tasks_ended_total')).toEqual([
    'gpuaas_tasks_ended_total{status="succeeded"} 0',
    'gpuaas_tasks_ended_total{status="failed"} 0',
    'gpuaas_tasks_ended_total{status="cancelled"} 1',
    'gpuaas_tasks_ended_total{status="rejected"} 0',
  ]);
});

it('notes once a minute when a node was last heard of', async () => {
  const keys = await ground.addNode('node-1');
  const agent = ground.dial();
  await agent.enter(keys, 'node-1', 0);
  await until(() => ground.hub.isConnected('node-1'));
  const before = (await ground.node('node-1')).last_seen_at ?? '';

  for (let turn = 0; turn < 7; turn += 1) {
    await clock.advance(10_000);
    agent.send({ type: 'heartbeat' });
    await new Promise((resolve) => agent.socket.once('pong', resolve).ping());
  }

  await until(async () => ((await ground.node('node-1')).last_seen_at ?? '') > before);
});
