import { describe, expect, it } from 'vitest';
import { labels } from '../../../src/contract/names.ts';
import { CacheRecords } from '../../../src/gate/cache-records.ts';
import { listCaches, noteUse, withCaches } from '../../../src/gate/caches.ts';
import type { GateContext } from '../../../src/gate/context.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';
import { cachesOf } from '../../../src/policy/caches.ts';

/** A gate before an engine that has every volume it is asked for; `atDiskUse` runs while the engine looks at their files. */
function gateWith({ atDiskUse = () => undefined, containers = [] as object[] } = {}) {
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
      return answer(200, { Volumes: [...volumes.keys()].map((Name) => ({ Name, UsageData: { Size: 7 } })) });
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
  const measured = async (gate: GateContext) => {
    const sent: string[] = [];
    const response = { writeHead: () => response, end: (text: string) => sent.push(String(text)) };
    await listCaches({ query: { measure: '1' }, signal: AbortSignal.timeout(5000), response } as never, gate);
    return (JSON.parse(sent.join('')) as { caches: { bytes: number | null; in_use: boolean }[] }).caches;
  };

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
});
