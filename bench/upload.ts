/**
 * What a job leaves in its volume, from the end of its op until the control plane has it, through every part as a process of its own,
 * against a copy of as much that is on the disk and hashed: what anybody does who keeps a file at least.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { memoryOf } from './daemon.ts';
import { follow } from './events.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 3;
const mebibytes = 1024;
const sampleMs = 50;

export async function uploadCost(wire: Wire, image: string): Promise<Measurement[]> {
  const events = await follow(wire);
  const processes = { agent: wire.agent.pid, 'control plane': wire.server.pid };
  const idle = Object.values(processes).map((pid) => memoryOf(pid).privateDirty);
  const most = [...idle];
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    theirs.push(await copied(wire.folder));
    ours.push(await uploaded());
  }
  await events.stop();
  return [
    {
      ...{ name: 'output of 1 GiB, from the end of its op to stored', unit: 'ms' },
      ...{ ours: median(ours), theirs: median(theirs), against: 'cp, sync and sha256sum of as much' },
      ...{ target: 'at most twice', met: median(ours) <= 2 * median(theirs) },
    },
    ...Object.keys(processes).map(
      (name, index): Measurement => ({
        ...{ name: `${name} meanwhile: private dirty memory at most`, unit: 'MB', against: 'the same before' },
        ...{ ours: most[index] ?? Number.NaN, theirs: idle[index] ?? Number.NaN },
      }),
    ),
  ];

  async function uploaded(): Promise<number> {
    const fill = `dd if=/dev/urandom of=/out/model bs=1M count=${mebibytes}`;
    const op = { type: 'container/run', id: 'fill', args: { image, cmd: fill, output: '/out' } };
    const document = { version: '0.1', type: 'container', ops: [op] };
    const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { document }));
    for (; ; await pause(sampleMs)) {
      for (const [index, pid] of Object.values(processes).entries()) {
        most[index] = Math.max(most[index] ?? 0, memoryOf(pid).privateDirty);
      }
      const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/artifacts`));
      if (items.some(({ kind, state }: Record<string, string>) => kind === 'artifact' && state === 'stored')) break;
    }
    const storedAt = Date.now();
    await events.seen(id, 'job.succeeded');
    const { steps } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}`));
    return storedAt - Date.parse(steps[0].ended_at);
  }
}

/** Of a file that is in the page cache, as that which the job has just written. */
async function copied(folder: string): Promise<number> {
  const [from, to] = [join(folder, 'model'), join(folder, 'copy')];
  const shell = (command: string) => execFileSync('/bin/sh', ['-ec', command]);
  shell(`dd if=/dev/urandom of=${from} bs=1M count=${mebibytes} 2>/dev/null`);
  try {
    return await timed(async () => shell(`cp ${from} ${to}; sync ${to}; sha256sum ${to}`));
  } finally {
    shell(`rm -f ${from} ${to}`);
  }
}
