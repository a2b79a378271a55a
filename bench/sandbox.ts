/**
 * What gVisor costs against runc: the same containers on one engine, one after the other, with a private engine that has both.
 *
 * The gVisor here is that of the test ground. What its network costs is not measured: it has the host's.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GVISOR_RUNTIME, gvisorFlag } from '../bootstrap/dev/gvisor.ts';
import { startPrivateEngine } from '../bootstrap/dev/private-engine.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 7;
const run = promisify(execFile);
const runtimes = ['runc', GVISOR_RUNTIME] as const;

/** Each prints milliseconds, taken within the container: its start is not part of them. */
const works = {
  'CPU work: primes up to 200,000 in Python': `
sieve = bytearray([1]) * 200_001
for n in range(2, 200_001):
    if sieve[n]:
        for m in range(2 * n, 200_001, n):
            sieve[m] = 0`,
  'one file of 128 MiB in a volume: written, brought to the disk, read': `
block = os.urandom(1 << 20)
with open("/data/large", "wb") as file:
    for _ in range(128):
        file.write(block)
    os.fsync(file.fileno())
with open("/data/large", "rb") as file:
    while file.read(1 << 20):
        pass
os.unlink("/data/large")`,
  '1,000 files of 4 KiB in a volume: written, listed, read, removed': `
for n in range(1000):
    with open(f"/data/{n}", "wb") as file:
        file.write(b"x" * 4096)
for name in os.listdir("/data"):
    with open(f"/data/{name}", "rb") as file:
        file.read()
    os.unlink(f"/data/{name}")`,
};

const start = 'container that starts Python and ends';

/** What is measured in both, in the order of the rows. */
export const sandboxWorks = [start, ...Object.keys(works)];
/** Before the name of each in its row. */
export const sandboxPrefix = 'gVisor: ';

/** `image` has Python. */
export async function sandboxCost(image: string): Promise<Measurement[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
  const engine = await startPrivateEngine(folder, { flags: [await gvisorFlag(folder)] });
  const docker = async (...args: string[]) =>
    (await run('docker', ['-H', `unix://${engine.socketPath}`, ...args])).stdout;
  const python = async (runtime: string, script: string) => {
    const limits = ['--user', '0', '--network', 'none', '--read-only', '-v', 'data:/data'];
    return await docker('run', '--rm', '--runtime', runtime, ...limits, image, 'python', '-c', script);
  };
  try {
    await docker('pull', '-q', image);
    const starts = await inTurn((runtime) => timed(() => python(runtime, 'pass')));
    const { stdout } = await run(join(folder, GVISOR_RUNTIME), ['--version']);
    const against = `runc; gVisor is ${stdout.split('\n')[0]}`;
    const measured = [pair(start, starts, against)];
    for (const [name, work] of Object.entries(works)) {
      const script = `import os, time\nstart = time.perf_counter()${work}\nprint((time.perf_counter() - start) * 1000)`;
      measured.push(pair(name, await inTurn(async (runtime) => Number(await python(runtime, script))), against));
    }
    return measured;
  } finally {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function inTurn(measure: (runtime: string) => Promise<number>): Promise<number[][]> {
  const values: number[][] = runtimes.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, runtime] of runtimes.entries()) values[index]?.push(await measure(runtime));
  }
  return values;
}

function pair(name: string, [runc = [], gvisor = []]: number[][], against: string): Measurement {
  return { name: `${sandboxPrefix}${name}`, unit: 'ms', ours: median(gvisor), theirs: median(runc), against };
}
