/** Puts together the one output that launch, control and remove share. */
import { bounds, cutLines, cutText } from '../contract/bounds.ts';
import type { Identity } from '../contract/identifiers.ts';
import { containerName, labels } from '../contract/names.ts';
import type { Cleanup, Endpoint, OciAdapterStatus, WorkloadOutput } from '../contract/workload-output.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import type { TaskContext } from './task-context.ts';

export interface Report {
  readonly state: WorkloadState;
  readonly summary: string;
  readonly container: ContainerFacts | undefined;
  readonly adapter?: Partial<Pick<OciAdapterStatus, 'adopted' | 'packages_excerpt' | 'image_digest'>>;
  readonly cleanup?: WorkloadOutput['cleanup'];
  readonly failure?: WorkloadOutput['failure'];
}

export function workloadOutput(identity: Identity, report: Report, context: TaskContext): WorkloadOutput {
  const { container } = report;
  const reference = `instance:${identity.app_instance_id}`;
  return {
    state: report.state,
    summary: report.summary,
    endpoints: container ? endpointsOf(container) : [],
    logs: container ? [{ name: 'container', ref: reference }] : [],
    metrics: container ? [{ name: 'container', ref: reference }] : [],
    events: context.events(),
    failure: report.failure ?? null,
    cleanup: report.cleanup ? cutCleanup(report.cleanup) : null,
    topology: null,
    adapter: {
      kind: 'oci_container',
      container_name: containerName(identity.app_instance_id),
      ...adapterStatus(container),
      adopted: false,
      packages_excerpt: null,
      ...report.adapter,
    },
  };
}

export function cutCleanup({ removed, kept, failed }: Cleanup): Cleanup {
  return { removed: cutLines(removed), kept: cutLines(kept), failed: cutLines(failed) };
}

export function adapterStatus(container: ContainerFacts | undefined) {
  return {
    container_id: word(container?.id),
    container_state: word(container?.status),
    health: word(container?.health),
    exit_code: container && container.status !== 'running' ? container.exitCode : null,
    oom_killed: container?.oomKilled ?? false,
    restart_count: container?.restartCount ?? 0,
    image_digest: word(container && digestOf(container.imageReference)),
    image_id: word(container?.imageId),
    gpus: gpusOf(container),
  };
}

/** Cards that the container holds, by UUID. */
export function gpusOf(container: Pick<ContainerFacts, 'labels'> | undefined): string[] {
  return (container?.labels[labels.gpus] ?? '').split(',').filter((uuid) => uuid !== '');
}

function word(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : cutText(text, bounds.word);
}

function digestOf(reference: string): string | undefined {
  return reference.split('@')[1];
}

/** The state of a container that nobody is busy with. */
export function stateOf({ status, health, exitCode, oomKilled }: ContainerFacts): WorkloadState {
  switch (status) {
    case 'running':
      return health === 'unhealthy' ? 'degraded' : 'running';
    case 'created':
      return 'stopped';
    case 'exited':
    case 'dead':
      return oomKilled || (exitCode !== 0 && exitCode !== null && !stoppedBySignal(exitCode)) ? 'failed' : 'stopped';
    default:
      return 'unknown';
  }
}

/** 128 + SIGTERM or SIGKILL: how a container ends that was asked to stop. */
function stoppedBySignal(exitCode: number): boolean {
  return exitCode === 143 || exitCode === 137;
}

/** The declared endpoints, from the label that the launch left on its container. */
export function endpointsOf(container: Pick<ContainerFacts, 'labels'>): Endpoint[] {
  const declared = container.labels[labels.endpoints];
  return (declared ? declared.split(',') : []).map((entry) => {
    const [name = '', protocol, port] = entry.split(':');
    const http = protocol === 'http';
    return {
      name,
      protocol: http ? 'http' : 'tcp',
      host: '127.0.0.1',
      port: Number(port),
      url: http ? `http://127.0.0.1:${port}/` : null,
      exposure_mode: 'private',
    };
  });
}
