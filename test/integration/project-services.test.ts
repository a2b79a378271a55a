/**
 * Services that the jobs of one revision share, on a real engine: begun once, joined, failing, ended, and nothing left of them. Who begins and
 * ends them does not know the sandbox: that their policies and names hold under gVisor too is shown by `gvisor-services.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { containerName } from '../../src/contract/names.ts';
import { ServiceGroups } from '../../src/jobs/service-groups.ts';
import { groupOfPlan } from '../../src/policy/service-group.ts';
import { eventually } from '../support/eventually.ts';
import { inspectRaw } from '../support/looking.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { ask, end, newRevision, type Over, sharingJob, untilAsked } from '../support/sharing-jobs.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;
beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterAll(async () => {
  await host?.close();
});

const plan = (revision: string, line: string, over: Over = {}) =>
  sharingJob({ allocation: host.policy.allocation.id, tiny }, revision, line, over);

/** Runs a job whose task does this; what it has said, and how it went. */
async function run(revision: string, line: string, over: Over = {}) {
  return await carryOut(plan(revision, line, over));
}

async function carryOut(of: JobPlan) {
  const told: string[] = [];
  const result = await host.run('workload.job_launch', of, { onEvent: ({ type }) => void told.push(type) });
  const { report } = (result.output ?? {}) as Partial<JobTaskOutput>;
  expect(await leftOf(host, of.identity.job_id)).toEqual([]);
  return { failure: result.failure, said: report?.steps[0]?.results['said'] ?? [], told };
}

const groupOf = (revision: string, project?: string) => {
  const { id } = groupOfPlan(plan(revision, 'true', project === undefined ? {} : { project })) ?? { id: '' };
  return id;
};
const counterOf = async (revision: string, project?: string) =>
  await inspectRaw(host, containerName(groupOf(revision, project), 'counter'));
const endIdle = async () => await host.jobs.groups.endIdle({ engine: host.engine, idleSeconds: 0 });

describe('a service of scope project', () => {
  it('is begun by the first task, found by its name by the next, and gone once it is idle (C-30)', async () => {
    const revision = newRevision();

    const first = await run(revision, ask);
    const { Id } = await counterOf(revision);
    const second = await run(revision, ask);

    expect([first.failure, second.failure]).toEqual([null, null]);
    expect([first.said, second.said]).toEqual([['1'], ['2']]);
    expect((await counterOf(revision)).Id).toBe(Id);
    await host.jobs.groups.endIdle({ engine: host.engine });
    expect((await counterOf(revision)).Id).toBe(Id);
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });

  it('is one for tasks that start at the same moment, and stays for those that go on when one has ended', async () => {
    const revision = newRevision();

    const all = await Promise.all([
      run(revision, `${ask} > /dev/null; ${untilAsked(2)}; echo both`),
      run(revision, `${ask} > /dev/null; ${untilAsked(3)}; echo all`),
      // Begins after them, and ends last or with the second.
      eventually(async () => await counterOf(revision)).then(
        async () => await run(revision, `${untilAsked(2)}; ${ask}`),
      ),
    ]);

    expect(all.map(({ failure }) => failure)).toEqual([null, null, null]);
    expect(all.map(({ said }) => said)).toEqual([['both'], ['all'], ['3']]);
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });

  it('is there beside services of a task alone, which finds its own by their names, whatever runs beside it (C-30)', async () => {
    const revision = newRevision();
    const line = `${ask} > /dev/null; ${untilAsked(2)}; wget -qO- http://helper:8080/said`;

    const both = await Promise.all(['one', 'two'].map(async (helper) => await run(revision, line, { helper })));

    expect(both).toMatchObject([
      { failure: null, said: ['one'] },
      { failure: null, said: ['two'] },
    ]);
    expect(both[0]?.told.filter((type) => type === 'services.shared')).toHaveLength(1);
    // Those that are not shared have gone with their tasks.
    expect((await counterOf(revision)).State.Status).toBe('running');
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });

  it('is another one for a task whose requirements give it another size', async () => {
    const revision = newRevision();

    const all = [await run(revision, ask), await run(revision, ask, { memoryGib: 0.125 }), await run(revision, ask)];

    expect(all.map(({ failure, said }) => [failure, said])).toEqual([
      [null, ['1']],
      [null, ['1']],
      [null, ['2']],
    ]);
    expect((await counterOf(revision)).HostConfig.Memory).toBe(2 ** 26);
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });

  it('that has a cache with more than it may is ended with the last task, and begins again with it empty (C-50)', async () => {
    const revision = newRevision();
    const over = { maxBytes: 50_000 };

    const first = await run(revision, `${ask}; head -c 100000 /dev/zero > /kept/much`, over);
    const second = await run(revision, `${ask}; ls /kept; echo little > /kept/few`, over);
    const third = await run(revision, `${ask}; ls /kept`, over);

    expect([first, second, third]).toMatchObject([
      { failure: null, said: ['1'], told: expect.arrayContaining(['cache.over_limit']) },
      { failure: null, said: ['1'], told: expect.arrayContaining(['cache.emptied']) },
      { failure: null, said: ['2', 'few'] },
    ]);
    expect(third.told).not.toContain('cache.emptied');
    await endIdle();
  });

  it('is not ended while a task has it', async () => {
    const revision = newRevision();
    const going = run(revision, `${ask}; ${untilAsked(2)}`);
    await eventually(async () => expect((await counterOf(revision)).State.Status).toBe('running'));

    await endIdle();
    const last = await run(revision, ask);

    const both = [await going, last];
    expect(both.map(({ failure }) => failure)).toEqual([null, null]);
    expect(both.flatMap(({ said }) => said).sort()).toEqual(['1', '2']);
    await endIdle();
  });

  it('is not there for the task of another project, nor for one of another revision', async () => {
    const [revision, other] = [newRevision(), newRevision()];
    const going = run(revision, `${ask}; ${untilAsked(2)}`);
    await eventually(async () => expect((await counterOf(revision)).State.Status).toBe('running'));
    const { NetworkSettings, Id } = await counterOf(revision);
    const [network] = Object.values(NetworkSettings.Networks) as { readonly IPAddress?: string }[];
    const { IPAddress = '' } = network ?? {};
    const reach = `${ask}; wget -T 2 -qO- http://${IPAddress}:8080/n || echo nobody`;

    const [stranger, neighbour] = [await run(revision, reach, { project: 'project-8' }), await run(other, reach)];

    expect(IPAddress).toMatch(/^10\./);
    expect([stranger.said, neighbour.said]).toEqual([
      ['1', 'nobody'],
      ['1', 'nobody'],
    ]);
    const ids = [await counterOf(revision, 'project-8'), await counterOf(other)].map((each) => each.Id);
    expect(new Set([Id, ...ids]).size).toBe(3);
    await run(revision, ask);
    expect((await going).failure).toBeNull();
    await endIdle();
    expect(await leftOf(host, groupOf(revision, 'project-8'))).toEqual([]);
  });

  it.each([
    ['no', 0],
    ['on_failure', 7],
    ['always', 0],
  ] as const)('that ends under the policy %s does as that of a task', async (policy, code) => {
    const revision = newRevision();
    const restart = { policy, max_retries: policy === 'no' ? 0 : 3 };
    // Where it comes again it counts from the beginning.
    const line =
      policy === 'no' ? `${ask}; ${end(code)}; sleep 2` : `${ask}; ${ask}; ${end(code)}; ${untilBack}; ${ask}`;
    const { failure, said, told } = await run(revision, line, { restart });

    expect(failure).toBeNull();
    expect(said).toEqual(policy === 'no' ? ['1'] : ['1', '2', '1']);
    expect(told.includes('step.restarted')).toBe(policy !== 'no');
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });
  const untilBack = 'until [ "$(wget -qO- http://counter:8080/n)" = 0 ]; do sleep 0.1; done';

  it('is found on the engine by whoever remembers nothing of it, and taken away where nobody joins', async () => {
    const revision = newRevision();
    await run(revision, ask, { restart: { policy: 'no', max_retries: 0 } });
    const { Id } = await counterOf(revision);

    const { running, records } = host.jobs;
    Object.assign(host.jobs, { groups: new ServiceGroups(running, records) });
    const next = await run(revision, ask);

    expect([next.failure, next.said, (await counterOf(revision)).Id]).toEqual([null, ['2'], Id]);
    Object.assign(host.jobs, { groups: new ServiceGroups(running, records) });
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });

  it('that fails takes every task along that uses it, by its name, and is begun anew for the next', async () => {
    const revision = newRevision();
    const both = Promise.all([
      run(revision, `${ask}; sleep 600`),
      run(revision, `${ask}; ${untilAsked(2)}; ${end(5)}; sleep 600`),
    ]);

    for (const { failure } of await both) {
      expect(failure).toMatchObject({
        code: 'step.failed',
        detail: { service: 'counter', phase: 'service', exit_code: 5 },
      });
      expect(failure?.message).toContain('counter');
    }
    expect(await run(revision, ask)).toMatchObject({ failure: null, said: ['1'] });
    await endIdle();
    expect(await leftOf(host, groupOf(revision))).toEqual([]);
  });
});
