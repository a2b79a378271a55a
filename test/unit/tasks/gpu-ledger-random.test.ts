/** The ledger against a host on which anything may happen at any moment: launches, removals, kills, lost journals. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerSummary } from '../../../src/runtime/engine.ts';
import { type LeaseStore, leasesInMemory } from '../../../src/tasks/gpu-ledger.ts';
import { type CardBench, cardLedger, sampleGpu } from '../../support/gpus.ts';

const signal = new AbortController().signal;
const uuids = Array.from({ length: 6 }, (_each, at) => `GPU-${at}`);

/** A store with the key of the journal's table: no card twice, or the write fails as a whole. */
function strictStore(): LeaseStore {
  const store = leasesInMemory();
  return {
    all: store.all,
    replace: (instance, leases) => {
      const others = store.all().filter((lease) => lease.instance !== instance);
      const all = [...others, ...leases].map(({ uuid }) => uuid);
      if (new Set(all).size !== all.length) {
        throw new Error(`UNIQUE constraint failed: ${all.join(', ')}`);
      }
      store.replace(instance, leases);
    },
  };
}

class Host {
  readonly containers = new Map<string, ContainerSummary>();
  /** Launches that hold a lease and have made nothing yet; a killed agent runs them again. */
  readonly unfinished = new Set<string>();
  #store = strictStore();
  #bench: CardBench = this.#open();

  get ledger() {
    return this.#bench.ledger;
  }

  get leases() {
    return this.#store.all();
  }

  /** The agent is killed; with `lost` its journal is gone as well. */
  restart(lost: boolean): void {
    if (lost) {
      this.#store = strictStore();
      this.unfinished.clear();
    }
    this.#bench = this.#open();
    this.reconcile();
  }

  reconcile(): void {
    const { ledger } = this;
    ledger.reconcile([...this.containers.values()], ledger.moment, {
      isAtWork: (instance) => this.unfinished.has(instance),
      knows: () => false,
    });
  }

  /** As a launch does it: lease, take the old container away, make the new one, settle. It may be killed before it makes it. */
  async launch(instance: string, count: number, killed: boolean): Promise<void> {
    this.unfinished.add(instance);
    const given = await this.#lease(instance, count);
    if (killed) {
      return;
    }
    if (given !== undefined) {
      this.#make(instance, given);
    }
    this.ledger.settle(
      instance,
      [this.containers.get(instance)].filter((each) => each !== undefined),
    );
    this.unfinished.delete(instance);
  }

  remove(instance: string): void {
    this.containers.delete(instance);
    this.unfinished.delete(instance);
    this.ledger.release(instance);
  }

  async #lease(instance: string, count: number): Promise<readonly string[] | undefined> {
    try {
      return (await this.ledger.lease(instance, [{ service: null, count }], signal)).get(null)?.uuids;
    } catch (error) {
      if (error instanceof AgentError && error.code === 'gpu.none_free') {
        return undefined;
      }
      throw error;
    }
  }

  /** What the gate would refuse fails the test: the ledger must never come to that. */
  #make(instance: string, cards: readonly string[]): void {
    this.containers.delete(instance);
    for (const { labels: of } of this.containers.values()) {
      const theirs = (of[labels.gpus] ?? '').split(',');
      expect(cards.filter((uuid) => theirs.includes(uuid))).toEqual([]);
    }
    this.containers.set(instance, {
      ...{ id: instance, name: `gpuaas-${instance}`, status: 'running', cpuCores: 1, memoryBytes: 1 },
      labels: { [labels.instance]: instance, [labels.gpus]: cards.join(',') },
    });
  }

  #open(): CardBench {
    return cardLedger(
      { list: async () => [...this.containers.values()] },
      uuids.map((uuid) => sampleGpu({ uuid })),
      { store: this.#store },
    );
  }
}

const instance = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constant('launch' as const), instance, fc.integer({ min: 0, max: 4 }), fc.boolean()),
  },
  { weight: 3, arbitrary: fc.tuple(fc.constant('remove' as const), instance) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('restart' as const), fc.boolean()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('reconcile' as const)) },
);

it('stays exact over a thousand random launches, removals, kills and lost journals', async () => {
  let launches = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 10, maxLength: 25 }),
      async (rounds) => {
        const host = new Host();
        for (const round of rounds) {
          // All of a round at once. A workload has one task at a time, as the dispatcher sees to.
          const busy = new Set<string>();
          await Promise.all(
            round.map(async (each) => {
              if (each[0] === 'launch' && !busy.has(each[1])) {
                busy.add(each[1]);
                launches += 1;
                await host.launch(each[1], each[2], each[3]);
              }
            }),
          );
          for (const each of round) {
            if (each[0] === 'remove' && !busy.has(each[1])) host.remove(each[1]);
            if (each[0] === 'restart') host.restart(each[1]);
            if (each[0] === 'reconcile') host.reconcile();
          }
          expectExact(host);
        }
      },
    ),
    { numRuns: 100 },
  );
  expect(launches).toBeGreaterThan(1000);
});

/** Every container has exactly its leases, and nobody else has one but launches that are to be run again. */
function expectExact({ containers, leases, unfinished }: Host): void {
  for (const [name, { labels: of }] of containers) {
    const held = (of[labels.gpus] ?? '').split(',').filter((uuid) => uuid !== '');
    const leased = leases.filter((lease) => lease.instance === name).map(({ uuid }) => uuid);
    expect(leased).toEqual(expect.arrayContaining(held));
    if (!unfinished.has(name)) {
      expect(leased.sort()).toEqual(held.sort());
    }
  }
  const owners = new Set(leases.map((lease) => lease.instance));
  expect([...owners].filter((owner) => !containers.has(owner) && !unfinished.has(owner))).toEqual([]);
}
