/** Agent and control plane, both real, each with its own store on disk and a socket between them. */
import { randomUUID } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { enrol } from '../../../../src/agent/identity/enrol.ts';
import { type NodeRecord, readNode } from '../../../../src/agent/identity/node-record.ts';
import { rotateKeys } from '../../../../src/agent/identity/rotate-keys.ts';
import { openWrappingKey } from '../../../../src/agent/identity/wrapping-key.ts';
import type { Journal } from '../../../../src/agent/journal/journal.ts';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { credentialSource } from '../../../../src/agent/registry-credential.ts';
import { openSession } from '../../../../src/agent/session/open-session.ts';
import type { Session } from '../../../../src/agent/session/session.ts';
import type { StepRecord } from '../../../../src/jobs/job-record.ts';
import { systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { makeJoinToken } from '../../../../src/server/enrolment/join-token.ts';
import { OutputFiles } from '../../../../src/server/job-outputs/output-files.ts';
import { followingJobs } from '../../../../src/server/jobs/job-results.ts';
import { eventually } from '../../../support/eventually.ts';
import { type HubGround, openHubGround } from '../../../support/hub-ground.ts';
import { keptJob } from '../../../support/job-plans.ts';
import { aJob } from '../../../support/job-samples.ts';
import { recordingSink } from '../../../support/recording-sink.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { exitEvent, succeeded } from '../journal/samples.ts';

const root = temporaryFolder('wire');
const log = createLog({ level: 'silent' });
const noLogs = { open: () => undefined, credit: () => undefined, close: () => undefined };
let ground: HubGround;
let folder: string;
let agents: Agent[] = [];

beforeEach(async () => {
  folder = join(root, randomUUID());
  ground = await openHubGround(join(folder, 'server'));
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  agents = [];
  await ground.close();
});

interface Agent {
  readonly node: NodeRecord;
  readonly stateDir: string;
  readonly journal: Journal;
  readonly session: Session;
  /** Ids of tasks that were new. */
  readonly begun: string[];
  stop(): Promise<void>;
}

/** Accepts each task and leaves it at work, as a host does whose launches take long. */
function startAgent(stateDir: string, node: NodeRecord): Agent {
  const journal = openJournal({ stateDir, reserveBytes: 4096 });
  const begun: string[] = [];
  const session = openSession({
    ...{ stateDir, node, journal, log, agentVersion: '0.1.0', origin: controlPlaneOrigin(ground.origin) },
    random: () => 0,
    handlers: {
      onTask: (task) => {
        const { kind } = journal.accept(task, { now: session.serverNow() ?? 0, fenced: true });
        if (kind === 'new') begun.push(task.task_id);
        return { accepted: true };
      },
      credits: () => 4 - journal.unfinished().length,
      onCancel: (id) => journal.cancel(id),
      logs: noLogs,
      onState: () => undefined,
    },
  });
  session.start();
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    await session.close();
    journal.close();
  };
  const agent: Agent = {
    ...{ node, stateDir, journal, session, begun },
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
  agents.push(agent);
  return agent;
}

async function enrolled(name = 'agent'): Promise<{ stateDir: string; node: NodeRecord }> {
  const allocation = anAllocation({ id: randomUUID() });
  const { token } = await ground.store.write(async (tx) => {
    await tx.allocations.insert(allocation);
    return await makeJoinToken(tx, ground.serverKeys, {
      ...{ allocation_id: allocation.id, created_by: 't1', now: Date.now(), ca: '' },
    });
  });
  const stateDir = join(folder, name);
  const host = { hostname: 'host-1', agent_version: '0.1.0', os: 'Debian 12', arch: 'x64' };
  return { stateDir, node: await enrol({ stateDir, origin: controlPlaneOrigin(ground.origin), token, host }) };
}

async function connected(): Promise<Agent> {
  const { stateDir, node } = await enrolled();
  const agent = startAgent(stateDir, node);
  await isConnected(agent);
  return agent;
}

const isConnected = ({ node }: Agent) => eventually(() => expect(ground.hub.isConnected(node.node_id)).toBe(true));
const enqueue = ({ node }: Agent, given = {}) =>
  ground.enqueue({ node_id: node.node_id, allocation_id: node.allocation_id, ...given });
const stateOf = async (id: string) => (await ground.store.read((tx) => tx.tasks.get(id)))?.state;
const becomes = (id: string, state: string) => eventually(async () => expect(await stateOf(id)).toBe(state));

describe('a host that was let in', () => {
  it('has a session, takes a task, and what it reports is kept there and forgotten here', async () => {
    const agent = await connected();

    const { id } = await enqueue(agent);
    await becomes(id, 'accepted');
    agent.journal.append('event', exitEvent('app-1'));
    agent.journal.finish(succeeded(id));
    await becomes(id, 'ended');
    await eventually(() => expect(agent.journal.depth().records).toBe(0));

    expect(agent.begun).toEqual([id]);
    expect(agent.journal.task(id)?.result?.status).toBe('succeeded');
  });

  it('tells once how a job stands that has changed a thousand times while the control plane was away', async () => {
    const { sink, queue } = ground;
    const outputs = new OutputFiles(join(folder, 'outputs'), ground.store, systemClock.monotonicMs);
    const reports: unknown[] = [];
    const jobs = followingJobs(recordingSink(), { queue: () => queue, clock: systemClock, outputs });
    sink.recorded = async (tx, node, record) => {
      if (record.kind === 'job.report') reports.push(record.body.report.steps[0]?.attempts);
      await jobs.recorded(tx, node, record);
    };
    const { stateDir, node } = await enrolled();
    await ground.store.write((tx) => tx.jobs.insert(aJob({ id: 'job-1', node_id: node.node_id })));
    const job = keptJob('running', 'running', { task_id: 'task-1' });
    const journal = openJournal({ stateDir, reserveBytes: 4096 });
    journal.jobs.begin(job);
    let { record } = job;
    for (let attempts = 1; attempts <= 1000; attempts += 1) {
      const before = record;
      record = { ...record, steps: { one: { ...record.steps['one'], attempts } as StepRecord } };
      journal.jobs.put('job-1', record, before);
    }
    journal.close();

    const agent = startAgent(stateDir, node);
    await eventually(() => expect(agent.journal.depth().records).toBe(0));

    expect(reports).toEqual([1000]);
    const news = await ground.store.read((tx) => tx.job_news.get('job-1'));
    expect(news?.report).toMatchObject({ state: 'running', steps: [{ id: 'one', attempts: 1000 }] });
  });

  it('follows the task key of the control plane over a rotation', async () => {
    const { stateDir, node } = await enrolled();
    const { kid } = await ground.keys.rotate(new Date(Date.now() + 60_000));
    const agent = startAgent(stateDir, node);
    await isConnected(agent);

    const { id } = await enqueue(agent);
    await becomes(id, 'accepted');

    expect(readNode(stateDir)?.task_keys.map((key) => key.kid)).toEqual([expect.any(String), kid]);
  });

  it('replaces its own keys, and comes in with the new ones', async () => {
    const agent = await connected();
    const { stateDir, node } = agent;
    const before = await openWrappingKey(stateDir);

    await rotateKeys({ stateDir, origin: controlPlaneOrigin(ground.origin), now: Date.now() });
    await agent.stop();
    await isConnected(startAgent(stateDir, node));

    const { publicJwk } = await openWrappingKey(stateDir);
    expect(publicJwk).not.toEqual(before.publicJwk);
    expect((await ground.node(node.node_id)).wrapping_key).toEqual(publicJwk);
  });

  it('gets no credential for a task that it does not hold', async () => {
    const { session, stateDir } = await connected();
    const { unseal } = await openWrappingKey(stateDir);
    const origin = controlPlaneOrigin(ground.origin);
    const ask = credentialSource({ origin, bearer: () => session.bearer(), unseal, clock: systemClock });

    const { signal } = new AbortController();
    await expect(ask({ task_id: 'task-x' }, signal)).rejects.toMatchObject({
      code: 'control_plane.refused',
      detail: { refused_as: 'credential.refused' },
    });
  });
});

describe('what is on its way when something ends', () => {
  it('goes on where it was after the agent was restarted, and is not begun twice (FAULTS 5)', async () => {
    const agent = await connected();
    const { id } = await enqueue(agent);
    await becomes(id, 'accepted');
    await agent.stop();
    const late = await enqueue(agent, { workload_id: 'app-2' });

    const again = startAgent(agent.stateDir, agent.node);
    await becomes(late.id, 'accepted');
    again.journal.finish(succeeded(id));
    await becomes(id, 'ended');

    expect(again.begun).toEqual([late.id]);
  });

  it('arrives once after the control plane was restarted (FAULTS 1, 2)', async () => {
    const agent = await connected();
    const { id } = await enqueue(agent);
    await becomes(id, 'accepted');
    const port = Number(new URL(ground.origin).port);
    await ground.close();
    agent.journal.finish(succeeded(id));
    agent.journal.append('event', exitEvent('app-1'));

    ground = await openHubGround(join(folder, 'server'), { port });
    await isConnected(agent);
    await becomes(id, 'ended');
    await eventually(() => expect(agent.journal.depth().records).toBe(0));

    expect(ground.sink.ended.map((task) => task.id)).toEqual([id]);
    expect(agent.begun).toEqual([id]);
  });

  it('is handed out again to an agent that lost its journal (FAULTS 19)', async () => {
    const agent = await connected();
    const { id } = await enqueue(agent);
    await becomes(id, 'accepted');
    agent.journal.append('event', exitEvent('app-1'));
    await eventually(() => expect(agent.journal.depth().records).toBe(0));
    await agent.stop();
    rmSync(join(agent.stateDir, 'agent.db'));

    const again = startAgent(agent.stateDir, agent.node);
    await eventually(() => expect(again.begun).toEqual([id]));
  });
});

it('two hosts with one identity are both put into quarantine, and neither comes back soon (FAULTS 32)', async () => {
  const agent = await connected();
  const copy = join(folder, 'copy');
  cpSync(join(agent.stateDir, 'identity'), join(copy, 'identity'), { recursive: true });
  await agent.stop();
  const original = startAgent(agent.stateDir, agent.node);
  await isConnected(original);

  const clone = startAgent(copy, agent.node);

  await eventually(() => {
    expect(clone.session.state).toMatchObject({ kind: 'waiting', trouble: 'quarantined' });
    expect(original.session.state).toMatchObject({ kind: 'waiting', trouble: 'quarantined' });
  });
  expect((await ground.node(agent.node.node_id)).status).toBe('quarantined');
});

it('a thousand tasks for a host that fits four are sent four at a time (FAULTS 33)', async () => {
  const agent = await connected();
  await ground.store.write(async (tx) => {
    for (let number = 0; number < 1000; number += 1) {
      const workload_id = `app-${number}`;
      await ground.queue.enqueue(tx, {
        ...{ node_id: agent.node.node_id, allocation_id: agent.node.allocation_id, workload_id, trace_id: 't' },
        ...{ purpose: 'decommission', type: 'workload.oci_remove' },
        params: { identity: identityOf(workload_id), keep_data: true, grace_seconds: 5 },
      });
    }
  });
  await eventually(() => expect(agent.begun).toHaveLength(4));
  agent.journal.finish(succeeded(agent.begun[0]));
  agent.session.pull();
  await eventually(() => expect(agent.begun).toHaveLength(5));

  const inState = (state: 'leased' | 'accepted') =>
    ground.store.read((tx) => tx.tasks.list({ where: { state }, limit: 10 }));
  await eventually(async () => expect(await inState('leased')).toEqual([]));
  await eventually(async () => expect(await inState('accepted')).toHaveLength(4));
  expect(agent.session.counts.protocolErrors).toBe(0);
});

function identityOf(instance: string) {
  return {
    ...{ project_id: 'p1', app_instance_id: instance, allocation_id: 'alloc-1', app_slug: 'jupyterlab' },
    ...{ app_version: '1', display_name: 'one' },
  };
}
