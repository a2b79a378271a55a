/**
 * Decides whether a workload still fits on this host, by what workloads are promised and not by what they use.
 *
 * Two launches at once must not both get the last core: the list of containers is read and judged for one at a time,
 * and what was granted counts until its container shows up in that list.
 */
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import type { Resources } from '../contract/workload-oci-launch.ts';
import { type HostTotals, readTotals } from '../host/resources.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine, ContainerSummary } from '../runtime/engine.ts';

export interface Amount {
  readonly total: number;
  readonly reserved: number;
  readonly used: number;
  /** Never below 0. */
  readonly free: number;
}

export interface HostResources {
  /** Cores. */
  readonly cpu: Amount;
  /** Bytes. */
  readonly memory: Amount;
}

/** What an instance was granted and no container shows yet. */
interface Grant {
  readonly instance: string;
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

type Promised = Pick<Grant, 'cpuCores' | 'memoryBytes'>;
type Reserves = Pick<HostPolicy['reserves'], 'cpu_cores' | 'memory_gib'>;

/** Gives the grant back. Call it once the container exists or the launch has failed; a second call does nothing. */
export type Release = () => void;

export interface AdmissionOptions {
  readonly engine: Pick<ContainerEngine, 'list'>;
  readonly policy: { readonly reserves: Reserves };
  /** What the host has; read each time, as processors come and go. */
  readonly totals?: () => Promise<HostTotals>;
}

const gib = 2 ** 30;
/** What sums of fractions may be off by, in cores; the engine counts in billionths. */
const tolerance = 1e-6;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #turns = new KeyedMutex();
  readonly #grants = new Set<Grant>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Keeps the resources for a launch, or fails with `resources.exceeded`. What the instance itself has now does not
   * count against it: a relaunch replaces it. `engine` is asked in place of the usual one: a launch has one that waits
   * while it is away.
   */
  async reserve(
    instance: string,
    resources: Pick<Resources, 'cpu_cores' | 'memory_gib'>,
    signal: AbortSignal,
    engine = this.#options.engine,
  ): Promise<Release> {
    return await this.#turns.run('host', async () => {
      signal.throwIfAborted();
      admit(resources, await this.#read(signal, engine, instance));
      const grant = { instance, cpuCores: resources.cpu_cores, memoryBytes: resources.memory_gib * gib };
      this.#grants.add(grant);
      return () => void this.#grants.delete(grant);
    });
  }

  /** Fails with `resources.exceeded` if the resources could not be had even on an empty host. */
  async assertPossible(resources: Pick<Resources, 'cpu_cores' | 'memory_gib'>): Promise<void> {
    const { policy, totals = () => readTotals() } = this.#options;
    admit(resources, freeResources([], await totals(), policy.reserves));
  }

  /** What is left now, grants included. */
  async read(signal: AbortSignal): Promise<HostResources> {
    return await this.#read(signal, this.#options.engine);
  }

  async #read(signal: AbortSignal, engine: AdmissionOptions['engine'], except?: string): Promise<HostResources> {
    // Taken before the list: a grant that is given back while the engine answers may not be in that answer yet.
    const grants = [...this.#grants].filter(({ instance }) => instance !== except);
    const { policy, totals = () => readTotals() } = this.#options;
    const [containers, host] = await Promise.all([engine.list(signal), totals()]);
    const others = containers.filter((container) => except === undefined || instanceOf(container) !== except);
    return freeResources(others, host, policy.reserves, grants);
  }
}

/** What is left for launches: the total, less what the system keeps, less what each workload is promised. */
export function freeResources(
  containers: readonly ContainerSummary[],
  totals: HostTotals,
  reserves: Reserves,
  grants: readonly Grant[] = [],
): HostResources {
  const promised = promisesOf(containers, grants);
  const sum = (pick: (promise: Promised) => number) => promised.reduce((total, promise) => total + pick(promise), 0);
  return {
    cpu: amount(
      totals.cpuCores,
      reserves.cpu_cores,
      sum(({ cpuCores }) => cpuCores),
    ),
    memory: amount(
      totals.memoryBytes,
      reserves.memory_gib * gib,
      sum(({ memoryBytes }) => memoryBytes),
    ),
  };
}

/** Fails with `resources.exceeded` where the free amounts do not cover what is asked for. */
export function admit(asked: Pick<Resources, 'cpu_cores' | 'memory_gib'>, { cpu, memory }: HostResources): void {
  const free = { cpu_cores: roundDown(cpu.free), memory_gib: roundDown(memory.free / gib) };
  const lacking = [
    ...(asked.cpu_cores > cpu.free + tolerance
      ? [{ key: 'cpu_cores', text: `${asked.cpu_cores} cores, ${free.cpu_cores} free` }]
      : []),
    ...(asked.memory_gib * gib > memory.free
      ? [{ key: 'memory_gib', text: `${asked.memory_gib} GiB of memory, ${free.memory_gib} free` }]
      : []),
  ];
  if (lacking.length > 0) {
    throw new AgentError('resources.exceeded', {
      reason: `Asked for ${lacking.map(({ text }) => text).join(', and for ')}.`,
      errors: lacking.map(({ key }) => ({
        ...{ path: `/params/resources/${key}`, code: 'maximum', message: 'is more than is free' },
      })),
      asked: { cpu_cores: asked.cpu_cores, memory_gib: asked.memory_gib },
      free,
    });
  }
}

/** Three decimals, never more than there is. */
export function roundDown(value: number): number {
  return Math.floor(value * 1000 + tolerance) / 1000;
}

function amount(total: number, reserved: number, used: number): Amount {
  return { total, reserved, used, free: Math.max(0, total - reserved - used) };
}

/** A container that ended holds nothing; one that was created is about to start. */
const holdsNothing = new Set(['exited', 'dead', 'removing']);

/**
 * The containers of a stack hold their sum. An instance with both containers and a grant is being replaced: the larger of the
 * two counts.
 */
function promisesOf(containers: readonly ContainerSummary[], grants: readonly Grant[]): Promised[] {
  const promises = new Map<string, Promised>();
  const add = (key: string, { cpuCores, memoryBytes }: Promised, join: (a: number, b: number) => number) => {
    const known = promises.get(key) ?? { cpuCores: 0, memoryBytes: 0 };
    promises.set(key, {
      cpuCores: join(known.cpuCores, cpuCores),
      memoryBytes: join(known.memoryBytes, memoryBytes),
    });
  };
  for (const container of containers.filter(({ status }) => !holdsNothing.has(status))) {
    add(instanceOf(container) ?? container.id, container, (a, b) => a + b);
  }
  for (const grant of grants) {
    add(grant.instance, grant, Math.max);
  }
  return [...promises.values()];
}

function instanceOf(container: ContainerSummary): string | undefined {
  return container.labels[labels.instance];
}
