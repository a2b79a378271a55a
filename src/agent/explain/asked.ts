/** What a task asks for, in a few lines for people. Never a value of an environment variable or of a file. */

import { imageName, type JobPlan } from '../../contract/job-plan.ts';
import type { WorkloadComposeLaunchParams } from '../../contract/workload-compose-launch.ts';
import type { WorkloadOciControlParams } from '../../contract/workload-oci-control.ts';
import type { WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import type { WorkloadOciRemoveParams } from '../../contract/workload-oci-remove.ts';

/** For params that passed their schema; anything else says nothing. */
export function askedFor(type: string, params: unknown): string[] {
  switch (type) {
    case 'workload.oci_launch':
      return launch(params as WorkloadOciLaunchParams);
    case 'workload.compose_launch':
      return launchStack(params as WorkloadComposeLaunchParams);
    case 'workload.compose_control':
    case 'workload.oci_control': {
      const { action, grace_seconds } = params as WorkloadOciControlParams;
      return [action === 'start' ? action : `${action}, with ${grace_seconds} s of grace`];
    }
    case 'workload.compose_remove':
    case 'workload.oci_remove':
      return [(params as WorkloadOciRemoveParams).keep_data ? 'its data stays' : 'its data goes as well'];
    case 'workload.job_launch':
      return job(params as JobPlan);
    case 'workload.job_control':
      return ['cancel'];
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

function launchStack({ identity, document, readiness, restart, sandbox }: WorkloadComposeLaunchParams): string[] {
  const services = Object.entries(document.services);
  return [
    `app ${identity.app_slug} ${identity.app_version}, for project ${identity.project_id}`,
    ...services.map(([name, { image, cpus, mem_limit, ports = [], deploy }]) => {
      const cards = deploy?.resources.reservations.devices[0]?.count ?? 0;
      const served = ports.map((port) => `${port.name} 127.0.0.1:${port.published} to ${port.target}`);
      const held = `${cpus} ${cpus === 1 ? 'core' : 'cores'}, ${Math.round((mem_limit / 2 ** 30) * 1000) / 1000} GiB of memory${cards ? `, ${cards} GPUs` : ''}`;
      return [`service ${name}: image ${image}`, held, ...served].join(', ');
    }),
    ...listed(
      'ready when',
      readiness.map(({ type, endpoint, timeout_seconds }) => `${endpoint} by ${type} within ${timeout_seconds} s`),
    ),
    `sandbox ${sandbox}, restart ${restart.policy.replaceAll('_', ' ')}`,
  ];
}

const howToGet = { registry: '', build: 'built from ', payload: 'downloaded by ' } as const;

function job({ identity, images, steps, inputs, outputs, resources, deadline_seconds }: JobPlan): string[] {
  const { gpu_count, cpu_cores, memory_gib } = resources;
  return [
    `job ${identity.display_name} (${identity.dialect}), for project ${identity.project_id}`,
    ...images.map(({ id, source }) => `image ${id}: ${howToGet[source.kind]}${imageName(source)}`),
    `${cpu_cores} cores, ${memory_gib} GiB of memory, ${gpu_count} GPUs, ${deadline_seconds} s at most`,
    ...listed(
      'steps',
      steps.map(({ id, group }) => (id === group ? id : `${id} of ${group}`)),
    ),
    ...listed(
      'inputs',
      inputs.map(({ id, source }) => `${id} by ${source.kind}`),
    ),
    ...listed(
      'outputs',
      outputs.map(({ name }) => name),
    ),
  ];
}

function listed(what: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`${what} ${items.join(', ')}`];
}
