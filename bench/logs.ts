/** Reading a log back, against `docker logs`. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestHost } from '../test/support/test-host.ts';
import { type Measurement, median, timed } from './measurement.ts';
import { remove, succeed } from './tasks.ts';

const run = promisify(execFile);

export async function logReadBack(host: TestHost, image: string): Promise<Measurement> {
  const lines = 50_000;
  const params = host.launchParams(image, {
    command: [
      `i=0; while [ $i -lt ${lines} ]; do echo "line $i of a log that is neither short nor long"; i=$((i+1)); done; touch /tmp/done; while :; do sleep 1; done`,
    ],
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.125 },
    readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/done'], timeout_seconds: 60 }],
    log_limits: { max_size_mib: 50, max_files: 1 },
  });
  await succeed(host, params);
  const name = `gpuaas-${params.identity.app_instance_id}`;
  const docker = (...args: string[]) =>
    run('docker', ['-H', `unix://${host.engineSocket}`, ...args], { maxBuffer: 2 ** 26 });
  // The engine writes a log down behind the program.
  while (!(await docker('logs', '--tail', '1', name)).stdout.startsWith(`line ${lines - 1} `));
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    ours.push(
      await timed(async () => {
        let count = 0;
        for await (const _entry of host.engine.logs(name, { follow: false, signal: AbortSignal.timeout(60_000) })) {
          count += 1;
        }
        if (count !== lines) {
          throw new Error(`read ${count} of ${lines} lines`);
        }
      }),
    );
    theirs.push(await timed(() => docker('logs', name)));
  }
  await remove(host, params);
  const against = 'docker logs';
  return { name: `log read-back, ${lines} lines`, unit: 'ms', ours: median(ours), theirs: median(theirs), against };
}
