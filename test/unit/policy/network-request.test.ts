import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkNetworkRequest, overlaps, renderNetwork, subnetsOf } from '../../../src/policy/network-request.ts';
import { policy, refusalOf } from './samples.ts';

const request = {
  Name: 'gpuaas-inst-1',
  Driver: 'bridge' as const,
  Labels: { 'gpuaas.instance': 'inst-1', 'gpuaas.project': 'project-1', 'gpuaas.allocation': 'alloc-1' },
};

describe('checkNetworkRequest', () => {
  it('accepts the network of an instance', () => {
    expect(checkNetworkRequest(request, policy)).toEqual([]);
  });

  it.each<[path: string, changes: object]>([
    ['/Name', { Name: 'gpuaas-inst-2' }],
    ['/Name', { Name: 'bridge' }],
    ['/Name', { Name: 'gpuaas-../x' }],
    ['/Driver', { Driver: 'host' }],
    ['/Driver', { Driver: 'macvlan' }],
    ['/Labels/gpuaas.allocation', { Labels: { ...request.Labels, 'gpuaas.allocation': 'alloc-2' } }],
    ['/Labels/gpuaas.seal', { Labels: { ...request.Labels, 'gpuaas.seal': 'forged' } }],
    ['/Labels/gpuaas.project', { Labels: { ...request.Labels, 'gpuaas.project': '' } }],
    ...['IPAM', 'Options', 'Internal', 'Attachable', 'Ingress', 'EnableIPv6', 'ConfigFrom', 'ConfigOnly', 'Scope'].map(
      (key): [string, object] => [`/${key}`, { [key]: {} }],
    ),
    ['/driver', { driver: 'host' }],
    ['/__proto__', JSON.parse('{"__proto__": {}}')],
  ])('refuses a wrong %s', (path, changes) => {
    const body = { ...request };
    Object.defineProperties(body, Object.getOwnPropertyDescriptors(changes));

    expect(checkNetworkRequest(body, policy).map((error) => error.path)).toEqual([path]);
  });

  it.each([null, [], 'x', {}, 1])('refuses %j', (body) => {
    expect(checkNetworkRequest(body, policy)).not.toEqual([]);
  });
});

describe('renderNetwork', () => {
  it('leaves nothing open to the defaults of the engine', () => {
    expect(renderNetwork(request, '10.213.0.16/28')).toEqual({
      ...{ Name: 'gpuaas-inst-1', CheckDuplicate: true, Driver: 'bridge', Internal: false, Attachable: false },
      ...{ Ingress: false, EnableIPv6: false, IPAM: { Driver: 'default', Config: [{ Subnet: '10.213.0.16/28' }] } },
      Options: { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' },
      Labels: request.Labels,
    });
  });
});

describe('subnetsOf', () => {
  it('cuts a pool into /28 subnets, in order and without gaps', () => {
    const subnets = [...subnetsOf('10.213.255.0/24')];

    expect(subnets).toHaveLength(16);
    expect(subnets.slice(0, 3)).toEqual(['10.213.255.0/28', '10.213.255.16/28', '10.213.255.32/28']);
    expect(subnets.at(-1)).toBe('10.213.255.240/28');
    expect([...subnetsOf('172.16.0.32/28')]).toEqual(['172.16.0.32/28']);
  });

  it('cuts a large pool only as far as somebody asks', () => {
    expect(subnetsOf('192.160.0.0/12').next().value).toBe('192.160.0.0/28');
    expect([...subnetsOf('10.213.0.0/20')]).toHaveLength(256);
  });

  it.each([
    '10.213.0.1/20',
    '10.213.0.8/28',
    '10.0.0.0/29',
    '10.256.0.0/16',
    '999.0.0.0/16',
    '10.0.0.0',
    '10.0.0/16',
    '',
    'fd00::/64',
  ])('refuses the pool %j', (pool) => {
    expect(refusalOf(() => [...subnetsOf(pool)]).code).toBe('config.invalid');
  });
});

describe('overlaps', () => {
  it.each([
    ['10.0.0.0/28', '10.0.0.0/28', true],
    ['10.0.0.0/28', '10.0.0.16/28', false],
    ['10.0.0.0/8', '10.213.0.16/28', true],
    ['10.213.0.16/28', '10.0.0.0/8', true],
    ['10.213.0.20', '10.213.0.16/28', true],
    ['10.213.0.32', '10.213.0.16/28', false],
    ['172.17.0.1/16', '172.17.255.240/28', true],
    ['172.17.0.1/16', '172.18.0.0/28', false],
    ['0.0.0.0/0', '10.0.0.0/28', true],
    ['255.255.255.255/32', '255.255.255.240/28', true],
    ['fd00::/64', '10.0.0.0/28', false],
    ['', '10.0.0.0/28', true],
    ['no range', '10.0.0.0/28', true],
    ['10.0.0.0/33', '192.168.0.0/28', true],
  ])('%s and %s: %s', (a, b, expected) => {
    expect(overlaps(a, b)).toBe(expected);
    expect(overlaps(b, a)).toBe(expected);
  });

  it('is true for two subnets of a pool only if they are the same', () => {
    const subnets = [...subnetsOf('10.213.0.0/22')];
    const index = fc.nat({ max: subnets.length - 1 });
    fc.assert(
      fc.property(index, index, (a, b) => overlaps(subnets[a] ?? '', subnets[b] ?? '') === (a === b)),
      { numRuns: 300 },
    );
  });
});
