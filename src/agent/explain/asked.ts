/** What a task asks for, in a few lines for people. Never a value of an environment variable or of a file. */
import type { WorkloadOciControlParams } from '../../contract/workload-oci-control.ts';
import type { WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import type { WorkloadOciRemoveParams } from '../../contract/workload-oci-remove.ts';

/** For params that passed their schema; anything else says nothing. */
export function askedFor(type: string, params: unknown): string[] {
  switch (type) {
    case 'workload.oci_launch':
      return launch(params as WorkloadOciLaunchParams);
    case 'workload.oci_control': {
      const { action, grace_seconds } = params as WorkloadOciControlParams;
      return [action === 'start' ? action : `${action}, with ${grace_seconds} s of grace`];
    }
    case 'workload.oci_remove':
      return [(params as WorkloadOciRemoveParams).keep_data ? 'its data stays' : 'its data goes as well'];
    default:
      return [];
  }
}

function launch(params: WorkloadOciLaunchParams): string[] {
  const { identity, image, resources, ports, python_packages, readiness, restart, sandbox } = params;
  const { gpu_count, cpu_cores, memory_gib } = resources;
  const cards = gpu_count === 0 ? '' : `, ${gpu_count} ${gpu_count === 1 ? 'GPU' : 'GPUs'}`;
  const checks = readiness.map(({ type, timeout_seconds }) => `${type} within ${timeout_seconds} s`);
  return [
    `app ${identity.app_slug} ${identity.app_version}, for project ${identity.project_id}`,
    `image ${image.kind === 'registry' ? image.reference : `${image.image_id} of this host`}`,
    `${cpu_cores} ${cpu_cores === 1 ? 'core' : 'cores'}, ${memory_gib} GiB of memory${cards}, sandbox ${sandbox}`,
    ...listed(
      'ports',
      ports.map(({ name, host_port, container_port }) => `${name} 127.0.0.1:${host_port} to ${container_port}`),
    ),
    ...listed('packages', python_packages),
    ...listed('ready when', checks),
    `restart ${restart.policy.replaceAll('_', ' ')}${restart.policy === 'no' ? '' : `, ${restart.max_retries} times at most`}`,
  ];
}

function listed(what: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`${what} ${items.join(', ')}`];
}
