/** The registry of task handlers. A type without a handler does not compile. */
import type { TaskType } from '../contract/tasks.ts';
import { collectDiagnostics } from './agent-collect-diagnostics.ts';
import { drainAgent } from './agent-drain.ts';
import { rotateAgentKeys } from './agent-rotate-keys.ts';
import { updateAgent } from './agent-self-update.ts';
import { wipeAgent } from './agent-wipe.ts';
import type { TaskHandler } from './task-context.ts';
import { controlStack } from './workload-compose-control.ts';
import { launchStack } from './workload-compose-launch.ts';
import { removeStack } from './workload-compose-remove.ts';
import { controlJob } from './workload-job-control.ts';
import { launchJob } from './workload-job-launch.ts';
import { removeJob } from './workload-job-remove.ts';
import { controlOci } from './workload-oci-control.ts';
import { launchOci } from './workload-oci-launch.ts';
import { removeOci } from './workload-oci-remove.ts';
import { probeRuntimeStatus } from './workload-oci-runtime-status.ts';

export const taskHandlers: { [T in TaskType]: TaskHandler<T> } = {
  'workload.oci_runtime_status': probeRuntimeStatus,
  'workload.oci_launch': launchOci,
  'workload.oci_control': controlOci,
  'workload.oci_remove': removeOci,
  'workload.compose_launch': launchStack,
  'workload.compose_control': controlStack,
  'workload.compose_remove': removeStack,
  'workload.job_launch': launchJob,
  'workload.job_control': controlJob,
  'workload.job_remove': removeJob,
  'agent.drain': drainAgent,
  'agent.collect_diagnostics': collectDiagnostics,
  'agent.self_update': updateAgent,
  'agent.wipe': wipeAgent,
  'agent.rotate_keys': rotateAgentKeys,
};
