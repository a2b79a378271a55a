/**
 * Adapter `node_agent`: one container on a host, through typed tasks of its agent.
 *
 * Nothing here comes from a request as text: names and shapes are the contract's, values passed the checks, and the agent
 * judges all of it again by its own policy. The cpu, memory and port limits of the container are the task's; which cards
 * it gets is the agent's to choose.
 */
import type { WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import type { AdapterInput, ExecutionAdapter } from './adapter.ts';
import {
  controlSeconds,
  environment,
  graceSeconds,
  launchSeconds,
  logLimits,
  readiness,
  removeSeconds,
  restart,
  secretPaths,
} from './workload-params.ts';

export const nodeAgent: ExecutionAdapter = {
  engine: 'node_agent',
  needs: ['workload.oci_launch', 'workload.oci_control', 'workload.oci_remove'],
  needsCompose: false,
  launch: (input) => ({
    ...{
      type: 'workload.oci_launch',
      params: launchParams(input),
      deadline_seconds: launchSeconds(input.values.parameters),
    },
  }),
  control: (identity, action, parameters) => ({
    type: 'workload.oci_control',
    params: { identity, action, grace_seconds: graceSeconds },
    deadline_seconds: controlSeconds(parameters),
  }),
  remove: (identity, keep_data) => ({
    type: 'workload.oci_remove',
    params: { identity, keep_data, grace_seconds: graceSeconds },
    deadline_seconds: removeSeconds,
  }),
};

function launchParams(input: AdapterInput): WorkloadOciLaunchParams {
  const { identity, image, values, storage, exposure, secrets, sealed_files, sealed_env } = input;
  const shm = values.parameters['shm_gib'];
  return {
    identity,
    image,
    env: { ...environment(input), ...secretPaths(exposure, secrets) },
    ...(Object.keys(sealed_env).length > 0 ? { sealed_env } : {}),
    ...(Object.keys(sealed_files).length > 0 ? { sealed_files } : {}),
    resources: { ...values.resources, ...(typeof shm === 'number' ? { shm_gib: shm } : {}) },
    mounts: storage.map(({ name, path, mode }) => ({ name, path, mode, read_only: false })),
    ports: exposure.map(({ endpoint, container_port, host_port, protocol }) => ({
      ...{ name: endpoint, container_port, host_port, protocol },
    })),
    python_packages: [...values.python_packages],
    readiness: readiness(input),
    sandbox: 'runc',
    restart,
    log_limits: logLimits,
  };
}
