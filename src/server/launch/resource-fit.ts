/** What of an allocation is promised to its instances already, and what a launch may still have. */
import type { InstanceState } from '../../contract/instance-state.ts';
import type { Shape } from '../db/entities/allocation.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';
import { hasNothingLeft } from '../instances/nothing-left.ts';
import type { DiskClaim } from '../jobs/held-disk.ts';

/** What else has something of an allocation: instances, and jobs that are at work. */
export type Neighbour = Pick<
  AppInstance,
  'id' | 'display_name' | 'resources' | 'host_ports' | 'state' | 'desired' | 'failure' | 'history'
> & {
  /** Of a job. */
  readonly disk?: DiskClaim;
};

/** In these states nothing runs and nothing is about to: cores and memory are free again. */
const idle: ReadonlySet<InstanceState> = new Set(['stopped', 'failed', 'decommissioned']);
/** A stopped instance keeps its port, so that its address is the same when it starts again. */
const portless: ReadonlySet<InstanceState> = new Set(['failed', 'decommissioned']);

const names = ['gpu_count', 'cpu_cores', 'memory_gib'] as const;
/** As people say them. */
export const amountWords = { gpu_count: 'GPUs', cpu_cores: 'Cores', memory_gib: 'GiB of memory' } as const;
export type Amounts = Pick<Shape, (typeof names)[number]>;

/** A container holds its cards until it is removed, whether it runs or not. */
export function holdsCards(instance: Neighbour): boolean {
  return instance.state !== 'decommissioned' && !hasNothingLeft(instance);
}

export function promised(instances: readonly Neighbour[]): Amounts {
  const sum = { gpu_count: 0, cpu_cores: 0, memory_gib: 0 };
  for (const instance of instances) {
    const { resources, state } = instance;
    if (holdsCards(instance)) sum.gpu_count += resources.gpu_count;
    if (idle.has(state)) continue;
    sum.cpu_cores += resources.cpu_cores;
    sum.memory_gib += resources.memory_gib;
  }
  return sum;
}

/**
 * Name, wish and free amount of everything that does not fit; what is not known to be wanted fits. An instance whose host
 * cannot say whether it runs counts as running. `isUnsure` where only such instances stand in the way of something: what is
 * missing then is the word of the host.
 */
export function misfits(wanted: Partial<Amounts>, shape: Amounts, instances: readonly Neighbour[]) {
  const known = instances.filter(({ state }) => state !== 'unknown');
  const sure = new Set(beyond(wanted, shape, known).map(({ name }) => name));
  const all = beyond(wanted, shape, instances);
  const certain = all.filter(({ name }) => sure.has(name));
  return { certain, isUnsure: certain.length < all.length };
}

/** What of a shape is promised to nobody. */
export function left(shape: Amounts, instances: readonly Neighbour[]): Amounts {
  const taken = promised(instances);
  const free = (name: keyof Amounts) => Math.max(0, shape[name] - taken[name]);
  return { gpu_count: free('gpu_count'), cpu_cores: free('cpu_cores'), memory_gib: free('memory_gib') };
}

function beyond(wanted: Partial<Amounts>, shape: Amounts, instances: readonly Neighbour[]) {
  const nobodys = left(shape, instances);
  return names.flatMap((name) => {
    const free = nobodys[name];
    const amount = wanted[name] ?? 0;
    return amount > free ? [{ name, wanted: amount, free, total: shape[name] }] : [];
  });
}

/** Host ports that instances of the allocation hold, with the name of the instance. */
export function takenPorts(instances: readonly Neighbour[]): Map<number, string> {
  return new Map(
    instances
      .filter(({ state }) => !portless.has(state))
      .flatMap(({ host_ports, display_name }) =>
        Object.values(host_ports).map((port) => [port, display_name] as const),
      ),
  );
}

/** What a host has for workloads, as it last said; undefined before it said anything. */
export function capacityOf(node: Pick<Node, 'runtime' | 'inventory'> | undefined): Amounts | undefined {
  const known = node?.runtime ?? node?.inventory?.runtime;
  if (!known) return undefined;
  const { cpu_cores, memory_gib } = known.resources;
  // In thousandths, never more than there is.
  const left = ({ total, reserved }: typeof cpu_cores) => Math.max(0, Math.floor((total - reserved) * 1000) / 1000);
  return { gpu_count: known.gpus.length, cpu_cores: left(cpu_cores), memory_gib: left(memory_gib) };
}

/** Where more is asked than a host has, whatever runs there; nothing while nobody knows what it has. */
export function excess(asked: Partial<Amounts>, capacity: Amounts | undefined) {
  return names.flatMap((name) => {
    const amount = asked[name] ?? 0;
    return capacity && amount > capacity[name] ? [{ name, asked: amount, have: capacity[name] }] : [];
  });
}
