/**
 * The task types, each with the schemas of its params and its output. A type that is listed here and has no handler
 * does not compile (`src/tasks/index.ts`); one that has no fixture, test or docs fails a test.
 */
import type { Static } from 'typebox';
import { AgentCollectDiagnosticsOutput, AgentCollectDiagnosticsParams } from './agent-collect-diagnostics.ts';
import { AgentDrainOutput, AgentDrainParams } from './agent-drain.ts';
import { AgentRotateKeysOutput, AgentRotateKeysParams } from './agent-rotate-keys.ts';
import { AgentSelfUpdateOutput, AgentSelfUpdateParams } from './agent-self-update.ts';
import { AgentWipeOutput, AgentWipeParams } from './agent-wipe.ts';
import { JobTaskOutput } from './job-output.ts';
import { WorkloadComposeControlParams } from './workload-compose-control.ts';
import { WorkloadComposeLaunchParams } from './workload-compose-launch.ts';
import { WorkloadComposeRemoveParams } from './workload-compose-remove.ts';
import { WorkloadJobControlParams } from './workload-job-control.ts';
import { WorkloadJobLaunchParams } from './workload-job-launch.ts';
import { WorkloadJobRemoveParams } from './workload-job-remove.ts';
import { WorkloadOciControlParams } from './workload-oci-control.ts';
import { WorkloadOciLaunchParams } from './workload-oci-launch.ts';
import { WorkloadOciRemoveParams } from './workload-oci-remove.ts';
import { WorkloadOciRuntimeStatusOutput, WorkloadOciRuntimeStatusParams } from './workload-oci-runtime-status.ts';
import { StackOutput, WorkloadOutput } from './workload-output.ts';

export const taskSchemas = {
  'workload.oci_runtime_status': {
    version: 1,
    /** A type that changes nothing needs no identity and takes no fencing. */
    mutates: false,
    params: WorkloadOciRuntimeStatusParams,
    output: WorkloadOciRuntimeStatusOutput,
  },
  'workload.oci_launch': { version: 1, mutates: true, params: WorkloadOciLaunchParams, output: WorkloadOutput },
  'workload.oci_control': { version: 1, mutates: true, params: WorkloadOciControlParams, output: WorkloadOutput },
  'workload.oci_remove': { version: 1, mutates: true, params: WorkloadOciRemoveParams, output: WorkloadOutput },
  'workload.compose_launch': { version: 1, mutates: true, params: WorkloadComposeLaunchParams, output: StackOutput },
  'workload.compose_control': { version: 1, mutates: true, params: WorkloadComposeControlParams, output: StackOutput },
  'workload.compose_remove': { version: 1, mutates: true, params: WorkloadComposeRemoveParams, output: StackOutput },
  'workload.job_launch': { version: 1, mutates: true, params: WorkloadJobLaunchParams, output: JobTaskOutput },
  'workload.job_control': { version: 1, mutates: true, params: WorkloadJobControlParams, output: JobTaskOutput },
  'workload.job_remove': { version: 1, mutates: true, params: WorkloadJobRemoveParams, output: JobTaskOutput },
  'agent.drain': { version: 1, mutates: true, params: AgentDrainParams, output: AgentDrainOutput },
  'agent.collect_diagnostics': {
    ...{ version: 1, mutates: false },
    ...{ params: AgentCollectDiagnosticsParams, output: AgentCollectDiagnosticsOutput },
  },
  'agent.self_update': { version: 1, mutates: true, params: AgentSelfUpdateParams, output: AgentSelfUpdateOutput },
  'agent.wipe': { version: 1, mutates: true, params: AgentWipeParams, output: AgentWipeOutput },
  'agent.rotate_keys': { version: 1, mutates: true, params: AgentRotateKeysParams, output: AgentRotateKeysOutput },
} as const;

export type TaskType = keyof typeof taskSchemas;
export const taskTypes = Object.keys(taskSchemas) as TaskType[];
export type TaskParams<T extends TaskType> = Static<(typeof taskSchemas)[T]['params']>;
export type TaskOutput<T extends TaskType> = Static<(typeof taskSchemas)[T]['output']>;

const launches = ['workload.oci_launch', 'workload.compose_launch', 'workload.job_launch'] as const;

/** True for a type that brings a workload to a host. */
export function isLaunch(type: string): type is (typeof launches)[number] {
  return (launches as readonly string[]).includes(type);
}

/** The workload that params are about: an instance or a job; undefined for those about the host. */
export function workloadOf(params: TaskParams<TaskType>): string | undefined {
  if (!('identity' in params)) return undefined;
  return 'job_id' in params.identity ? params.identity.job_id : params.identity.app_instance_id;
}

export function isTaskType(type: string): type is TaskType {
  return Object.hasOwn(taskSchemas, type);
}
