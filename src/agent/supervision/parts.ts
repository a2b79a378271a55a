/**
 * What supervision looks after: the one container of a workload, or that of each service of a stack. Pure.
 *
 * A workload is as well as the worst of its parts:
 *
 *   all run ──▶ running       one is away and will come back ──▶ degraded
 *   none runs ──▶ stopped     one is given up ──▶ failed, whatever the others do
 *
 * A service that others only wait for to have done its work counts no more once it has.
 */
import { containerName, memberName } from '../../contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../../contract/workload-compose-launch.ts';
import type {
  Port,
  ReadinessCheck,
  RestartPolicy,
  WorkloadOciLaunchParams,
} from '../../contract/workload-oci-launch.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import { ownOf } from '../../policy/stack-service.ts';
import { servicesOfLaunch } from '../../tasks/stack-services.ts';
import type { KeptService, KeptStack, KeptWorkload } from '../journal/journal.ts';
import { restartOf } from './restart-policy.ts';
import { afterStart } from './sick-cards.ts';

/** Secrets of a launch, as they came. */
export type Sealed = Pick<WorkloadOciLaunchParams, 'sealed_env' | 'sealed_files'>;

/** One container of a workload, and what became of it. */
export interface Part
  extends Pick<KeptWorkload, 'workload_id' | 'desired' | 'state' | 'since' | 'restarts' | 'streak'> {
  /** Null for the container of a workload that is no stack. */
  readonly service: string | null;
  readonly container: string;
  /** Name under which the gate keeps its secret files. */
  readonly owner: string;
  readonly policy: RestartPolicy;
  /** Undefined where nobody knows them. */
  readonly readiness: readonly ReadinessCheck[] | undefined;
  /** Those that the checks may name. */
  readonly ports: readonly Pick<Port, 'name' | 'host_port'>[];
  /** Undefined where nobody knows them. */
  readonly sealed: Sealed | undefined;
  /** True for what has done its work when it ends with 0. */
  readonly once: boolean;
}

/** How a part is called in a sentence. */
export function nameOf({ service }: Pick<Part, 'service'>): string {
  return service === null ? 'workload' : `service ${service}`;
}

export function partsOf(row: KeptWorkload): Part[] {
  return row.stack
    ? row.stack.services.map((kept) => servicePart(row, row.stack?.params ?? null, kept))
    : [wholePart(row)];
}

function wholePart(row: KeptWorkload): Part {
  const { workload_id, desired, state, since, restarts, streak, params, endpoints } = row;
  return {
    ...{ workload_id, desired, state, since, restarts, streak },
    ...{ service: null, container: containerName(workload_id), owner: memberName(workload_id), once: false },
    policy: restartOf(row),
    readiness: params?.readiness ?? row.readiness,
    ports: params?.ports ?? portsOf(endpoints),
    sealed: params ? params : undefined,
  };
}

function servicePart(row: KeptWorkload, params: WorkloadComposeLaunchParams | null, kept: KeptService): Part {
  const { workload_id, desired, endpoints } = row;
  const { service, state, since, restarts, streak } = kept;
  const launched = params && servicesOfLaunch(params, new Map()).find(({ name }) => name === service);
  return {
    ...{ workload_id, desired, state, since, restarts, streak, service },
    ...{ container: containerName(workload_id, service), owner: memberName(workload_id, service) },
    policy: restartOf(row),
    readiness: launched?.checks ?? kept.readiness,
    ports: launched?.ports ?? portsOf(endpoints),
    sealed: params ? sealedOf(params, service) : undefined,
    once: launched?.mayEnd ?? kept.once ?? false,
  };
}

function portsOf(endpoints: KeptWorkload['endpoints']): Part['ports'] {
  return endpoints.map(({ name, port }) => ({ name, host_port: port }));
}

/** Every secret of the workload, of each of its services: any of them may stand in the log of another. */
export function secretsOf({ params, stack }: Pick<KeptWorkload, 'params' | 'stack'>): Sealed[] | undefined {
  const { params: of } = stack ?? {};
  if (of) {
    return Object.keys(of.document.services).map((service) => sealedOf(of, service));
  }
  return params ? [params] : undefined;
}

function sealedOf({ sealed_env, sealed_files }: WorkloadComposeLaunchParams, service: string): Sealed {
  const [env, files] = [ownOf(sealed_env, service), ownOf(sealed_files, service)];
  return { ...(env ? { sealed_env: env } : {}), ...(files ? { sealed_files: files } : {}) };
}

/** The row with that part in it, and the state of the whole that follows from it. */
export function withPart(row: KeptWorkload, part: Part): KeptWorkload {
  const { service, state, since, restarts, streak } = part;
  const before = partsOf(row).find(({ container }) => container === part.container);
  const isNew = restarts > (before?.restarts ?? restarts);
  const whole = isNew && row.sick_gpus ? { ...row, sick_gpus: afterStart(row.sick_gpus, service) } : row;
  if (!whole.stack) {
    return { ...whole, state, since, restarts, streak };
  }
  const services = whole.stack.services.map((kept) =>
    kept.service === service ? { ...kept, state, since, restarts, streak } : kept,
  );
  const stack = { ...whole.stack, services };
  const worst = stateOfStack({ ...whole, stack });
  return {
    ...{ ...whole, stack, state: worst, since: worst === row.state ? row.since : since },
    restarts: services.reduce((sum, kept) => sum + kept.restarts, 0),
  };
}

/** Worst of its services. */
export function stateOfStack(row: KeptWorkload & { readonly stack: KeptStack }): WorkloadState {
  const lasting = partsOf(row).filter(({ once, state }) => !(once && state === 'stopped'));
  const states = new Set(lasting.map(({ state }) => state));
  const [first = 'stopped', ...others] = states;
  if (states.has('failed')) {
    return 'failed';
  }
  const isWhole = row.stack.missing === undefined || first !== 'running';
  return others.length === 0 && isWhole ? first : 'degraded';
}
