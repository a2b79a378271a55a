/**
 * A daemon on a host with two cards: the driver's tool and the kernel's log are files of this test, the engine is real and
 * takes itself for one that hands out cards.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { HostCards } from '../../src/agent/local-api/agent-status.ts';
import type { Gpu } from '../../src/contract/gpus.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { type DaemonGround, openDaemonGround, until } from '../support/daemon-ground.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { type NvidiaSmi, nvidiaSmi } from '../support/nvidia-smi.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { readyAtOnce } from '../support/test-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpuaas-cards-'));
const kernelLog = join(folder, 'kmsg');
const cards = [{ uuid: 'GPU-a' }, { uuid: 'GPU-b' }];
const slots: Readonly<Record<string, string>> = { 'GPU-a': '0000:17:00', 'GPU-b': '0000:18:00' };
let engine: PrivateEngine;
let smi: NvidiaSmi;
let ground: DaemonGround;
let daemon: RunningTask;
/** Holds one of the cards all along. */
let holder: string;
let held: string;
let free: string;

beforeAll(async () => {
  engine = await engineWithCards();
  smi = nvidiaSmi(join(folder, 'bin'), cards);
  writeFileSync(kernelLog, '6,1,1000000,-;Linux version 6.8.0\n');
  ground = await openDaemonGround(
    { engineSocket: engine.socketPath },
    { gpus: { interval_seconds: 1, kernel_log: kernelLog }, telemetry: { port: 0, interval_seconds: 1 } },
  );
  daemon = start();
  await ground.connected();

  const { output, workload } = await launch(1);
  expect(output.status).toBe('succeeded');
  holder = workload;
  held = (await listed()).find(({ held_by }) => held_by === holder)?.uuid ?? '';
  free = held === 'GPU-a' ? 'GPU-b' : 'GPU-a';
});

afterAll(async () => {
  await ground?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(): RunningTask {
  return ground.start({ env: { ...process.env, PATH: `${smi.folder}:${process.env['PATH']}` } });
}

async function launch(gpu_count: number): Promise<{ output: TaskResult; workload: string }> {
  const params = ground.host.launchParams(await ground.host.image('tiny'), { readiness: readyAtOnce });
  const output = await ground.run('workload.oci_launch', {
    ...params,
    resources: { ...params.resources, gpu_count },
  });
  return { output, workload: params.identity.app_instance_id };
}

async function remove(workload: string): Promise<void> {
  const { identity } = ground.host.launchParams('unused');
  const params = { identity: { ...identity, app_instance_id: workload }, keep_data: false, grace_seconds: 0 };
  expect(await ground.run('workload.oci_remove', params)).toMatchObject({ status: 'succeeded' });
}

async function gpus(...args: string[]): Promise<{ code: number | null; cards: HostCards }> {
  const { code, stdout } = await startNodeAgent(['gpus', ...args, '--json', '--config', ground.configFile]).ended;
  return { code, cards: JSON.parse(stdout) as HostCards };
}

async function listed(): Promise<Gpu[]> {
  return (await gpus()).cards.gpus;
}

async function untilHealth(uuid: string, health: Gpu['health']): Promise<Gpu | undefined> {
  let card: Gpu | undefined;
  await until(async () => {
    card = (await listed()).find((each) => each.uuid === uuid);
    return card?.health === health;
  }, `${uuid} to be ${health}`);
  return card;
}

/** Who has which card, as the control plane was told last. */
function heldBy(): Record<string, string | null> | undefined {
  const last = ground.sink.records.flatMap(({ kind, body }) => (kind === 'inventory' ? [body] : [])).at(-1);
  return last && Object.fromEntries(last.runtime.gpus.map(({ uuid, held_by }) => [uuid, held_by]));
}

/** The state of a workload, as the control plane was told last. */
function stateOf(workload: string): string | undefined {
  const last = ground.sink.records.flatMap(({ kind, body }) => (kind === 'topology' ? [body] : [])).at(-1);
  return last?.workloads.find(({ workload_id }) => workload_id === workload)?.state;
}

/** What the control plane was told of the cards of a workload since the test began to look. */
function troublesFrom(workload: string) {
  const before = ground.events(workload).length;
  return () =>
    ground
      .events(workload)
      .slice(before)
      .filter(({ event }) => event.type.startsWith('gpu.'))
      .map(({ event, state, failure }) => ({ type: event.type, state, message: event.message, code: failure?.code }));
}

/** Events about a card since the test began to look. */
function eventsFrom(): (uuid: string) => string[] {
  const before = ground.events(null).length;
  return (uuid) =>
    ground
      .events(null)
      .slice(before)
      .filter(({ event }) => event.values['uuid'] === uuid || String(event.values['uuids']).includes(uuid))
      .map(({ event }) => event.type);
}

describe('a daemon on a host with cards', () => {
  it('tells the control plane which cards there are, who has them, and how much of them is in use', async () => {
    const inventory = () =>
      ground.sink.records.flatMap(({ kind, body }) => (kind === 'inventory' ? [body] : [])).at(-1);
    await until(() => inventory()?.runtime.gpus.length === 2, 'an inventory with two cards');
    const samples = () =>
      ground.sink.records.flatMap(({ kind, body }) => (kind === 'metrics' ? (body.gpus ?? []) : []));
    await until(() => samples().some(({ workload_id }) => workload_id === holder), 'a sample of the card');
    await until(() => heldBy()?.[held] === holder, 'the inventory to say who has the card');
    const other = await launch(1);
    await until(() => heldBy()?.[free] === other.workload, 'the inventory to say who has the other card');
    await remove(other.workload);
    await until(() => heldBy()?.[free] === null, 'the inventory to say that it is free again');

    expect(inventory()?.runtime.gpus).toMatchObject([
      { uuid: 'GPU-a', driver: '570.86.15', pci_address: '0000:17:00.0', health: 'healthy' },
      { uuid: 'GPU-b', pci_address: '0000:18:00.0', health: 'healthy' },
    ]);
    expect(heldBy()).toEqual({ [held]: holder, [free]: null });
    expect(samples().find(({ workload_id }) => workload_id === holder)).toMatchObject({
      ...{ uuid: held, utilization_percent: 37, memory_used_mib: 40_960, power_watts: 412.5 },
    });
  });

  it('gives nobody a card that vanished, until it has been back for a while (FAULTS 30)', async () => {
    const told = eventsFrom();
    smi.show(cards.filter(({ uuid }) => uuid === held));
    await untilHealth(free, 'unhealthy');
    const refused = await launch(1);
    smi.show(cards);
    await untilHealth(free, 'healthy');
    const given = await launch(1);
    await until(() => told(free).length === 2, 'two events');

    expect(refused.output).toMatchObject({ status: 'failed', failure: { code: 'gpu.unhealthy' } });
    expect(refused.output.failure?.message).toContain('does not work');
    expect(given.output.status).toBe('succeeded');
    expect((await listed()).find(({ uuid }) => uuid === free)?.held_by).toBe(given.workload);
    expect(told(free)).toEqual(['gpu.vanished', 'gpu.recovered']);
    expect(told(held)).toEqual([]);
    await remove(given.workload);
  });

  it('tells that a workload has lost the card that vanished under it, until it is started anew', async () => {
    const troubles = troublesFrom(holder);
    expect(stateOf(holder)).toBe('running');

    smi.show(cards.filter(({ uuid }) => uuid === free));
    await until(() => stateOf(holder) === 'degraded', 'the workload to be degraded');
    await until(() => troubles().length === 1, 'an event of the workload');
    smi.show(cards);
    await untilHealth(held, 'healthy');
    const back = stateOf(holder);
    const { identity } = ground.host.launchParams('unused');
    const restart = {
      identity: { ...identity, app_instance_id: holder },
      action: 'restart',
      grace_seconds: 0,
    } as const;
    expect(await ground.run('workload.oci_control', restart)).toMatchObject({ status: 'succeeded' });
    await until(() => stateOf(holder) === 'running', 'the workload to be well again');

    expect(back).toBe('degraded');
    expect(heldBy()?.[held]).toBe(holder);
    expect(troubles()[0]).toEqual({
      ...{ type: 'gpu.unhealthy', state: 'degraded', code: 'gpu.unhealthy' },
      message: expect.stringContaining(held),
    });
  });

  it('has a container of the doctor look at a free card, says what it saw, and leaves nothing of it', async () => {
    const { stdout } = await startNodeAgent(['doctor', '--sample-gpu', '--json', '--config', ground.configFile]).ended;
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; found: string }[] };

    // The stand-in of the toolkit hands out a card, and no tool of the driver with it.
    const sample = checks.find(({ name }) => name === 'gpu.sample');
    expect(sample).toMatchObject({ status: 'fail', found: expect.stringContaining('did not get to see it') });
    expect((await listed()).map(({ held_by }) => held_by).toSorted()).toEqual([holder, null].toSorted());
    const status = await startNodeAgent(['status', '--json', '--config', ground.configFile]).ended;
    expect(JSON.parse(status.stdout).workloads.map((each: { workload_id: string }) => each.workload_id)).toEqual([
      holder,
    ]);
  });

  it('quarantines a card of which the kernel reports an Xid, over a kill, until somebody has seen to it', async () => {
    const [told, troubles] = [eventsFrom(), troublesFrom(holder)];
    appendFileSync(kernelLog, `3,2,2000000,-;NVRM: Xid (PCI:${slots[held]}): 79, GPU has fallen off the bus.\n`);
    const card = await untilHealth(held, 'unhealthy');
    await until(() => told(held).length === 2, 'two events');
    await until(() => stateOf(holder) === 'degraded', 'its workload to be degraded');
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    daemon = start();
    await until(async () => (await gpus().catch(() => undefined)) !== undefined, 'the daemon to be back');
    await ground.connected();
    const after = await untilHealth(held, 'unhealthy');
    const { code } = await gpus('clear', held);
    const cleared = await untilHealth(held, 'healthy');
    await until(() => told(held).length === 3, 'three events');
    await until(() => stateOf(holder) === 'running', 'its workload to be well again');
    await until(() => troubles().length === 2, 'two events of the workload');

    expect(card).toMatchObject({ held_by: holder, reason: expect.stringContaining('Xid 79') });
    expect(after).toEqual(card);
    expect(code).toBe(0);
    expect(cleared).toMatchObject({ held_by: holder, reason: null });
    expect(told(held)).toEqual(['gpu.unhealthy', 'gpu.xid', 'gpu.recovered']);
    expect(troubles()).toMatchObject([
      { type: 'gpu.unhealthy', state: 'degraded', message: expect.stringContaining('Xid 79') },
      { type: 'gpu.recovered', state: 'running' },
    ]);
  });

  it('launches what wants no card while the driver hangs, and tells of the cards (FAULTS 30)', async () => {
    const told = eventsFrom();
    smi.hang();
    await untilHealth(held, 'unhealthy');
    const [plain, wanting] = await Promise.all([launch(0), launch(1)]);
    smi.show(cards);
    await untilHealth(held, 'healthy');
    await until(() => told(free).length === 2, 'two events');

    expect(plain.output.status).toBe('succeeded');
    expect(wanting.output).toMatchObject({ status: 'failed', failure: { code: 'gpu.unhealthy' } });
    expect(JSON.stringify(wanting.output.failure?.detail)).toContain('the driver hangs');
    expect([told(held), told(free)]).toEqual([
      ['gpu.unhealthy', 'gpu.recovered'],
      ['gpu.unhealthy', 'gpu.recovered'],
    ]);
    await remove(plain.workload);
  });
});
