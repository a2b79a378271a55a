/**
 * What the containers of a workload say about themselves, for an agent that knows nothing of it any more (FAULTS 19). Pure.
 *
 * Labels that are sealed say what we need. Of a stack, how services depend on each other is in a label of Compose: from it
 * comes which of them have done their work with their end, and which are missing.
 */
import { labels } from '../../contract/names.ts';
import { readReadinessLabel } from '../../policy/readiness-label.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import { endpointsOf } from '../../tasks/workload-report.ts';
import type { KeptService, KeptStack, KeptWorkload } from '../journal/journal.ts';
import { stateOfStack } from './parts.ts';
import { restartFromLabels } from './restart-policy.ts';

/** Written by Compose as `db:service_healthy:false,init:service_completed_successfully:false`. */
const dependsOn = 'com.docker.compose.depends_on';
const completed = 'service_completed_successfully';

/** `containers`: all of one workload. */
export function rebuiltWorkload(containers: readonly ContainerFacts[], now: string): KeptWorkload | undefined {
  // What replaced the others, where an interrupted launch left both.
  const newest = containers.toSorted((a, b) => fencingOf(b) - fencingOf(a))[0];
  const id = newest?.labels[labels.instance];
  if (newest === undefined || id === undefined) {
    return undefined;
  }
  const services = containers.filter((each) => serviceOf(each) !== undefined);
  const isStack = serviceOf(newest) !== undefined;
  const own = isStack ? services : [newest];
  const isWanted = own.some(({ status }) => status === 'running');
  const whole: KeptWorkload = {
    workload_id: id,
    project_id: newest.labels[labels.project] ?? '',
    allocation_id: newest.labels[labels.allocation] ?? '',
    fencing: fencingOf(newest),
    task_id: newest.labels[labels.task] ?? '',
    params: null,
    restart: restartFromLabels(newest.labels),
    desired: isWanted ? 'running' : 'stopped',
    state: isWanted ? 'running' : 'stopped',
    since: sinceOf(newest) ?? now,
    endpoints: own.flatMap(endpointsOf),
    restarts: 0,
    streak: 0,
  };
  if (isStack) {
    const stack = stackOf(services, isWanted, now);
    return { ...whole, stack, state: stateOfStack({ ...whole, stack }) };
  }
  return { ...whole, ...readinessOf(newest) };
}

function stackOf(containers: readonly ContainerFacts[], isWanted: boolean, now: string): KeptStack {
  const needed = containers.flatMap(({ labels: of }) => dependencies(of[dependsOn]));
  const once = (service: string) => {
    const conditions = needed.filter((each) => each.service === service);
    return conditions.length > 0 && conditions.every(({ condition }) => condition === completed);
  };
  const services = containers.map((container): KeptService => {
    const service = serviceOf(container) ?? '';
    const { status, exitCode } = container;
    const hasEnded = status !== 'running';
    const isDone = hasEnded && once(service) && exitCode === 0;
    return {
      // One that is away while others run is found so by the first look, which knows what to do about it.
      ...{
        service,
        state: isDone || (hasEnded && !isWanted) ? 'stopped' : 'running',
        since: sinceOf(container) ?? now,
      },
      ...{ restarts: 0, streak: 0, ...(once(service) ? { once: true } : {}), ...readinessOf(container) },
    };
  });
  const there = new Set(services.map(({ service }) => service));
  const missing = [...new Set(needed.map(({ service }) => service).filter((service) => !there.has(service)))].sort();
  const sorted = services.toSorted((a, b) => (a.service < b.service ? -1 : 1));
  return { params: null, services: sorted, ...(missing.length > 0 ? { missing } : {}) };
}

function dependencies(label = ''): { readonly service: string; readonly condition: string }[] {
  const entries = label.split(',').filter((entry) => entry !== '');
  return entries.map((entry) => {
    const [service = '', condition = ''] = entry.split(':');
    return { service, condition };
  });
}

function serviceOf({ labels: of }: ContainerFacts): string | undefined {
  return of[labels.service];
}

function fencingOf({ labels: of }: ContainerFacts): number {
  return Number(of[labels.fencing] ?? 0);
}

function sinceOf({ status, startedAt, finishedAt }: ContainerFacts): string | null {
  return status === 'running' ? startedAt : finishedAt;
}

function readinessOf({ labels: of }: ContainerFacts): Pick<KeptService, 'readiness'> {
  const readiness = readReadinessLabel(of[labels.readiness]);
  return readiness ? { readiness } : {};
}
