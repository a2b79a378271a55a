import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readClientRequest } from '../../../src/policy/client-request.ts';
import { accepted, check, injected, leavesIn, lookUp, names, objectsIn, token } from './accepted-request.ts';
import compose226 from './client-requests/compose-2.26.json' with { type: 'json' };
import compose240 from './client-requests/compose-2.40.json' with { type: 'json' };
import { dangerous } from './dangerous-options.ts';

const name = 'gpuaas-inst-1.api';
const network = 'gpuaas-inst-1';
const networkId = compose226.HostConfig.NetworkMode;
const plainOf = (body: unknown) => readClientRequest(body).request;
const errorPaths = (body: unknown) => check(plainOf(body), { name }).map(({ path }) => path);
/** Where a place of the client's body is in the plain request. */
const judgedAt = (path: string) => path.replace(networkId, network);
/** True if an error is at that key of the body, or at something that is there because of it. */
function isRefused(body: unknown, place: string, key: string): boolean {
  const path = judgedAt(`${place}/${token(key)}`);
  return errorPaths(body).some(
    (at) => at === path || at.startsWith(`${path}/`) || (at !== '' && path.startsWith(`${at}/`)),
  );
}

describe.each([
  ['2.26', compose226],
  ['2.40', compose240],
])('the request of Compose %s', (_version, body: object) => {
  it('is one that may be created', () => {
    expect(check(plainOf(body), { name })).toEqual([]);
  });

  it('has nothing left that says nothing', () => {
    const plain = plainOf(body) as typeof compose226;

    expect(Object.keys(plain).sort()).toEqual(
      ['Cmd', 'Entrypoint', 'Env', 'ExposedPorts', 'Healthcheck', 'HostConfig', 'Image', 'Labels', 'NetworkingConfig']
        .concat('User')
        .sort(),
    );
    expect(Object.keys(plain.HostConfig).sort()).toEqual(Object.keys(accepted.request.HostConfig).sort());
    expect(plain.HostConfig.Mounts).toEqual([{ ...compose226.HostConfig.Mounts[0], ReadOnly: false }]);
    expect(plain.HostConfig.NetworkMode).toBe(network);
    expect(plain.NetworkingConfig).toEqual({ EndpointsConfig: { [network]: { Aliases: [name, 'api'] } } });
  });

  it('is refused with every dangerous option at every place, or is the same without it', () => {
    const before = plainOf(body);
    const more = { ...dangerous, Aliases: [['evil'], ['api', 'gpuaas-inst-1.other'], 'api'], GwPriority: [1] };
    for (const place of objectsIn(body)) {
      for (const [key, values] of Object.entries(more)) {
        for (const value of values) {
          const changed = injected(place, key, value, body);
          if (!isRefused(changed, place, key))
            expect(plainOf(changed), `${place} ${key}: ${JSON.stringify(value)}`).toEqual(before);
        }
      }
    }
  });

  it('is refused where a key that says nothing comes to say something', () => {
    const said = [true, 1, -1, 'x', 'host', ['x'], [[]], [0], { x: 1 }, { x: {} }];
    const plain = plainOf(body);
    const dropped = [...leavesIn(body), ...keysOfObjects(body)].filter(
      ([place, key]) => !Object.hasOwn(lookUp(plain, judgedAt(place)) ?? {}, judgedAt(key)),
    );

    expect(dropped.length).toBeGreaterThan(60);
    for (const [place, key] of dropped) {
      for (const value of said) {
        if (key.startsWith('Attach') && key !== 'AttachStdin' && typeof value === 'boolean') continue;
        const changed = injected(place, key, value, body);
        expect(isRefused(changed, place, key), `${place} ${key}: ${JSON.stringify(value)}`).toBe(true);
      }
    }
  });
});

it.each(['MaskedPaths', 'ReadonlyPaths'])(
  'an empty list of %s says that nothing is to be hidden, and is refused',
  (key) => {
    expect(errorPaths(injected('/HostConfig', key, [], compose240))).toEqual([`/HostConfig/${key}`]);
  },
);

describe('the network of a request', () => {
  const endpoint = Object.values(compose226.NetworkingConfig.EndpointsConfig)[0];
  const withEndpoints = (EndpointsConfig: object) => ({ ...compose226, NetworkingConfig: { EndpointsConfig } });

  it('is asked about where it is named by its id', () => {
    expect([readClientRequest(compose226).networkId, readClientRequest(compose240).networkId]).toEqual([
      networkId,
      undefined,
    ]);
  });

  it.each<[what: string, endpoints: object]>([
    ['another', { 'gpuaas-inst-2': endpoint }],
    ['that of the host', { host: endpoint }],
    ['another id', { ['2d'.repeat(32)]: endpoint }],
    ['its own and another', { [networkId]: endpoint, bridge: {} }],
    ['its own under both names', { [networkId]: { ...endpoint, Links: ['x'] }, [network]: endpoint }],
  ])('is no other: %s', (_what, endpoints) => {
    expect(names(errorPaths(withEndpoints(endpoints)), '/NetworkingConfig')).toBe(true);
  });

  it.each([null, {}, { EndpointsConfig: null }, { EndpointsConfig: {} }])('need not be said twice: %j', (value) => {
    const plain = plainOf({ ...compose226, NetworkingConfig: value });

    expect(check(plain, { name })).toEqual([]);
    expect(plain).not.toHaveProperty('NetworkingConfig');
  });
});

describe('readClientRequest', () => {
  it('leaves the request of our own agent as it is', () => {
    expect(readClientRequest(accepted.request)).toEqual({ request: accepted.request, networkId: undefined });
  });

  it('takes whatever comes, and makes nothing of it that may be created', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (body) => {
        expect(check(plainOf(body), { name })).not.toEqual([]);
      }),
    );
  });

  it('keeps what would change the object it is read into, to be refused', () => {
    for (const place of objectsIn(compose226)) {
      const wire = JSON.stringify(injected(place, '__proto__', { Privileged: true }, compose226));

      expect(isRefused(JSON.parse(wire), place, '__proto__'), place).toBe(true);
    }
  });
});

/** Keys of objects whose values are objects, which hold no leaf where they are empty. */
function keysOfObjects(body: object): [place: string, key: string][] {
  return objectsIn(body).flatMap((place) =>
    Object.entries(lookUp(body, place)).flatMap(([key, value]) =>
      value === null || typeof value === 'object' ? [[place, key] as [string, string]] : [],
    ),
  );
}
