/** The agent as a process: how soon it is connected, and what it costs while nothing happens. The bundle, as on a host. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type RunningTask, startNodeAgent } from '../test/support/run-task-process.ts';
import type { Wire } from '../test/support/wire-ground.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 15;
const settleMs = 15_000;
const idleMs = 30_000;

/**
 * The agent of the wire is replaced by others, one after another; when this is over, it is there again. `program` is a bundle,
 * or an executable as in a release.
 */
export async function daemonCost(wire: Wire, program: string): Promise<Measurement[]> {
  await wire.agent.stop();
  const bare: number[] = [];
  const started: number[] = [];
  const back: number[] = [];
  let agent: RunningTask | undefined;
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await timed(async () => execFileSync(process.execPath, ['--eval', '0'])));
    agent = startNodeAgent(['run', '--config', wire.configFile], { program });
    started.push(await timed(() => connected(agent as RunningTask)));
    back.push(
      await timed(async () => {
        agent?.child.kill('SIGKILL');
        await agent?.ended;
        agent = startNodeAgent(['run', '--config', wire.configFile], { program });
        await connected(agent);
      }),
    );
    if (round < rounds - 1) {
      agent.child.kill('SIGTERM');
      await agent.ended;
    }
  }
  const idle = await idleCost(agent?.child.pid ?? 0);
  agent?.child.kill('SIGTERM');
  await agent?.ended;
  await wire.agent.start();

  const theirs = median(bare);
  const against = 'Node itself, from start to end';
  return [
    {
      ...{ name: 'start to connected', unit: 'ms', ours: median(started), theirs, against },
      ...{ target: 'at most 400 ms', met: median(started) <= 400 },
    },
    {
      ...{ name: 'SIGKILL to connected again', unit: 'ms', ours: median(back), theirs, against },
      ...{ target: 'at most 700 ms', met: median(back) <= 700 },
    },
    ...idle,
  ];
}

const connected = (agent: RunningTask) => agent.saw('"msg":"session stands"');

async function idleCost(pid: number): Promise<Measurement[]> {
  const node = spawn(process.execPath, ['--eval', 'setInterval(() => undefined, 3_600_000)'], { stdio: 'ignore' });
  try {
    await pause(settleMs);
    const before = [cpuMsOf(pid), cpuMsOf(node.pid ?? 0)];
    await pause(idleMs);
    const [ours = 0, theirs = 0] = [cpuMsOf(pid), cpuMsOf(node.pid ?? 0)].map(
      (after, index) => ((after - (before[index] ?? 0)) / idleMs) * 100,
    );
    const [memory, bare] = [memoryOf(pid), memoryOf(node.pid ?? 0)];
    const against = 'Node itself, idle';
    const dirty = memory.privateDirty;
    return [
      {
        ...{ name: 'idle: private dirty memory', unit: 'MB', ours: dirty, theirs: bare.privateDirty, against },
        ...{ target: 'at most 45 MB', met: dirty <= 45 },
      },
      { name: 'idle: resident memory', unit: 'MB', ours: memory.resident, theirs: bare.resident, against },
      {
        ...{ name: 'idle: processor over 30 s', unit: '% of a core', ours, theirs, against },
        ...{ target: 'below 0.3 %', met: ours < 0.3 },
      },
    ];
  } finally {
    node.kill('SIGKILL');
    await once(node, 'exit');
  }
}

/** Megabytes, of a thousand kilobytes each as the kernel counts them. */
export function memoryOf(pid: number): { privateDirty: number; resident: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1000;
  return { privateDirty: megabytes('Private_Dirty'), resident: megabytes('Rss') };
}

/** Milliseconds that all threads of a process have had a processor. */
function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ran = (thread: string) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return threads.reduce((sum, thread) => sum + ran(thread), 0) / 1e6;
}
