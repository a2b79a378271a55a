/** Tasks that a real daemon must not take, and more of them than it can, over the real wire (FAULTS 10, 33). */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { FailureCode } from '../../src/contract/failures.ts';
import type { TaskEnvelope, TaskResult } from '../../src/contract/task-envelope.ts';
import { TaskKeys } from '../../src/server/keys/task-keys.ts';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { heldBytesOf, inspectable } from '../support/held-memory.ts';
import { containerOf, containersNamed } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { signerNamed } from '../support/session-stand-in.ts';
import { type LaunchParams, readyAtOnce } from '../support/test-host.ts';

const parallel = 4;
let ground: DaemonGround;
let daemon: RunningTask;
let tiny: string;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround({}, { tasks: { parallel } }, inspectable));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await ground.host.clear();
});
afterAll(async () => await ground?.close());

const launch = (over: Partial<LaunchParams> = {}) =>
  ground.host.launchParams(tiny, {
    ...{ mounts: [{ name: 'work', path: '/work', mode: 'scratch', read_only: false }] },
    ...{ readiness: readyAtOnce, ...over },
  });

type Sign = (envelope: TaskEnvelope) => Promise<string>;

describe('a task that the daemon must not take', () => {
  it.each<[string, FailureCode, (own: Sign) => Sign | Promise<Sign>]>([
    ['with a bad signature', 'task.untrusted', (own) => async (task) => tampered(await own(task))],
    [
      'signed by a foreign key',
      'task.untrusted',
      async () => signing(await TaskKeys.open(join(ground.host.folder, 'x'))),
    ],
    ['signed by a foreign key of our name', 'task.untrusted', () => signerNamed(ground.keys.task.current.kid).sign],
    ['for another node', 'task.untrusted', (own) => (task) => own({ ...task, node_id: 'node-2' })],
    ['for another allocation', 'task.untrusted', (own) => (task) => own({ ...task, allocation_id: 'alloc-2' })],
    ['past its time', 'task.expired', (own) => (task) => own({ ...task, not_after: '2026-01-01T00:00:00.000Z' })],
    ['of an unknown type', 'task.unsupported', (own) => (task) => own({ ...task, type: 'workload.shell' })],
    ['of an unknown version', 'task.unsupported', (own) => (task) => own({ ...task, schema_version: 99 })],
  ])('%s is refused as %s, and leaves nothing behind (FAULTS 10)', async (_how, code, forge) => {
    const params = launch();
    const sign = await forge(ground.keys.task.sign.bind(ground.keys.task));
    vi.spyOn(ground.keys.task, 'sign').mockImplementationOnce(sign);

    const { status, failure, output } = await ground.run('workload.oci_launch', params);

    expect({ status, code: failure?.code, output }).toEqual({ status: 'rejected', code, output: null });
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
    const { home } = ground.host.policy.allocation;
    expect(existsSync(join(home, 'gpuaas/workloads', params.identity.app_instance_id))).toBe(false);
  });

  it('whose params no schema knows is task.invalid with its path, and leaves nothing behind (FAULTS 9)', async () => {
    const params = launch();
    const own = ground.keys.task.sign.bind(ground.keys.task);
    vi.spyOn(ground.keys.task, 'sign').mockImplementationOnce((task) =>
      own({ ...task, params: { ...(task.params as object), privileged: true } }),
    );

    const { status, failure } = await ground.run('workload.oci_launch', params);

    expect([status, failure?.code]).toEqual(['rejected', 'task.invalid']);
    expect(failure?.detail['errors']).toMatchObject([{ path: '/params/privileged' }]);
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
  });

  it('does not keep it from the next one', async () => {
    vi.spyOn(ground.keys.task, 'sign').mockImplementationOnce(signerNamed('unknown').sign);
    await ground.run('workload.oci_launch', launch());

    expect(outputOf(await ground.run('workload.oci_launch', launch())).state).toBe('running');
  });
});

function signing(keys: TaskKeys): Sign {
  return (envelope) => keys.sign(envelope);
}

/** The same signature under other words. */
function tampered(jws: string): string {
  const [header = '', payload = '', signature = ''] = jws.split('.');
  const task = JSON.parse(Buffer.from(payload, 'base64url').toString()) as TaskEnvelope;
  const changed = Buffer.from(JSON.stringify({ ...task, fencing: task.fencing + 1 })).toString('base64url');
  return [header, changed, signature].join('.');
}

it('a thousand launches for a host that fits four: credits hold, refusals are clear, memory is flat (FAULTS 33)', async () => {
  const [asked, fits] = [1000, 4];
  const resources = { gpu_count: 0, cpu_cores: availableParallelism() / fits, memory_gib: 0.0625 };
  const ids: string[] = [];
  for (let count = 0; count < asked; count += 1) {
    ids.push(await ground.enqueue('workload.oci_launch', launch({ mounts: [], resources })));
  }
  const ended = () => ground.sink.ended.filter(({ id }) => ids.includes(id));
  let most = 0;
  const watched = async (count: number) => {
    most = Math.max(most, await ground.atNode());
    return ended().length >= count;
  };

  await until(() => watched(asked / 4), 'a quarter of the launches to end', 300);
  const before = await heldBytesOf(daemon);
  await until(() => watched(asked), 'all launches to end', 600);

  const failures = ended().flatMap(({ result }) => (result.status === 'succeeded' ? [] : [result.failure]));
  expect(failures).toHaveLength(asked - fits);
  expect(new Set(failures.map((failure) => failure?.code))).toEqual(new Set(['resources.exceeded']));
  expect(failures[0]).toMatchObject({ retryable: true, detail: { reason: expect.stringContaining('free') } });
  // Those at work, the few that wait for their turn there, and one or two that are just arriving.
  expect(mostAtOnce(ended().map(({ result }) => result))).toBeLessThanOrEqual(4 * parallel);
  // At the node are those it works on, and those whose results are on their way; all the others wait in the store.
  expect(most).toBeLessThan(asked / 10);
  expect((await heldBytesOf(daemon)) - before).toBeLessThan(4 * 2 ** 20);
}, 900_000);

/** How many the daemon had taken and not ended at the same time. */
function mostAtOnce(results: readonly TaskResult[]): number {
  const turns = results
    .flatMap(({ started_at, finished_at }) => [
      { at: started_at, by: 1 },
      { at: finished_at, by: -1 },
    ])
    .toSorted((a, b) => a.at.localeCompare(b.at) || a.by - b.by);
  let now = 0;
  return Math.max(
    ...turns.map(({ by }) => {
      now += by;
      return now;
    }),
  );
}
