/**
 * A daemon whose way to the control plane is slow, while a workload floods its log, somebody follows it, and tasks are
 * carried out (FAULTS 4): the log loses entries and says so, results and events lose nothing.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { heldBytesOf, inspectable } from '../support/held-memory.ts';
import { containerOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { type LaunchParams, readyAtOnce } from '../support/test-host.ts';

const MiB = 2 ** 20;
/** Slow enough that a stream is without credit for longer than its source is held; and fast enough that it is not. */
const slow = 8 * 1024;
const lessSlow = 32 * 1024;
const seconds = 240;

let ground: DaemonGround;
let daemon: RunningTask;
let tiny: string;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround({}, {}, inspectable));
});
afterAll(async () => await ground?.close());

const launch = (over: Partial<LaunchParams> = {}) =>
  ground.host.launchParams(tiny, {
    ...{ resources: { gpu_count: 0, cpu_cores: 0.25, memory_gib: 0.0625 }, readiness: readyAtOnce, ...over },
  });

/**
 * Half a MB a second and more of numbered lines, of which the engine keeps the last few seconds. Where it has to begin a file
 * several times a second, a follower that is up to date misses whole files on an overloaded host, as its own client does.
 */
const flood = (): LaunchParams =>
  launch({
    log_limits: { max_size_mib: 3, max_files: 2 },
    command: [
      `pad=${'x'.repeat(400)}; i=0; while :; do n=0; while [ $n -lt 100 ]; do echo "$i $pad"; i=$((i+1)); n=$((n+1)); done; sleep 0.05; done`,
    ],
  });

/** Ids of both tasks. */
async function launchAndRemove(params: LaunchParams): Promise<string[]> {
  const { identity } = params;
  return [
    await ground.enqueue('workload.oci_launch', params),
    await ground.enqueue('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 }),
  ];
}

/** Ends a workload that waits for that. */
async function end(params: LaunchParams): Promise<void> {
  const { engine } = ground.host;
  await engine.exec(containerOf(params), ['touch', '/tmp/end'], { signal: AbortSignal.timeout(60_000) });
}

/** What was reported of it between tasks, in the order in which it arrived. */
function toldOf({ identity }: LaunchParams) {
  return ground.events(identity.app_instance_id);
}

function follow(id: string) {
  const stop = new AbortController();
  const seen = { bytes: 0, gaps: 0, entries: 0, newest: 0, lostUnsaid: [] as number[] };
  let missing = true;
  const take = (text: string) => {
    const number = Number.parseInt(text, 10);
    if (number > seen.newest + 1 && !missing) seen.lostUnsaid.push(number);
    // Engines repeat some entries where their log file is rotated; what was there before says nothing of what is missing.
    if (number > seen.newest) {
      missing = false;
      seen.entries += 1;
      seen.newest = number;
    }
    seen.bytes += text.length;
  };
  const read = async () => {
    for await (const part of ground.followLog(id, stop.signal)) {
      if (part.kind === 'end') throw new Error(`the log ended: ${JSON.stringify(part.failure)}`);
      if (part.kind === 'entries') {
        for (const { text } of part.entries) take(text);
      } else {
        seen.gaps += 1;
        missing = true;
      }
    }
  };
  return { seen, stop: () => stop.abort(), over: read() };
}

it('drops entries of the log and says so, brings every result and event once and in order, and recovers', async () => {
  const flooding = flood();
  outputOf(await ground.run('workload.oci_launch', flooding));
  const { seen, stop, over } = follow(flooding.identity.app_instance_id);
  await until(() => seen.bytes > MiB, 'the log to come');
  const before = await heldBytesOf(daemon);

  ground.proxy.throttle(slow);
  const launched = Array.from({ length: 3 }, () => launch());
  const crashing = launch({
    command: ['while ! [ -e /tmp/end ]; do sleep 0.1; done; rm /tmp/end; exit 3'],
    restart: { policy: 'on_failure', max_retries: 1 },
  });
  const asked = (await Promise.all(launched.map(launchAndRemove))).flat();
  asked.push(await ground.enqueue('workload.oci_launch', crashing));
  const resultsOf = (id: string) => ground.sink.ended.filter((task) => task.id === id);
  await until(() => asked.every((id) => resultsOf(id).length > 0), 'the results', seconds);
  await end(crashing);
  await until(() => toldOf(crashing).at(-1)?.event.type === 'workload.running', 'the restart', seconds);
  await end(crashing);
  await until(() => toldOf(crashing).at(-1)?.state === 'failed', 'the events', seconds);
  await until(() => seen.gaps > 0, 'a gap in the log', seconds);
  ground.proxy.throttle(lessSlow);
  const gaps = seen.gaps;
  await until(() => seen.gaps > gaps + 1, 'a gap on a faster line', seconds);
  const held = (await heldBytesOf(daemon)) - before;
  const slowBytes = seen.bytes;
  ground.proxy.throttle(undefined);
  await until(() => seen.bytes - slowBytes > 4 * MiB, 'the log to come as before');
  stop();
  await over;

  for (const id of asked) expect(resultsOf(id).map(({ result }) => result.status)).toEqual(['succeeded']);
  const told = toldOf(crashing);
  expect(told.map(({ event }) => event.type)).toEqual([
    ...['container.exited', 'workload.restarted', 'workload.running', 'container.exited'],
  ]);
  expect(told.map(({ event }) => event.time)).toEqual(told.map(({ event }) => event.time).sort());
  expect(seen.newest).toBeGreaterThan(seen.entries);
  expect(seen.lostUnsaid).toEqual([]);
  expect(ground.sink.presence.filter((change) => change.startsWith('away'))).toEqual([]);
  expect(held).toBeLessThan(8 * MiB);
}, 900_000);
