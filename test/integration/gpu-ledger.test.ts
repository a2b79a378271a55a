/**
 * Cards from the task to the container: a real daemon with its journal, a real gate, and an engine that takes itself for one
 * of a host with NVIDIA cards. Only the cards themselves are made up (`nvidia-smi` is a stand-in).
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { labels } from '../../src/contract/names.ts';
import { type DaemonGround, openDaemonGround, outputOf, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { containerOf, inspectRaw } from '../support/looking.ts';
import { type NvidiaSmi, nvidiaSmi } from '../support/nvidia-smi.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import type { LaunchParams } from '../support/test-host.ts';

const cards = ['GPU-0a', 'GPU-1b', 'GPU-2c'];
let engine: PrivateEngine;
let ground: DaemonGround;
let smi: NvidiaSmi;
let daemon: RunningTask;
let tiny: string;

const start = () => ground.start({ env: { ...process.env, PATH: `${smi.folder}:${process.env['PATH']}` } });

beforeAll(async () => {
  smi = nvidiaSmi(
    join(temporaryFolder('smi'), 'bin'),
    cards.map((uuid) => ({ uuid })),
  );
  engine = await engineWithCards();
  // The kernel of this machine may have something to say of cards of its own.
  const kernel_log = join(smi.folder, 'kernel.log');
  writeFileSync(kernel_log, '');
  ground = await openDaemonGround({ engineSocket: engine.socketPath }, { gpus: { interval_seconds: 1, kernel_log } });
  tiny = await ground.host.image('tiny');
  daemon = start();
  await ground.connected();
});
afterEach(async () => {
  for (const instance of await instances()) await remove(instance);
});
afterAll(async () => {
  await ground?.close();
  await engine?.stop();
});

function withCards(gpu_count: number, over: Partial<LaunchParams> = {}): LaunchParams {
  return ground.host.launchParams(tiny, { resources: { gpu_count, cpu_cores: 0.1, memory_gib: 0.0625 }, ...over });
}

/** Of a launch that succeeded. */
async function cardsOf(params: LaunchParams): Promise<string[]> {
  return outputOf(await ground.run('workload.oci_launch', params)).adapter.gpus;
}

const identityOf = (app_instance_id: string) => ({ ...withCards(0).identity, app_instance_id });
const remove = async (instance: string) =>
  outputOf(
    await ground.run('workload.oci_remove', { identity: identityOf(instance), grace_seconds: 0, keep_data: false }),
  );

interface Listed {
  readonly Labels: Readonly<Record<string, string>>;
}

/** Containers of the host, past the gate: what really is. */
async function listed(): Promise<Listed[]> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: [`${labels.allocation}=${ground.host.policy.allocation.id}`] }),
  );
  return (await engineCall<Listed[]>(engine.socketPath, 'GET', `/containers/json?all=1&filters=${filters}`)).body;
}

async function instances(): Promise<string[]> {
  return (await listed()).map(({ Labels }) => Labels[labels.instance] ?? '');
}

/** What the program in the container was told. */
async function toldTo(container: string): Promise<string | undefined> {
  const { Pid } = (await inspectRaw(ground.host, container)).State;
  const variables = readFileSync(`/proc/${Pid}/environ`, 'utf8').split('\0');
  return variables.find((entry) => entry.startsWith('NVIDIA_VISIBLE_DEVICES='))?.split('=')[1];
}

async function kill(): Promise<void> {
  daemon.child.kill('SIGKILL');
  expect((await daemon.ended).signal).toBe('SIGKILL');
}

describe('cards', () => {
  it('arrive in the container by their ids, never two alike, and the one too many is told who has them (G-177)', async () => {
    const [one, two, third] = [withCards(1), withCards(2), withCards(1)];

    const given = await Promise.all([cardsOf(one), cardsOf(two)]);

    expect(given.flat().sort()).toEqual(cards);
    expect(await toldTo(containerOf(one))).toBe(given[0].join(','));
    expect(await toldTo(containerOf(two))).toBe(given[1].join(','));
    const { status, failure } = await ground.run('workload.oci_launch', third);
    expect([status, failure?.code]).toEqual(['rejected', 'gpu.none_free']);
    expect(failure?.detail).toMatchObject({
      ...{ asked: 1, free: 0, cards: 3 },
      held_by: [one, two].map(({ identity }) => identity.app_instance_id).sort(),
    });
  });

  it('are void where none are asked for', async () => {
    const params = withCards(0);

    expect(await cardsOf(params)).toEqual([]);
    expect(await toldTo(containerOf(params))).toBe('void');
  });

  it('stay with a workload that is stopped, and are free once it is removed', async () => {
    const [one, two] = [withCards(3), withCards(1)];
    await cardsOf(one);
    await ground.run('workload.oci_control', { identity: one.identity, action: 'stop', grace_seconds: 0 });

    expect((await ground.run('workload.oci_launch', two)).failure?.code).toBe('gpu.none_free');
    await remove(one.identity.app_instance_id);

    expect(await cardsOf(two)).toHaveLength(1);
  });

  it('are known again where the journal was lost: the containers say who has them', async () => {
    const one = withCards(2);
    const before = await cardsOf(one);
    await kill();
    rmSync(join(ground.stateDir, 'agent.db'));
    rmSync(join(ground.stateDir, 'agent.db-wal'), { force: true });
    daemon = start();
    await ground.connected();

    const after = await cardsOf(withCards(1));

    expect([...before, ...after].sort()).toEqual(cards);
    expect((await ground.run('workload.oci_launch', withCards(1))).failure?.code).toBe('gpu.none_free');
  });
});

it.each(['pulling', 'creating', 'starting', 'probing'])(
  'are leased once, whatever is killed while %s',
  async (phase) => {
    const params = withCards(2, {
      command: ['sleep 1; touch /tmp/ok; sleep 1000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 60 }],
    });
    const taskId = await ground.enqueue('workload.oci_launch', params);
    await until(
      () =>
        ground.sink.records.some(
          ({ kind, body }) => kind === 'task.progress' && body.task_id === taskId && body.event.phase === phase,
        ),
      `${taskId} to be ${phase}`,
    );

    await kill();
    daemon = start();

    const { adapter } = outputOf(await ground.result(taskId));
    expect(adapter.gpus).toHaveLength(2);
    expect(await toldTo(containerOf(params))).toBe(adapter.gpus.join(','));
    expect([...adapter.gpus, ...(await cardsOf(withCards(1)))].sort()).toEqual(cards);
  },
);

it('says that the driver hangs to who wants a card, and does not keep the others waiting', {
  timeout: 300_000,
}, async () => {
  const told = (type: string) => ground.events(null).filter(({ event }) => event.type === type).length;
  const [hung, well] = [told('gpu.unhealthy') + cards.length, told('gpu.recovered') + cards.length];
  smi.hang();
  await until(() => told('gpu.unhealthy') >= hung, 'the agent to notice');

  expect((await ground.run('workload.oci_launch', withCards(1))).failure).toMatchObject({
    ...{ code: 'gpu.unhealthy', retryable: true },
    detail: { reason: expect.stringContaining('the driver hangs') },
  });
  outputOf(await ground.run('workload.oci_launch', withCards(0)));

  smi.show(cards.map((uuid) => ({ uuid })));
  await until(() => told('gpu.recovered') >= well, 'the cards to be well again');
  expect(await cardsOf(withCards(3))).toEqual(cards);
});

it('is exact over sixty launches and removals at random', { timeout: 600_000 }, async () => {
  const random = seeded(20261126);
  const params = Array.from({ length: 4 }, () => withCards(0));
  const counts = new Map<string, number>();
  for (let round = 0; round < 20; round += 1) {
    const jobs = params.slice(1 + random(2)).map(async ({ identity }) => {
      const instance = identity.app_instance_id;
      if (random(3) === 0) {
        await remove(instance);
        return;
      }
      const gpu_count = random(3);
      const resources = { gpu_count, cpu_cores: 0.1, memory_gib: 0.0625 };
      const { status, failure, output } = await ground.run('workload.oci_launch', {
        ...withCards(0),
        identity,
        resources,
      });
      counts.set(status, (counts.get(status) ?? 0) + 1);
      expect([undefined, 'gpu.none_free']).toContain(failure?.code);
      if (status === 'succeeded') {
        expect((output as { adapter: { gpus: string[] } }).adapter.gpus).toHaveLength(gpu_count);
      }
    });
    await Promise.all(jobs);
    const held = (await listed()).flatMap(({ Labels }) => (Labels[labels.gpus] ?? '').split(',')).filter(Boolean);
    expect(new Set(held).size).toBe(held.length);
    expect(cards).toEqual(expect.arrayContaining(held));
  }

  expect((counts.get('succeeded') ?? 0) + (counts.get('rejected') ?? 0)).toBeGreaterThan(25);
  for (const instance of await instances()) await remove(instance);
  expect(await cardsOf(withCards(3))).toEqual(cards);
});

/** The same numbers in each run: from 0 up to, and without, `below`. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
