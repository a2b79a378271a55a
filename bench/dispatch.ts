/**
 * How long a task takes from the transaction that queues it to the node having it: signed, sent, verified, on the disk of
 * the node, and known to be there on the disk of the control plane. Both ends in one process, over a real socket.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { controlPlaneOrigin } from '../src/agent/control-plane/origin.ts';
import { openIdentityKey } from '../src/agent/identity/identity-key.ts';
import { type NodeRecord, writeNode } from '../src/agent/identity/node-record.ts';
import { openWrappingKey } from '../src/agent/identity/wrapping-key.ts';
import { openJournal } from '../src/agent/journal/open-journal.ts';
import { openSession } from '../src/agent/session/open-session.ts';
import type { WrappingPublicKey } from '../src/contract/enrolment.ts';
import { createLog } from '../src/kit/log.ts';
import type { Node } from '../src/server/db/entities/node.ts';
import { openSqliteStore } from '../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../src/server/db/store.ts';
import { Hub } from '../src/server/hub/hub.ts';
import type { RecordSink } from '../src/server/hub/record-sink.ts';
import { type NewTask, TaskQueue } from '../src/server/hub/task-queue.ts';
import { openServerKeys } from '../src/server/keys/server-keys.ts';
import { type Measurement, median } from './measurement.ts';

const nothing = async () => undefined;
const sink: RecordSink = { taskEnded: nothing, recorded: nothing, nodeAway: nothing, nodeBack: nothing };
const log = createLog({ level: 'silent' });

/** A task from the transaction that queues it to the node, against the commits it takes. */
export async function dispatchCost(folder: string): Promise<Measurement[]> {
  const { onNode, known, commits } = await measureDispatch(folder, 300);
  const theirs = median(commits);
  const against = 'three commits to the disk, alone';
  return [
    {
      ...{ name: 'dispatch, signed and durable on both sides', unit: 'ms', ours: median(onNode), theirs, against },
      ...{ target: 'at most 8 ms in all', met: median(onNode) <= 8 },
    },
    { name: 'dispatch, and acknowledged', unit: 'ms', ours: median(known), theirs, against },
  ];
}

interface Dispatch {
  /** Milliseconds of each task until the node had it on its disk. */
  readonly onNode: number[];
  /** Milliseconds of each task until the control plane knew it for good. */
  readonly known: number[];
  /** Milliseconds of the three commits that lie before the first of these, alone and in turns with it. */
  readonly commits: number[];
}

/** Sends tasks one after another; everything is kept in `folder`. */
async function measureDispatch(folder: string, tasks: number): Promise<Dispatch> {
  const store = openSqliteStore(join(folder, 'server', 'store.db'));
  const keys = await openServerKeys(join(folder, 'server'));
  const queue = new TaskQueue(sink);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hub = new Hub({ store, queue, keys: keys.task, sink, log, audience: () => origin });
  await hub.start(server, () => undefined);

  const stateDir = join(folder, 'agent');
  const record: NodeRecord = {
    ...{ node_id: 'node-1', allocation_id: 'alloc-1', release_root: keys.releaseRoot, ca: '', control_plane: origin },
    task_keys: [{ ...keys.task.current, retire_after: null }],
    keys_since: new Date().toISOString(),
  };
  writeNode(stateDir, record);
  const wrapping = (await openWrappingKey(stateDir)).publicJwk as WrappingPublicKey;
  const identity = openIdentityKey(stateDir).publicJwk;
  await store.write((tx) => tx.nodes.insert(nodeOf(identity, wrapping, keys.task.current.kid)));
  const journal = openJournal({ stateDir });
  let kept: () => void = () => undefined;
  const session = openSession({
    ...{ stateDir, node: record, journal, log, agentVersion: 'bench', origin: controlPlaneOrigin(origin) },
    handlers: {
      onTask: (task) => {
        journal.accept(task, { now: session.serverNow() ?? 0, fenced: true });
        kept();
        return { accepted: true };
      },
      credits: () => 16,
      onCancel: () => undefined,
      logs: { open: () => undefined, credit: () => undefined, close: () => undefined },
      onState: () => undefined,
    },
  });
  session.start();

  const measured: Dispatch = { onNode: [], known: [], commits: [] };
  for (let number = 0; number < tasks; number += 1) {
    const begin = performance.now();
    const onNode = new Promise<void>((resolve) => {
      kept = resolve;
    });
    const { id } = await store.write((tx) => queue.enqueue(tx, { ...removal, workload_id: `app-${number}` }));
    await onNode;
    measured.onNode.push(performance.now() - begin);
    await acceptedAt(store, id);
    measured.known.push(performance.now() - begin);
    measured.commits.push(await threeCommits(store, number));
  }

  await session.close();
  journal.close();
  hub.stop();
  await new Promise((resolve) => server.close(resolve));
  await store.close();
  return measured;
}

async function threeCommits(store: Store, number: number): Promise<number> {
  const begin = performance.now();
  for (const part of ['queued', 'leased', 'accepted']) {
    await store.write((tx) => tx.workload_fencing.insert({ id: `${part}-${number}`, fencing: 1 }));
  }
  return performance.now() - begin;
}

/** Resolves with the commit that notes the acceptance. */
async function acceptedAt(store: Store, id: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = async () => {
    if ((await store.read((tx) => tx.tasks.get(id)))?.state === 'accepted') resolve();
  };
  const stop = store.onCommit(() => void look().catch(reject));
  await look();
  await promise.finally(stop);
}

const removal: NewTask<'workload.oci_remove'> = {
  ...{ node_id: 'node-1', allocation_id: 'alloc-1', purpose: 'decommission', trace_id: 'bench' },
  type: 'workload.oci_remove',
  params: {
    identity: {
      ...{ project_id: 'p1', app_instance_id: 'app-1', allocation_id: 'alloc-1', app_slug: 'bench', app_version: '1' },
      display_name: 'bench',
    },
    ...{ keep_data: true, grace_seconds: 5 },
  },
};

function nodeOf(identity_key: Node['identity_key'], wrapping_key: WrappingPublicKey, task_kid: string): Node {
  return {
    ...{ id: 'node-1', name: 'bench', allocation_id: 'alloc-1', status: 'enrolled', status_reason: null },
    ...{ identity_key, wrapping_key, next_keys: null, epoch_confirmed: 0, epoch_offered: null, task_kid },
    ...{ bearer_hash: null, drain: false, enrolled_at: new Date().toISOString(), last_seen_at: null },
    ...{ agent_version: 'bench', boot_id: null, task_types: [], inventory: null, runtime: null, runtime_at: null },
    topology: null,
  };
}
