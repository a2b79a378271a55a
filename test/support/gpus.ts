/** Cards as a host reports them. */
import type { Gpu } from '../../src/contract/gpus.ts';
import type { DriverProbe } from '../../src/host/driver-probe.ts';
import type { GpuProbe } from '../../src/host/gpus.ts';
import type { CardLinks } from '../../src/policy/choose-cards.ts';
import type { CardWays } from '../../src/policy/given-cards.ts';
import type { ContainerEngine } from '../../src/runtime/engine.ts';
import { type CardConflict, GpuLedger, type LeaseStore, leasesInMemory } from '../../src/tasks/gpu-ledger.ts';

/** A healthy, free card of NVIDIA; what is given wins. */
export function sampleGpu(given: Partial<Gpu> = {}): Gpu {
  return {
    ...{ uuid: 'GPU-1', vendor: 'nvidia', name: 'NVIDIA H100 80GB HBM3', memory_mib: 81_559 },
    ...{ driver: '570.86.15', pci_address: '0000:17:00.0', mig: null },
    ...{ health: 'healthy', reason: null, held_by: null },
    ...given,
  };
}

/** What a host with the drivers given says; one without any driver where there are none. */
export function sampleProbe(...drivers: Partial<DriverProbe>[]): GpuProbe {
  const all = drivers.map(
    (given): DriverProbe => ({
      ...{ vendor: 'nvidia', tool: '/usr/bin/nvidia-smi', gpus: [], partitioned: [], reason: null },
      ...given,
    }),
  );
  return { gpus: all.flatMap(({ gpus }) => gpus), drivers: all, renderNodes: new Map() };
}

/** A host that gives NVIDIA cards by their ids, as an engine without CDI does. */
export const plainWays: CardWays = { cdiNames: new Set(), renderNodes: new Map(), computeGroup: undefined };

export interface CardBench {
  readonly ledger: GpuLedger;
  readonly store: LeaseStore;
  readonly conflicts: CardConflict[];
  /** Who held which card each time that this changed. */
  readonly told: ReadonlyMap<string, string>[];
  /** What the host has from now on. */
  readonly cards: Gpu[];
}

/** A ledger over cards that a test made up. */
export function cardLedger(
  engine: Pick<ContainerEngine, 'list'>,
  cards: readonly Gpu[] = [],
  {
    links = new Map(),
    ways = plainWays,
    store = leasesInMemory(),
    reason = null,
    whyNoneInGvisor,
  }: Partial<CardBenchOptions> = {},
): CardBench {
  const bench = {
    store,
    conflicts: [] as CardConflict[],
    told: [] as ReadonlyMap<string, string>[],
    cards: [...cards],
  };
  const ledger: GpuLedger = new GpuLedger({
    ...{ store, engine, ways: async () => ways },
    whyNoneInGvisor: async () => whyNoneInGvisor,
    inventory: async () => ({ gpus: bench.cards, links, renderNodes: new Map(), reason }),
    onConflict: (conflict) => void bench.conflicts.push(conflict),
    onChange: () => void bench.told.push(ledger.holders()),
  });
  return { ledger, ...bench };
}

export interface CardBenchOptions {
  readonly links: CardLinks;
  readonly ways: CardWays;
  readonly store: LeaseStore;
  readonly reason: string | null;
  /** Why gVisor gets none of them; it does where nothing is said. */
  readonly whyNoneInGvisor: string | undefined;
}
