/** Accepts launches on the store of the command line until it is killed; prints the id of each once it is kept. */
import { writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemClock } from '../../src/kit/clock.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { TaskQueue } from '../../src/server/hub/task-queue.ts';
import { createInstance, prepareLaunch } from '../../src/server/instances/create-instance.ts';
import { MetricsBoard } from '../../src/server/instances/metrics-board.ts';
import { reconciler } from '../../src/server/instances/reconciler.ts';
import { openVault } from '../../src/server/keys/vault.ts';
import { environmentOf } from '../../src/server/launch/environment.ts';
import { aRequest, settings } from '../support/launch-samples.ts';

/** A moment after the host of the test was last asked what it can run. */
const now = Date.parse('2099-01-01T00:00:01Z');

const [file = '', firstPort = ''] = process.argv.slice(2);
const store = openSqliteStore(file);
const vault = openVault(join(dirname(file), 'keys'));
const environment = environmentOf(settings);
const sink = reconciler({ environment, clock: systemClock, metrics: new MetricsBoard(), queue: () => queue });
const queue: TaskQueue = new TaskQueue(sink, systemClock);

for (let port = Number(firstPort); ; port += 1) {
  const request = aRequest({ config: { host_port: port } });
  const who = { projectId: 'p1', tokenId: 'token-1', actor: 'token:token-1', traceId: 'trace-1' };
  const asking = { request, now, ...who };
  const prepared = await prepareLaunch({ store, vault }, environment, asking);
  const { id } = await store.write((tx) => createInstance(tx, { queue, environment }, asking, prepared));
  writeSync(1, `${id}\n`);
}
