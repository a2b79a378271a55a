/** A stack that a real host can run. */
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { TestHost } from './test-host.ts';

/** What is changed of `web` and of `db`. */
export type Services = Readonly<Record<string, Partial<WorkloadComposeLaunchParams['document']['services'][string]>>>;

/** `web` waits for `db`; both sleep unless told otherwise. */
export function stackLaunchParams(
  host: Pick<TestHost, 'launchParams'>,
  image: string,
  services: Services = {},
  over: Partial<WorkloadComposeLaunchParams> = {},
): WorkloadComposeLaunchParams {
  const { identity, entrypoint = [], command = [] } = host.launchParams(image);
  const usual = { image, entrypoint, command, cpus: 0.1, mem_limit: 2 ** 26 };
  return {
    identity,
    document: {
      services: {
        web: { ...usual, depends_on: { db: { condition: 'service_started' } }, ...services['web'] },
        db: { ...usual, ...services['db'] },
      },
    },
    topology: {
      description: 'A page and its store.',
      services: ['web', 'db'].map((name) => ({ name, role: name, endpoints: [], mounts: [] })),
    },
    ...{ readiness: [], sandbox: 'runc', restart: { policy: 'on_failure', max_retries: 3 } },
    log_limits: { max_size_mib: 1, max_files: 2 },
    ...over,
  };
}
