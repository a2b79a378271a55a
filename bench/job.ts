/**
 * A job of one op, from its accepted submission to `succeeded` at the control plane, through every part as a process of its own,
 * against `docker run --rm` of the same.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { follow } from './events.ts';
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
    const limits = ['--memory', '64m', '--cpus', '1', '--init'];
    const args = ['-H', `unix://${engineSocket}`, 'run', '--rm', ...limits, image, ...command];
    docker.push(await timed(() => run('docker', args)));
  }
  await events.stop();
  const [ours, theirs] = [median(jobs), median(docker)];
  return [
    {
      ...{ name: 'job of one op, warm image, submitted to succeeded', unit: 'ms', ours, theirs },
      ...{ against: 'docker run --rm of the same', target: '+250 ms', met: ours - theirs <= 250 },
    },
  ];
}
