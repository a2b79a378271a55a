/** Tasks as the benchmarks need them: those that succeed. */
import type { WorkloadOutput } from '../src/contract/workload-output.ts';
import type { LaunchParams, TestHost } from '../test/support/test-host.ts';

export async function succeed(host: TestHost, params: LaunchParams): Promise<WorkloadOutput> {
  const result = await host.run('workload.oci_launch', params);
  if (result.status !== 'succeeded') {
    throw new Error(`the launch ${result.status}: ${JSON.stringify(result.failure)}`);
  }
  return result.output as WorkloadOutput;
}

export async function remove(host: TestHost, { identity }: LaunchParams): Promise<void> {
  await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 });
}
