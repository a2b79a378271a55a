/** What the tasks of every adapter say alike: deadlines, readiness, environment, and what becomes of a workload that ends. */

import type { Static } from 'typebox';
import type { HttpReadiness, LogLimits, RestartPolicy, TcpReadiness } from '../../contract/workload-oci-launch.ts';
import type { AdapterInput, ExposureDecision, SecretDecision } from './adapter.ts';

/** Pulling a large image over a slow line takes its time; readiness and packages have bounds of their own. */
const pullSeconds = 3600;
export const removeSeconds = 900;
const stopSeconds = 900;
export const graceSeconds = 30;
const readinessSeconds = 120;

export const restart: Static<typeof RestartPolicy> = { policy: 'on_failure', max_retries: 3 };
export const logLimits: Static<typeof LogLimits> = { max_size_mib: 10, max_files: 3 };

/** Values of a launch. */
type Parameters = Readonly<Record<string, unknown>>;

/** Seconds until a launch is given up. */
export function launchSeconds(parameters: Parameters): number {
  return pullSeconds + (startTimeout(parameters) ?? 0);
}

/** Seconds until stop, start or restart is given up: what was started may take as long to get ready as after a launch. */
export function controlSeconds(parameters: Parameters): number {
  return stopSeconds + (startTimeout(parameters) ?? 0);
}

/** How long it may take to become ready, where a parameter says it. */
export function startTimeout(parameters: Parameters): number | undefined {
  const seconds = parameters['start_timeout_seconds'];
  return typeof seconds === 'number' ? seconds : undefined;
}

type EndpointReadiness = Static<typeof HttpReadiness> | Static<typeof TcpReadiness>;

/** An app that says nothing of its readiness is ready when its endpoints accept connections. */
export function readiness({ profile, exposure, values }: AdapterInput): EndpointReadiness[] {
  const declared = profile.validation?.readiness ?? [];
  const bound = startTimeout(values.parameters);
  return declared.length > 0
    ? declared.map(({ endpoint, path, bearer_env, timeout_seconds = readinessSeconds }) => ({
        ...{ type: 'http' as const, endpoint, path, timeout_seconds: bound ?? timeout_seconds },
        ...(bearer_env === undefined ? {} : { bearer_env }),
      }))
    : exposure.map(({ endpoint }) => ({
        ...{ type: 'tcp' as const, endpoint, timeout_seconds: bound ?? readinessSeconds },
      }));
}

/** Parameters that the platform itself carries out; a workload learns of them by what it gets. */
const carriedOut = [
  ...['exposure_mode', 'host_port', 'gpu_count', 'cpu_cores', 'memory_gib', 'python_packages'],
  ...['shm_gib', 'start_timeout_seconds'],
];

/**
 * The profile's own variables, and every other parameter as `GPUAAS_PARAM_<NAME>`: a parameter that a profile declares and
 * the platform gives no meaning is for the workload. `known` ones have one.
 */
export function environment({ profile, values }: AdapterInput, known: readonly string[] = []): Record<string, string> {
  const own = Object.entries(values.parameters)
    .filter(([name]) => !carriedOut.includes(name) && !known.includes(name) && !/_(mount|host_port)$/.test(name))
    .map(([name, value]) => [`GPUAAS_PARAM_${name.toUpperCase()}`, String(value)]);
  return { ...Object.fromEntries(own), ...profile.execution.container_env };
}

/** The variables that name the files with secrets, and those that go with them. */
export function secretPaths(
  exposure: readonly ExposureDecision[],
  secrets: readonly SecretDecision[],
): Record<string, string> {
  const files = [...exposure.flatMap(({ token }) => token ?? []), ...secrets];
  const named = files.flatMap(({ path, env }) => (env === null || path === null ? [] : [[env, path]]));
  return Object.assign(Object.fromEntries(named), ...secrets.map(({ beside }) => beside));
}
