/** The ledger against a host on which anything may happen at any moment: launches, stacks, removals, stops, kills, lost journals. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerSummary } from '../../../src/runtime/engine.ts';
import { type LeaseStore, leasesInMemory } from '../../../src/tasks/gpu-ledger.ts';
import type { Lease } from '../../../src/tasks/lease-choice.ts';
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

/** Cards that each container of an instance asks for; a single container is its only one. */
type Asks = readonly { readonly service: string | null; readonly count: number }[];

/** How far a launch comes before the agent is killed; `end` is one that is not. */
type Until = 'leased' | 'half made' | 'end';

class Host {
  readonly containers = new Map<string, ContainerSummary>();
  /** Launches that hold a lease and have not ended; a killed agent runs them again. */
  readonly unfinished = new Set<string>();
  #store = strictStore();
  #bench: CardBench = this.#open();

  get ledger() {
    return this.#bench.ledger;
  }

  get leases() {
    return this.#store.all();
  }

  of(instance: string): ContainerSummary[] {
    return [...this.containers.values()].filter(({ labels: of }) => of[labels.instance] === instance);
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

  /** As a launch does it: lease, take the old containers away, make the new ones, settle. */
  async launch(instance: string, asks: Asks, until: Until): Promise<void> {
    this.unfinished.add(instance);
    const given = await this.#lease(instance, asks);
    if (until === 'leased') {
      return;
    }
    if (given !== undefined) {
      this.#takeAway(instance);
      const parts = until === 'end' ? asks : asks.slice(0, 1);
      for (const { service } of parts) {
        this.#make(instance, service, given.get(service)?.uuids ?? []);
      }
      if (until === 'half made') {
        return;
      }
    }
    this.ledger.settle(instance, this.of(instance));
    this.unfinished.delete(instance);
  }

  remove(instance: string): void {
    this.#takeAway(instance);
    this.unfinished.delete(instance);
    this.ledger.release(instance);
  }

  /** Stopped or started again, by a task or by the supervisor. */
  turn(instance: string, status: 'exited' | 'running'): void {
    for (const container of this.of(instance)) {
      this.containers.set(container.name, { ...container, status });
    }
  }

  /** Somebody takes one container away, past the agent, which looks at the engine then. */
  lose(instance: string): void {
    this.containers.delete(this.of(instance)[0]?.name ?? '');
    this.reconcile();
  }

  #takeAway(instance: string): void {
    for (const { name } of this.of(instance)) {
      this.containers.delete(name);
    }
  }

  async #lease(instance: string, asks: Asks) {
    try {
      return await this.ledger.lease(
        instance,
        asks.map((ask) => ({ ...ask, sandbox: 'runc' })),
        signal,
      );
    } catch (error) {
      if (error instanceof AgentError && error.code === 'gpu.none_free') {
        return undefined;
      }
      throw error;
    }
  }

  /** What the gate would refuse fails the test: the ledger must never come to that. */
  #make(instance: string, service: string | null, cards: readonly string[]): void {
    for (const { labels: of } of this.containers.values()) {
      const theirs = (of[labels.gpus] ?? '').split(',');
      expect(cards.filter((uuid) => theirs.includes(uuid))).toEqual([]);
    }
    const name = service === null ? instance : `${instance}.${service}`;
    this.containers.set(name, {
      ...{ id: name, name, status: 'running', cpuCores: 1, memoryBytes: 1 },
      labels: {
        [labels.instance]: instance,
        ...(cards.length > 0 && { [labels.gpus]: cards.join(',') }),
        ...(service !== null && { [labels.service]: service }),
      },
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

const count = fc.integer({ min: 0, max: 3 });
const single = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.tuple(fc.record({ service: fc.constant(null), count })));
const services = ['llm', 'web', 'embed'].map((service) => fc.record({ service: fc.constant(service), count }));
const stack = fc.tuple(
  fc.constantFrom('d', 'e'),
  fc.shuffledSubarray(services, { minLength: 1 }).chain((of) => fc.tuple(...of)),
);
const instance = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const until = fc.oneof(
  { weight: 4, arbitrary: fc.constant('end' as const) },
  { weight: 1, arbitrary: fc.constantFrom('leased' as const, 'half made' as const) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('launch' as const), fc.oneof(single, stack), until) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('remove' as const), instance) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant('turn' as const), instance, fc.constantFrom('exited' as const, 'running' as const)),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('lose' as const), instance) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('restart' as const), fc.boolean()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('reconcile' as const)) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** All launches at once, and then the rest. A workload has one task at a time, as the dispatcher sees to. */
async function play(host: Host, round: readonly Step[], count: (what: Step[0] | 'stack') => void): Promise<void> {
  const busy = new Set<string>();
  const launches: Promise<void>[] = [];
  for (const each of round) {
    if (each[0] === 'launch' && !busy.has(each[1][0])) {
      const [, [of, asks], end] = each;
      busy.add(of);
      count('launch');
      if (asks.length > 1) count('stack');
      launches.push(host.launch(of, asks, end));
    }
  }
  await Promise.all(launches);
  for (const each of round) {
    if (each[0] !== 'launch') {
      count(each[0]);
      act(host, each, busy);
    }
  }
}

function act(host: Host, step: Exclude<Step, readonly ['launch', ...unknown[]]>, busy: ReadonlySet<string>): void {
  if (step[0] === 'remove' && !busy.has(step[1])) host.remove(step[1]);
  if (step[0] === 'turn') host.turn(step[1], step[2]);
  if (step[0] === 'lose') host.lose(step[1]);
  if (step[0] === 'restart') host.restart(step[1]);
  if (step[0] === 'reconcile') host.reconcile();
}

it('stays exact over thousands of launches, stacks, stops, restarts, removals, kills and lost journals at random', async () => {
  const counts = new Map<string, number>();
  const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 10, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(rounds, async (all) => {
      const host = new Host();
      for (const round of all) {
        await play(host, round, (what) => counts.set(what, (counts.get(what) ?? 0) + 1));
        expectExact(host);
      }
    }),
    { numRuns: 150 },
  );
  expect(counts.get('launch')).toBeGreaterThan(1000);
  for (const what of ['stack', 'remove', 'turn', 'lose', 'restart', 'reconcile']) {
    expect(counts.get(what)).toBeGreaterThan(100);
  }
});

/** Every service has exactly the leases that its container holds, and nobody else has one but launches that are to be run again. */
function expectExact(host: Host): void {
  const held = [...host.containers.values()].flatMap(({ labels: of }) =>
    (of[labels.gpus] ?? '')
      .split(',')
      .filter((uuid) => uuid !== '')
      .map((uuid) => ({ uuid, instance: of[labels.instance] ?? '', service: of[labels.service] ?? null })),
  );
  const sorted = (leases: readonly Lease[]) => leases.map(({ uuid, ...of }) => `${uuid} ${JSON.stringify(of)}`).sort();
  const settled = ({ instance: of }: Lease) => !host.unfinished.has(of);
  expect(new Set(held.map(({ uuid }) => uuid)).size).toBe(held.length);
  expect(sorted(host.leases.filter(settled))).toEqual(sorted(held.filter(settled)));
  const leased = new Set(host.leases.map((lease) => `${lease.uuid} ${lease.instance}`));
  expect(held.filter((lease) => !leased.has(`${lease.uuid} ${lease.instance}`))).toEqual([]);
}
