/**
 * A job of one op, from its accepted submission to `succeeded` at the control plane, through every part as a process of its own,
 * against `docker run --rm` of the same.
 */
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { memoryOf } from './daemon.ts';
import { type Events, follow } from './events.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 15;
const run = promisify(execFile);
const command = ['/bin/sh', '-c', 'echo done'];

export async function jobCost(
  wire: Wire,
  { image, engineSocket }: { readonly image: string; readonly engineSocket: string },
): Promise<Measurement[]> {
  const events = await follow(wire);
  const document = {
    ...{ version: '0.1', type: 'container' },
    ops: [{ type: 'container/run', id: 'once', args: { image, cmd: command } }],
  };
  const jobs: number[] = [];
  const docker: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { document }));
    jobs.push(await timed(() => events.seen(id, 'job.succeeded')));
    // What comes after the end is in nobody's way.
    while (ok(await wire.member.call('GET', `/api/v1/jobs/${id}`)).attempts[0].ended_at === null) await pause(sampleMs);
    const limits = ['--memory', '64m', '--cpus', '1', '--init'];
    const args = ['-H', `unix://${engineSocket}`, 'run', '--rm', ...limits, image, ...command];
    docker.push(await timed(() => run('docker', args)));
  }
  const burst = await logBurst(wire, events, image);
  await events.stop();
  const [ours, theirs] = [median(jobs), median(docker)];
  return [
    {
      ...{ name: 'job of one op, warm image, submitted to succeeded', unit: 'ms', ours, theirs },
      ...{ against: 'docker run --rm of the same', target: '+250 ms', met: ours - theirs <= 250 },
    },
    burst,
  ];
}

const lines = 200_000;
const sampleMs = 50;

/** What the agent needs at most for a job that writes so many lines at once. Throws where one is lost or out of order. */
async function logBurst(wire: Wire, events: Events, image: string): Promise<Measurement> {
  const idle = memoryOf(wire.agent.pid).privateDirty;
  let most = idle;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      most = Math.max(most, memoryOf(wire.agent.pid).privateDirty);
      await pause(sampleMs);
    }
  })();
  const results = { last: `^(${lines})$` };
  const op = { type: 'container/run', id: 'burst', results, args: { image, cmd: ['seq', '1', String(lines)] } };
  const document = { version: '0.1', type: 'container', ops: [op] };
  const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { document }));
  await events.seen(id, 'job.succeeded');
  const path = `/api/v1/jobs/${id}/artifacts`;
  for (let state = ''; state !== 'stored'; await pause(sampleMs)) {
    state = ok(await wire.member.call('GET', path)).items[0]?.state ?? '';
  }
  over.abort();
  await watching;
  const headers = { authorization: `Bearer ${wire.member.token}` };
  const log = await (await fetch(`${wire.url}${path}/burst.log`, { headers })).text();
  const kept = log
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
  const wrong = Array.from({ length: lines }, (_, index) => String(index + 1)).findIndex(
    (text, at) => text !== kept[at],
  );
  if (wrong >= 0 || kept.length !== lines)
    throw new Error(`${kept.length} lines were kept; line ${wrong + 1} is not as written`);
  return {
    ...{
      name: `agent while a job writes ${lines} lines: private dirty memory at most`,
      unit: 'MB',
      ours: most,
      theirs: idle,
    },
    ...{ against: 'the same agent before', target: 'at most 120 MB', met: most <= 120 },
  };
}
