import { describe, expect, it } from 'vitest';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerSummary } from '../../../src/runtime/engine.ts';
import { leasesInMemory } from '../../../src/tasks/gpu-ledger.ts';
import type { Lease } from '../../../src/tasks/lease-choice.ts';
import { cardLedger, plainWays, sampleGpu } from '../../support/gpus.ts';

const signal = new AbortController().signal;
const cards = (...uuids: readonly string[]) => uuids.map((uuid) => sampleGpu({ uuid }));

/** Nothing is at work, and the journal knows nothing. */
const quiet = { isAtWork: () => false, knows: () => false };
const busy = { isAtWork: () => true, knows: () => true };

/** A container of ours as the engine lists it. */
function holder(instance: string, uuids: readonly string[], service?: string): ContainerSummary {
  return {
    ...{ id: `id of ${instance}`, name: `gpuaas-${instance}`, status: 'exited', cpuCores: 1, memoryBytes: 1 },
    labels: {
      [labels.instance]: instance,
      ...(uuids.length > 0 && { [labels.gpus]: uuids.join(',') }),
      ...(service !== undefined && { [labels.service]: service }),
    },
  };
}

function bench(uuids: readonly string[], more: Parameters<typeof cardLedger>[2] = {}) {
  const containers: ContainerSummary[] = [];
  const made = cardLedger({ list: async () => [...containers] }, cards(...uuids), more);
  const lease = async (instance: string, count: number, service: string | null = null) =>
    (await made.ledger.lease(instance, [{ service, count, sandbox: 'runc' }], signal)).get(service)?.uuids;
  return { ...made, containers, lease };
}

describe('a lease', () => {
  it('is exclusive, also for launches at the same moment, and on the disk when it is given', async () => {
    const { lease, store } = bench(['GPU-a', 'GPU-b', 'GPU-c']);

    const given = await Promise.all([lease('one', 1), lease('two', 2)]);

    expect(given.flat().sort()).toEqual(['GPU-a', 'GPU-b', 'GPU-c']);
    expect(
      store
        .all()
        .map(({ uuid }) => uuid)
        .sort(),
    ).toEqual(['GPU-a', 'GPU-b', 'GPU-c']);
    await expect(lease('three', 1)).rejects.toMatchObject({
      code: 'gpu.none_free',
      detail: { asked: 1, free: 0, unhealthy: 0, cards: 3, held_by: ['one', 'two'] },
    });
  });

  it('is exclusive among a hundred at once, some of which are cancelled or refused while they lease', async () => {
    const { ledger, store } = bench(['GPU-a', 'GPU-b']);
    const names = Array.from({ length: 100 }, (_each, at) => `w${at}`);

    const given = await Promise.allSettled(
      names.map(async (name, at) => {
        const cancel = new AbortController();
        const leasing = ledger.lease(name, [{ service: null, count: 1, sandbox: 'runc' }], cancel.signal);
        if (at % 3 === 0) cancel.abort();
        const uuids = (await leasing).get(null)?.uuids;
        if (at % 2 === 0) ledger.release(name);
        return uuids;
      }),
    );

    const won = given.flatMap((each, at) => (each.status === 'fulfilled' && at % 2 === 1 ? [names[at]] : []));
    const kept = store.all();
    expect(new Set(kept.map(({ uuid }) => uuid)).size).toBe(kept.length);
    expect(kept.map(({ instance }) => instance).sort()).toEqual(won.sort());
    expect(given.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
  });

  it('is the same again for the same owner, also after the agent was killed', async () => {
    const store = leasesInMemory();
    const before = await bench(['GPU-a', 'GPU-b', 'GPU-c'], { store }).lease('one', 2);
    const { lease } = bench(['GPU-c', 'GPU-b', 'GPU-a'], { store });
    await lease('two', 1);

    expect(await lease('one', 2)).toEqual(before);
    expect(await lease('one', 2)).toEqual(before);
  });

  it('changes nothing where it is refused', async () => {
    const { ledger, store } = bench(['GPU-a', 'GPU-b', 'GPU-c']);
    const asks = [{ service: 'web', count: 2, sandbox: 'runc' as const }];
    await ledger.lease('one', asks, signal);
    const before = store.all();

    await expect(ledger.lease('one', [{ service: 'web', count: 4, sandbox: 'runc' }], signal)).rejects.toMatchObject({
      code: 'gpu.none_free',
      detail: { asked: 4, free: 3 },
    });
    expect(store.all()).toEqual(before);
  });

  it('is one for each service of a stack, each with cards of its own, and none for those that ask for none', async () => {
    const { ledger } = bench(['GPU-a', 'GPU-b', 'GPU-c']);

    const given = await ledger.lease(
      'stack',
      [
        { service: 'web', count: 0, sandbox: 'runc' },
        { service: 'embed', count: 1, sandbox: 'runc' },
        { service: 'llm', count: 2, sandbox: 'runc' },
      ],
      signal,
    );

    expect(given.get('web')).toMatchObject({ by: 'nothing', uuids: [] });
    expect([given.get('embed')?.uuids.length, given.get('llm')?.uuids.length]).toEqual([1, 2]);
    expect(ledger.cardsOf('stack')).toEqual(['GPU-a', 'GPU-b', 'GPU-c']);
    expect(new Set(ledger.holders().values())).toEqual(new Set(['stack']));
  });

  it('asks nothing of a host whose driver hangs where no card is asked for', async () => {
    const never = new Promise<never>(() => undefined);
    const { ledger } = cardLedger({ list: () => never });

    expect(await ledger.lease('one', [{ service: null, count: 0, sandbox: 'runc' }], signal)).toEqual(
      new Map([[null, expect.objectContaining({ by: 'nothing' })]]),
    );
  });

  it('is of whole cards of NVIDIA under gVisor, and of none where that cannot have them', async () => {
    const ask = (count: number) => [{ service: null, count, sandbox: 'gvisor' as const }];
    const host = [
      sampleGpu({ uuid: 'GPU-amd', vendor: 'amd' }),
      sampleGpu({ uuid: 'GPU-b' }),
      sampleGpu({ uuid: 'MIG-c', mig: { parent: 'GPU-c', profile: '1g.10gb' } }),
    ];
    const named = { ...plainWays, cdiNames: new Set(['nvidia.com/gpu=GPU-b']) };
    const { ledger } = cardLedger({ list: async () => [] }, host, { ways: named });

    const given = await ledger.lease('one', ask(1), signal);

    expect(given.get(null)).toMatchObject({ uuids: ['GPU-b'], by: 'nvidia_ids' });
    expect(await ledger.give(['GPU-b'], 'gvisor', signal)).toMatchObject({ uuids: ['GPU-b'], by: 'nvidia_ids' });
    expect(await ledger.give(['GPU-b'], 'runc', signal)).toMatchObject({ by: 'cdi' });
    await expect(ledger.lease('two', ask(1), signal)).rejects.toMatchObject({
      code: 'gpu.none_free',
      detail: { reason: expect.stringContaining('Asked for 1 that gVisor can have, 0 of 3 are free') },
    });

    const whyNoneInGvisor = 'The runtime runsc of the engine is registered without --nvproxy.';
    const { ledger: closed, store } = cardLedger({ list: async () => [] }, host, { whyNoneInGvisor });
    const refused = { code: 'sandbox.no_cards', detail: { reason: whyNoneInGvisor } };
    await expect(closed.lease('one', ask(1), signal)).rejects.toMatchObject(refused);
    await expect(closed.give(['GPU-b'], 'gvisor', signal)).rejects.toMatchObject(refused);
    expect(store.all()).toEqual([]);
  });

  it('fails clearly where the driver does not answer', async () => {
    const reason = 'nvidia-smi did not answer within 10 s: the driver hangs.';
    const { lease } = bench([], { reason });

    await expect(lease('one', 1)).rejects.toMatchObject({ code: 'gpu.unhealthy', detail: { reason } });
  });

  it('gives no sick card, and says that it is one where no other is left', async () => {
    const { cards: host, lease } = bench(['GPU-a', 'GPU-b']);
    host[0] = sampleGpu({ uuid: 'GPU-a', health: 'unhealthy', reason: 'XID 79: it fell off the bus.' });

    expect(await lease('one', 1)).toEqual(['GPU-b']);
    await expect(lease('two', 1)).rejects.toMatchObject({
      code: 'gpu.unhealthy',
      detail: { reason: 'GPU-a: XID 79: it fell off the bus.', asked: 1, free: 0, unhealthy: 1 },
    });
  });

  it('is of another card where the own one got sick before anything was made', async () => {
    const { cards: host, lease, ledger } = bench(['GPU-a', 'GPU-b']);
    expect(await lease('one', 1)).toEqual(['GPU-a']);
    host[0] = sampleGpu({ uuid: 'GPU-a', health: 'unhealthy', reason: 'sick' });

    expect(await lease('one', 1)).toEqual(['GPU-b']);

    ledger.settle('one', [holder('one', ['GPU-b'])]);
    expect(ledger.cardsOf('one')).toEqual(['GPU-b']);
  });

  it('keeps what an older container holds until the workload is settled', async () => {
    const { containers, lease, ledger } = bench(['GPU-a', 'GPU-b', 'GPU-c']);
    containers.push(holder('one', ['GPU-a', 'GPU-b']));

    const [card] = (await lease('one', 1)) ?? [];
    await expect(lease('two', 2)).rejects.toMatchObject({ code: 'gpu.none_free' });
    ledger.settle('one', [holder('one', [card ?? ''])]);
    containers.length = 0;

    expect(await lease('two', 2)).not.toContain(card);
  });

  it('takes no part of a card that is leased whole', async () => {
    const { cards: host, lease } = bench(['GPU-a']);
    await lease('one', 1);
    host[0] = sampleGpu({ uuid: 'MIG-1', mig: { parent: 'GPU-a', profile: '1g.10gb' } });

    await expect(lease('two', 1)).rejects.toMatchObject({ code: 'gpu.none_free' });
  });
});

describe('what containers hold', () => {
  it('is the truth: it counts without a lease, and against one', async () => {
    const { containers, lease, ledger, store } = bench(['GPU-a', 'GPU-b']);
    await lease('mine', 1);
    containers.push(holder('theirs', ['GPU-a'], 'llm'));

    await expect(lease('another', 2)).rejects.toMatchObject({ detail: { held_by: ['theirs'], free: 1 } });

    expect(store.all()).toContainEqual({ uuid: 'GPU-a', instance: 'theirs', service: 'llm' } satisfies Lease);
    expect(ledger.cardsOf('mine')).toEqual([]);
    expect(await lease('mine', 1)).toEqual(['GPU-b']);
  });

  it('stays with them when they stop: only a removal frees a card', async () => {
    const { containers, lease, ledger } = bench(['GPU-a']);
    await lease('one', 1);
    containers.push(holder('one', ['GPU-a']));

    await expect(lease('two', 1)).rejects.toMatchObject({ code: 'gpu.none_free' });
    containers.length = 0;
    ledger.release('one');

    expect(await lease('two', 1)).toEqual(['GPU-a']);
  });

  it('is asked for again where something was freed meanwhile', async () => {
    let looks = 0;
    const { ledger } = cardLedger(
      {
        list: async () => {
          looks += 1;
          if (looks === 1) {
            ledger.release('gone');
            return [holder('gone', ['GPU-a'])];
          }
          return [];
        },
      },
      cards('GPU-a'),
      { store: storeWith({ uuid: 'GPU-a', instance: 'gone', service: null }) },
    );

    expect(
      (await ledger.lease('one', [{ service: null, count: 1, sandbox: 'runc' }], signal)).get(null)?.uuids,
    ).toEqual(['GPU-a']);
    expect(looks).toBe(2);
  });

  it('brings back what a lost journal knew, and drops leases that nobody stands behind', async () => {
    const left = { uuid: 'GPU-b', instance: 'left', service: null };
    const launching = { uuid: 'GPU-c', instance: 'launching', service: null };
    const { ledger, store } = bench(['GPU-a', 'GPU-b', 'GPU-c'], { store: storeWith(left, launching) });

    ledger.reconcile([holder('found', ['GPU-a'])], ledger.moment, {
      ...quiet,
      isAtWork: (instance) => instance === 'launching',
    });

    expect(store.all().toSorted((a, b) => (a.uuid < b.uuid ? -1 : 1))).toEqual([
      ...[{ uuid: 'GPU-a', instance: 'found', service: null }, launching],
    ]);
  });

  it('is all that a workload has once no task is at work on it: a launch that failed early leaves nothing', async () => {
    const { containers, lease, ledger } = bench(['GPU-a', 'GPU-b', 'GPU-c']);
    containers.push(holder('one', ['GPU-a'], 'web'), holder('one', [], 'db'));
    await lease('one', 3, 'web');

    ledger.reconcile(containers, ledger.moment, { ...quiet, isAtWork: (instance) => instance === 'one' });
    expect(ledger.cardsOf('one')).toEqual(['GPU-a', 'GPU-b', 'GPU-c']);
    ledger.reconcile(containers, ledger.moment, quiet);

    expect(ledger.cardsOf('one')).toEqual(['GPU-a']);
    expect(await lease('two', 2)).toEqual(['GPU-b', 'GPU-c']);
  });

  it('is not all where a container that should be there is not listed: it may run with a seal that somebody broke', () => {
    const lease = (uuid: string, service: string) => ({ uuid, instance: 'one', service });
    const leases = [lease('GPU-a', 'web'), lease('GPU-b', 'llm'), lease('GPU-c', 'left')];
    const { ledger, store } = bench(['GPU-a', 'GPU-b', 'GPU-c'], { store: storeWith(...leases) });

    ledger.reconcile([holder('one', [], 'web')], ledger.moment, {
      ...quiet,
      knows: ({ service }) => service !== 'left',
    });

    expect(store.all()).toEqual([lease('GPU-b', 'llm')]);
  });

  it('is told whenever it changes, and not where all is as it was', async () => {
    const { containers, lease, ledger, told } = bench(['GPU-a', 'GPU-b']);

    await lease('one', 1);
    containers.push(holder('one', ['GPU-a']));
    ledger.settle('one', containers);
    ledger.reconcile(containers, ledger.moment, quiet);
    await lease('one', 1);
    expect(told).toEqual([new Map([['GPU-a', 'one']])]);
    containers.push(holder('two', ['GPU-b']));
    ledger.reconcile(containers, ledger.moment, quiet);
    containers.shift();
    ledger.release('one');
    ledger.release('one');

    expect(told.slice(1)).toEqual([
      new Map([
        ['GPU-a', 'one'],
        ['GPU-b', 'two'],
      ]),
      new Map([['GPU-b', 'two']]),
    ]);
  });

  it('is not learnt from a list that is older than the last removal', () => {
    const { ledger, store } = bench(['GPU-a'], { store: storeWith({ uuid: 'GPU-a', instance: 'one', service: null }) });
    const moment = ledger.moment;

    ledger.release('one');
    ledger.reconcile([holder('one', ['GPU-a'])], moment, busy);

    expect(store.all()).toEqual([]);
  });
});

describe('two containers with one card', () => {
  it('make it nobody else’s until one of them is gone, and it is told once each', async () => {
    const { containers, lease, ledger, conflicts } = bench(['GPU-a', 'GPU-b']);
    containers.push(holder('one', ['GPU-a']), holder('two', ['GPU-a']));

    expect(await lease('three', 1)).toEqual(['GPU-b']);
    await expect(lease('four', 3)).rejects.toMatchObject({ code: 'gpu.none_free' });
    expect(conflicts).toEqual([{ uuid: 'GPU-a', instances: ['one', 'two'] }]);
    expect(ledger.describe(cards('GPU-a'))).toMatchObject([
      { health: 'unhealthy', reason: expect.stringContaining('one and two'), held_by: 'one' },
    ]);

    containers.pop();
    ledger.reconcile([...containers], ledger.moment, busy);
    expect(conflicts.at(-1)).toEqual({ uuid: 'GPU-a', instances: ['one'] });
    expect(ledger.describe(cards('GPU-a', 'GPU-b'))).toMatchObject([
      { health: 'healthy', held_by: 'one' },
      { health: 'healthy', held_by: 'three' },
    ]);

    containers.pop();
    ledger.release('one');
    expect(await lease('four', 1)).toEqual(['GPU-a']);
  });

  it('are two also where both are services of one stack', () => {
    const { ledger, conflicts } = bench(['GPU-a']);

    ledger.reconcile([holder('one', ['GPU-a'], 'llm'), holder('one', ['GPU-a'], 'web')], ledger.moment, busy);

    expect(conflicts).toEqual([{ uuid: 'GPU-a', instances: ['one'] }]);
  });

  it('leave both as they are where one of them is settled', async () => {
    const { containers, ledger, store } = bench(['GPU-a']);
    containers.push(holder('one', ['GPU-a']));
    ledger.reconcile(containers, ledger.moment, busy);
    containers.push(holder('two', ['GPU-a']));

    ledger.settle('two', [holder('two', ['GPU-a'])]);
    ledger.settle('one', [holder('one', ['GPU-a'], 'llm'), holder('one', ['GPU-a'], 'web')]);

    expect(store.all()).toEqual([{ uuid: 'GPU-a', instance: 'one', service: 'web' }]);
  });
});

function storeWith(...leases: readonly Lease[]) {
  const store = leasesInMemory();
  for (const lease of leases) {
    store.replace(lease.instance, [...store.all().filter(({ instance }) => instance === lease.instance), lease]);
  }
  return store;
}

describe('the cards of a job', () => {
  const part = (job: string, id: string, uuids: readonly string[]): ContainerSummary => {
    const { labels: of, ...rest } = holder(job, uuids, id);
    return { ...rest, name: `gpuaas-${job}.${id}`, labels: { ...of, [labels.kind]: 'job' } };
  };

  it('are with its containers together, without a conflict, and learnt from them', () => {
    const { ledger, conflicts, store } = bench(['GPU-a', 'GPU-b']);
    const parts = [
      part('job-1', 'a', ['GPU-a']),
      part('job-1', 'b', ['GPU-a']),
      part('job-1', 'c', ['GPU-a', 'GPU-b']),
    ];

    ledger.reconcile(parts, ledger.moment, quiet);

    expect(conflicts).toEqual([]);
    expect(store.all()).toEqual([
      { uuid: 'GPU-a', instance: 'job-1', service: null },
      { uuid: 'GPU-b', instance: 'job-1', service: null },
    ]);
  });

  it('stay with it between two steps, and are free when it is over', async () => {
    const { containers, lease, ledger } = bench(['GPU-a']);
    await lease('job-1', 1);
    containers.push(part('job-1', 'a', ['GPU-a']));
    ledger.reconcile(containers, ledger.moment, busy);
    containers.length = 0;
    ledger.reconcile(containers, ledger.moment, busy);
    expect(ledger.cardsOf('job-1')).toEqual(['GPU-a']);
    await expect(lease('job-2', 1)).rejects.toMatchObject({ code: 'gpu.none_free' });

    ledger.release('job-1');

    expect(await lease('job-2', 1)).toEqual(['GPU-a']);
  });

  it('are in conflict with those of another all the same', () => {
    const { ledger, conflicts } = bench(['GPU-a']);

    ledger.reconcile([part('job-1', 'a', ['GPU-a']), part('job-2', 'a', ['GPU-a'])], ledger.moment, quiet);

    expect(conflicts).toEqual([{ uuid: 'GPU-a', instances: ['job-1', 'job-2'] }]);
  });
});
