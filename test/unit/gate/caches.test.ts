import { describe, expect, it } from 'vitest';
import { jobKind, labels } from '../../../src/contract/names.ts';
import { CacheRecords } from '../../../src/gate/cache-records.ts';
import { listCaches, noteUse, withCaches } from '../../../src/gate/caches.ts';
import type { GateContext } from '../../../src/gate/context.ts';
import { ensureVolume } from '../../../src/gate/volumes.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';
import { cachesOf } from '../../../src/policy/caches.ts';

const nothing = (): void => undefined;

/** A gate before an engine that has every volume it is asked for; `atDiskUse` runs while the engine looks at their files. */
function gateWith({ atDiskUse = nothing, afterDiskUse = nothing, containers = [] as object[] } = {}) {
  const volumes = new Map<string, object>();
  const caches = new CacheRecords();
  const answer = (status: number, body: object) => ({ status, body: Buffer.from(JSON.stringify(body)) });
  const ask = async ({ method, path, body }: { method: string; path: string; body?: { Name: string } }) => {
    if (path === '/volumes/create' && body) {
      volumes.set(body.Name, body);
      return answer(201, body);
    }
    if (path === '/containers/json') return answer(200, containers);
    if (path === '/volumes') return answer(200, { Volumes: [...volumes.values()] });
    if (path === '/system/df') {
      atDiskUse();
      await Promise.resolve();
      afterDiskUse();
      return answer(200, { Volumes: [...volumes.values()].map((each) => ({ ...each, UsageData: { Size: 7 } })) });
    }
    return answer(method === 'GET' ? 404 : 500, {});
  };
  const seals = { holdsForVolume: () => true, sealVolume: (_name: string, of: object) => of };
  return { engine: { ask }, seals, caches, locks: new KeyedMutex() } as unknown as GateContext;
}

function requestOf(...names: readonly string[]) {
  const Labels = {
    ...{ [labels.allocation]: 'allocation-1', [labels.project]: 'project-1', [labels.revision]: 'a'.repeat(64) },
    [labels.caches]: names.map((name) => `${name}:pip`).join(','),
  };
  const its = cachesOf(Labels) ?? [];
  const Mounts = its.map(({ volume }, index) => ({
    ...{ Type: 'volume' as const, Source: volume, Target: `/cache-${index}`, ReadOnly: false },
  }));
  return { caches: its, request: { Labels, HostConfig: { Mounts } } };
}

const created = async () => ({ status: 201, headers: {}, body: Buffer.from('{}') }) as never;

describe('containers with caches that are made at once', () => {
  it('wait for each other where they share one, and else do not', async () => {
    const gate = gateWith();
    const first = Promise.withResolvers<void>();
    const order: string[] = [];
    const make = (name: string, until?: Promise<void>) => async () => {
      order.push(name);
      await until;
      return await created();
    };

    const holding = withCaches(requestOf('one', 'two').request, gate, make('holding', first.promise));
    const sharing = withCaches(requestOf('two', 'three').request, gate, make('sharing'));
    await withCaches(requestOf('four').request, gate, make('other'));
    expect([...order].sort()).toEqual(['holding', 'other']);
    first.resolve();
    await Promise.all([holding, sharing]);

    expect(order.at(-1)).toBe('sharing');
  });
});

describe('the size of a cache', () => {
  const told = async (gate: GateContext, query = { measure: '1' }) => {
    const sent: string[] = [];
    const response = { writeHead: () => response, end: (text: string) => sent.push(String(text)) };
    await listCaches({ query, signal: AbortSignal.timeout(5000), response } as never, gate);
    return JSON.parse(sent.join('')) as {
      caches: { bytes: number | null; last_bytes: number | null; in_use: boolean }[];
      jobs?: Record<string, number>;
    };
  };
  const measured = async (gate: GateContext) => (await told(gate)).caches;
  const unmeasured = async (gate: GateContext) => (await told(gate, {} as never)).caches;

  it('is told beside what each job has in its volumes and has written in its containers', async () => {
    const of = (instance: string) => ({ [labels.kind]: jobKind, [labels.instance]: instance });
    const containers = [
      { State: 'exited', Labels: of('job-1'), SizeRw: 30 },
      { State: 'created', Labels: of('job-2') },
    ];
    const gate = gateWith({ containers });
    const signal = AbortSignal.timeout(5000);
    for (const [name, job] of [
      ['gpuaas-job-1.a', 'job-1'],
      ['gpuaas-job-1.b', 'job-1'],
      ['gpuaas-job-3.a', 'job-3'],
    ] as const) {
      await ensureVolume(name, of(job), gate, signal);
    }
    await withCaches(requestOf('one').request, gate, created);

    expect((await told(gate)).jobs).toEqual({ 'job-1': 2 * 7 + 30, 'job-2': 0, 'job-3': 7 });
    expect(await told(gate, {} as never)).not.toHaveProperty('jobs');
  });

  it('is asked of the engine by one at a time, which refuses a second question meanwhile', async () => {
    let atOnce = 0;
    let most = 0;
    const gate = gateWith({
      atDiskUse: () => {
        atOnce += 1;
        most = Math.max(most, atOnce);
      },
      afterDiskUse: () => {
        atOnce -= 1;
      },
    });

    await Promise.all([measured(gate), measured(gate), measured(gate)]);

    expect(most).toBe(1);
  });

  it('is told, and noted where nobody has it', async () => {
    const gate = gateWith();
    const { request, caches } = requestOf('one');
    await withCaches(request, gate, created);

    expect(await measured(gate)).toMatchObject([{ bytes: 7, in_use: false }]);
    expect(gate.caches.of(caches[0]?.volume ?? '')).toMatchObject({ had: true, bytes: 7 });
  });

  it('is told and not noted where somebody has begun to use it meanwhile, or is at work with it', async () => {
    const { request, caches } = requestOf('one');
    const begun = gateWith({ atDiskUse: () => void noteUse(caches, begun) });
    const atWork = gateWith({ containers: [{ State: 'running', Mounts: [{ Name: caches[0]?.volume }] }] });

    for (const gate of [begun, atWork]) {
      await withCaches(request, gate, created);
      expect(await measured(gate)).toMatchObject([{ bytes: 7 }]);
      expect(gate.caches.of(caches[0]?.volume ?? '')).toMatchObject({ had: true, bytes: null });
    }
  });

  it('is remembered as it was last found while somebody has it, and told beside that', async () => {
    const { request, caches } = requestOf('one');
    const containers: object[] = [];
    const gate = gateWith({ containers });
    await withCaches(request, gate, created);
    expect(await unmeasured(gate)).toMatchObject([{ bytes: null, last_bytes: null }]);
    containers.push({ State: 'running', Mounts: [{ Name: caches[0]?.volume }] });
    await measured(gate);
    expect(await unmeasured(gate)).toMatchObject([{ bytes: null, last_bytes: 7, in_use: true }]);
    containers.pop();
    await measured(gate);
    noteUse(caches, gate);

    expect(await unmeasured(gate)).toMatchObject([{ bytes: null, last_bytes: 7 }]);
  });
});
