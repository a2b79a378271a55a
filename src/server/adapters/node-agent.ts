/**
 * Adapter `node_agent`: one container on a host, through typed tasks of its agent.
 *
 * Nothing here comes from a request as text: names and shapes are the contract's, values passed the checks, and the agent
 * judges all of it again by its own policy. The cpu, memory and port limits of the container are the task's; which cards
 * it gets is the agent's to choose.
 */
import type { Identity } from '../../contract/identifiers.ts';
import type { ReadinessCheck, WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import type { AdapterInput, ExecutionAdapter } from './adapter.ts';

/** Pulling a large image over a slow line takes its time; readiness and packages have bounds of their own. */
const launchSeconds = 3600;
const controlSeconds = 900;
const readinessSeconds = 120;
const graceSeconds = 30;

export const nodeAgent: ExecutionAdapter = {
  engine: 'node_agent',
  needs: ['workload.oci_launch', 'workload.oci_control', 'workload.oci_remove'],
  launch: (input) => ({ type: 'workload.oci_launch', params: launchParams(input), deadline_seconds: launchSeconds }),
  control: (identity, action) => ({
    type: 'workload.oci_control',
    params: { identity, action, grace_seconds: graceSeconds },
    deadline_seconds: controlSeconds,
  }),
  remove: (identity, keepData) => removal(identity, keepData),
};

function removal(identity: Identity, keep_data: boolean): ReturnType<ExecutionAdapter['remove']> {
  const params = { identity, keep_data, grace_seconds: graceSeconds };
  return { type: 'workload.oci_remove', params, deadline_seconds: controlSeconds };
}

function launchParams(input: AdapterInput): WorkloadOciLaunchParams {
  const { identity, image, values, storage, exposure, sealed_files } = input;
  return {
    identity,
    image,
    env: environment(input),
    ...(Object.keys(sealed_files).length > 0 ? { sealed_files } : {}),
    resources: values.resources,
    mounts: storage.map(({ name, path, mode }) => ({ name, path, mode, read_only: false })),
    ports: exposure.map(({ endpoint, container_port, host_port, protocol }) => ({
      ...{ name: endpoint, container_port, host_port, protocol },
    })),
    python_packages: [...values.python_packages],
    readiness: readiness(input),
    sandbox: 'runc',
    restart: { policy: 'on_failure', max_retries: 3 },
    log_limits: { max_size_mib: 10, max_files: 3 },
  };
}

/** Parameters that the platform itself carries out; a workload learns of them by what it gets. */
const carriedOut = ['exposure_mode', 'host_port', 'gpu_count', 'cpu_cores', 'memory_gib', 'python_packages'];

/**
 * The profile's own variables, the files with tokens, and every other parameter as `GPUAAS_PARAM_<NAME>`: a parameter that
 * a profile declares and the platform gives no meaning is for the workload.
 */
function environment({ profile, values, exposure }: AdapterInput): Record<string, string> {
  const own = Object.entries(values.parameters)
    .filter(([name]) => !carriedOut.includes(name) && !/_(mount|host_port)$/.test(name))
    .map(([name, value]) => [`GPUAAS_PARAM_${name.toUpperCase()}`, String(value)]);
  const tokens = exposure.flatMap(({ token }) => (token?.env ? [[token.env, token.path]] : []));
  return { ...Object.fromEntries(own), ...profile.execution.container_env, ...Object.fromEntries(tokens) };
}

/** An app that says nothing of its readiness is ready when its endpoints accept connections. */
function readiness({ profile, exposure }: AdapterInput): ReadinessCheck[] {
  const declared = profile.validation?.readiness ?? [];
  return declared.length > 0
    ? declared.map(({ endpoint, path, timeout_seconds = readinessSeconds }) => ({
        ...{ type: 'http' as const, endpoint, path, timeout_seconds },
      }))
    : exposure.map(({ endpoint }) => ({ type: 'tcp' as const, endpoint, timeout_seconds: readinessSeconds }));
}
