/** Puts together the output that launch, control and remove of a stack share. */
import type { Identity } from '../contract/identifiers.ts';
import { composeProject, containerName } from '../contract/names.ts';
import type { StackTopology } from '../contract/stack-topology.ts';
import type { Cleanup, StackOutput } from '../contract/workload-output.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import type { FoundStack } from './find-stack.ts';
import type { TaskContext } from './task-context.ts';
import { adapterStatus, cutCleanup, endpointsOf, stateOf } from './workload-report.ts';

export interface StackReport {
  readonly state: WorkloadState;
  readonly summary: string;
  readonly topology: StackTopology;
  /** What is there now. */
  readonly found: FoundStack;
  readonly adopted?: boolean;
  readonly composeVersion?: string | null;
  readonly cleanup?: Cleanup;
  readonly failure?: StackOutput['failure'];
}

export function stackOutput(identity: Identity, report: StackReport, context: TaskContext): StackOutput {
  const { found, topology, state } = report;
  const instance = identity.app_instance_id;
  const there = topology.services.filter(({ name }) => found.has(name)).map(({ name }) => name);
  const references = [
    ...(there.length > 0 ? [{ name: 'stack', ref: `instance:${instance}` }] : []),
    ...there.map((name) => ({ name, ref: `service:${instance}/${name}` })),
  ];
  return {
    ...{ state, summary: report.summary, logs: references, metrics: references, events: context.events() },
    endpoints: topology.services.flatMap(({ name }) => {
      const container = found.get(name);
      return container ? endpointsOf(container) : [];
    }),
    failure: report.failure ?? null,
    cleanup: report.cleanup ? cutCleanup(report.cleanup) : null,
    topology: {
      description: topology.description,
      services: topology.services.map((service) => {
        const container = found.get(service.name);
        // Of a stack that was stopped none has failed, whatever it ended with.
        return { ...service, state: container && state !== 'stopped' ? stateOf(container) : state };
      }),
    },
    adapter: {
      kind: 'compose_stack',
      project: composeProject(instance),
      compose_version: report.composeVersion ?? null,
      adopted: report.adopted ?? false,
      services: topology.services.map(({ name }) => ({
        ...{ service: name, container_name: containerName(instance, name) },
        ...adapterStatus(found.get(name)),
      })),
    },
  };
}

/** Of the stack as a whole, from its containers: as bad as the worst of them. `complete` says who may have ended. */
export function stateOfStack(found: FoundStack, mayEnd: (service: string) => boolean): WorkloadState {
  const states = [...found]
    .filter(([service, container]) => !(mayEnd(service) && container.exitCode === 0))
    .map(([, container]) => stateOf(container));
  const all = (state: WorkloadState) => states.every((each) => each === state);
  if (states.length === 0 || all('stopped')) {
    return 'stopped';
  }
  if (all('running')) {
    return 'running';
  }
  return states.some((state) => state === 'running' || state === 'degraded') ? 'degraded' : 'failed';
}
