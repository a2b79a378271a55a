import { describe, expect, it } from 'vitest';
import { exclusiveOf } from '../../../src/policy/check-cards.ts';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import { type GivenCards, noCards } from '../../../src/policy/given-cards.ts';
import { renderContainer } from '../../../src/policy/render-container.ts';
import { check, pathsOf } from './accepted-request.ts';
import { params, policy, renderInput } from './samples.ts';

const given: Readonly<Record<'nvidia_ids' | 'cdi' | 'amd', GivenCards>> = {
  nvidia_ids: { ...noCards, uuids: ['GPU-1a', 'MIG-2b'], by: 'nvidia_ids' },
  cdi: { ...noCards, uuids: ['GPU-1a', 'MIG-2b'], by: 'cdi' },
  amd: {
    ...{ uuids: ['GPU-00aa', 'GPU-00bb'], by: 'amd', groups: [44, 109] },
    devices: ['/dev/kfd', '/dev/dri/renderD128', '/dev/dri/renderD129'],
  },
};
type Way = keyof typeof given;
const ways = Object.keys(given) as Way[];

/** As it comes over the wire. */
function requestWith(way: Way): ContainerRequest {
  const changes = { resources: { ...params.resources, gpu_count: 2 }, sealed_env: {} };
  return JSON.parse(JSON.stringify(renderContainer({ ...renderInput(changes), cards: given[way] }).request));
}

const withHost = (way: Way, changes: object): ContainerRequest => {
  const request = requestWith(way);
  return { ...request, HostConfig: { ...request.HostConfig, ...changes } };
};
const withIds = (...uuids: string[]) => withHost('nvidia_ids', { DeviceRequests: ids(...uuids) });
const withRequest = (changes: object) =>
  withHost('nvidia_ids', { DeviceRequests: [{ ...ids('GPU-1a')[0], ...changes }] });
const withCdi = (...names: readonly string[]) => withHost('cdi', { DeviceRequests: cdi(...names) });
const withDevices = (...Devices: readonly unknown[]) => withHost('amd', { Devices });
const withLabel = (way: Way, cards: string): ContainerRequest => {
  const request = requestWith(way);
  return { ...request, Labels: { ...request.Labels, 'gpuaas.gpus': cards } };
};
const withEnv = (way: Way, change: (env: readonly string[]) => string[]): ContainerRequest => {
  const request = requestWith(way);
  return { ...request, Env: change(request.Env) };
};

function requestUnderGvisor(way: Way, DeviceRequests = requestWith(way).HostConfig.DeviceRequests): ContainerRequest {
  return withHost(way, { DeviceRequests, Runtime: 'runsc' });
}

const ids = (...DeviceIDs: string[]) => [
  { Driver: 'nvidia', DeviceIDs, Capabilities: [['gpu', 'compute', 'utility']] },
];
const cdi = (...names: readonly string[]) => [
  { Driver: 'cdi', DeviceIDs: names.map((name) => `nvidia.com/gpu=${name}`), Capabilities: [['gpu']] },
];
const device = (path: string) => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' });

describe('a request with cards', () => {
  it.each(ways)('is accepted as the first function writes it: %s', (way) => {
    expect(check(requestWith(way))).toEqual([]);
  });

  it('says nothing of NVIDIA_VISIBLE_DEVICES where the engine writes it, whatever the image says, and void everywhere else', () => {
    const said = (way: Way) => requestWith(way).Env.filter((entry) => entry.startsWith('NVIDIA_'));

    expect(said('nvidia_ids')).toEqual(['NVIDIA_REQUIRE_CUDA', 'NVIDIA_VISIBLE_DEVICES']);
    expect(said('cdi')).toEqual(['NVIDIA_REQUIRE_CUDA', 'NVIDIA_VISIBLE_DEVICES=void']);
    expect(said('amd')).toEqual(['NVIDIA_REQUIRE_CUDA', 'NVIDIA_VISIBLE_DEVICES=void']);
  });

  it('has them to itself: UUIDs, and the render nodes behind them', () => {
    expect(exclusiveOf(requestWith('nvidia_ids'))).toEqual(['GPU-1a', 'MIG-2b']);
    expect(exclusiveOf(requestWith('cdi'))).toEqual(['GPU-1a', 'MIG-2b']);
    expect(exclusiveOf(requestWith('amd'))).toEqual([
      ...['GPU-00aa', 'GPU-00bb', '/dev/dri/renderD128', '/dev/dri/renderD129'],
    ]);
    expect(exclusiveOf({ Labels: null, HostConfig: { Devices: null } })).toEqual([]);
  });

  it('has the same spec whichever cards it gets, and however they are given', () => {
    const specs = ways.map((way) => requestWith(way).Labels['gpuaas.spec']);
    const other = renderContainer({ ...renderInput({ sealed_env: {} }), cards: noCards }).spec;

    expect(new Set(specs).size).toBe(1);
    expect(specs).not.toContain(other);
  });
});

describe('a request with cards under gVisor', () => {
  const whole = (way: Way) => {
    const asked = { nvidia_ids: { DeviceRequests: ids('GPU-1a') }, cdi: { DeviceRequests: cdi('GPU-1a') } };
    const request = withHost(way, { ...(way !== 'amd' && asked[way]), Runtime: 'runsc' });
    return way === 'amd' ? request : { ...request, Labels: { ...request.Labels, 'gpuaas.gpus': 'GPU-1a' } };
  };
  const allowing = { policy: { ...policy, gvisor_cards: true } };

  it('is accepted where the operator lets it have cards: whole ones of NVIDIA, by their ids', () => {
    expect(check(whole('nvidia_ids'), allowing)).toEqual([]);
  });

  it('is refused where he has not said so', () => {
    expect(pathsOf(whole('nvidia_ids'))).toEqual(['/HostConfig/Runtime']);
    expect(pathsOf(whole('nvidia_ids'), { policy: { ...policy, gvisor_cards: false } })).toEqual([
      '/HostConfig/Runtime',
    ]);
  });

  it.each([
    ['a MIG instance', requestUnderGvisor('nvidia_ids'), '/HostConfig/DeviceRequests'],
    ['cards by CDI', whole('cdi'), '/HostConfig/DeviceRequests'],
    ['cards of AMD', whole('amd'), '/HostConfig/Devices'],
    [
      'devices of AMD without a label',
      { ...requestUnderGvisor('amd'), Labels: withLabel('amd', '').Labels },
      '/HostConfig/Devices',
    ],
    [
      'more cards than its label says',
      requestUnderGvisor('nvidia_ids', ids('GPU-1a', 'GPU-3c')),
      '/Labels/gpuaas.gpus',
    ],
  ])('is refused with %s, also where he has', (_what, request, path) => {
    expect(pathsOf(request, allowing)).toContain(path);
  });
});

const cards = '/Labels/gpuaas.gpus';
const requested = '/HostConfig/DeviceRequests';
const noDevices = 'NVIDIA_VISIBLE_DEVICES=void';
const kfd = device('/dev/kfd');
const node = (minor: number) => device(`/dev/dri/renderD${minor}`);

it.each<[what: string, path: string, request: ContainerRequest]>([
  ['more cards than the label', cards, withIds('GPU-1a', 'MIG-2b', 'GPU-3c')],
  ['other cards than the label', cards, withIds('GPU-1a', 'GPU-3c')],
  ['no label', cards, withLabel('nvidia_ids', '')],
  ['a label without cards', cards, withHost('nvidia_ids', { DeviceRequests: undefined })],
  ['a label in another order', cards, withLabel('nvidia_ids', 'MIG-2b,GPU-1a')],
  ['a label that repeats itself', cards, withLabel('nvidia_ids', 'GPU-1a,GPU-1a,MIG-2b')],
  ['a card twice', requested, withIds('GPU-1a', 'GPU-1a')],
  ['a card in capitals', requested, withIds('GPU-1A', 'MIG-2b')],
  ['an index', requested, withIds('0')],
  ['all of them', requested, withIds('all')],
  ['two in one id', requested, withIds('GPU-1a,GPU-3c')],
  ['a MIG instance by numbers', requested, withIds('MIG-GPU-1a/1/0')],
  ['none by an empty list', requested, withIds()],
  ['a count', requested, withRequest({ Count: 1 })],
  ['more capabilities', requested, withRequest({ Capabilities: [['gpu', 'compute', 'graphics']] })],
  ['options', requested, withRequest({ Options: { a: 'b' } })],
  ['another driver', requested, withRequest({ Driver: '' })],
  ['two requests', requested, withHost('nvidia_ids', { DeviceRequests: [...ids('GPU-1a'), ...ids('MIG-2b')] })],
  ['CDI: all', requested, withCdi('all')],
  ['CDI: an index', requested, withCdi('0')],
  ['CDI: another kind', requested, withRequest({ Driver: 'cdi', DeviceIDs: ['other.com/gpu=GPU-1a'] })],
  ['CDI: another card than the label', cards, withCdi('GPU-1a', 'GPU-3c')],
  ['AMD: a node more than cards', cards, withDevices(kfd, node(128), node(129), node(130))],
  ['AMD: a node twice', '/HostConfig/Devices', withDevices(kfd, node(128), node(128))],
  ['AMD: no compute device', '/HostConfig/Devices', withDevices(node(128), node(129))],
  ['AMD: a primary node', '/HostConfig/Devices/1/PathOnHost', withDevices(kfd, device('/dev/dri/card0'))],
  ['AMD: a disk', '/HostConfig/Devices/1/PathOnHost', withDevices(kfd, device('/dev/sda'))],
  [
    'AMD: at another place',
    '/HostConfig/Devices/1',
    withDevices(kfd, { ...node(128), PathInContainer: '/dev/dri/renderD129' }),
  ],
  [
    'AMD: the right to make nodes',
    '/HostConfig/Devices/0/CgroupPermissions',
    withDevices({ ...kfd, CgroupPermissions: 'rwm' }, node(128)),
  ],
  ['AMD: the group of root', '/HostConfig/GroupAdd/0', withHost('amd', { GroupAdd: ['0'] })],
  ['AMD: a group by name', '/HostConfig/GroupAdd/0', withHost('amd', { GroupAdd: ['docker'] })],
  ['AMD: a label that is no UUID', cards, withLabel('amd', 'GPU-00AA,GPU-00bb')],
  ['AMD and NVIDIA', cards, withHost('amd', { DeviceRequests: ids('GPU-1a') })],
  ['groups without devices', '/HostConfig/GroupAdd', withHost('nvidia_ids', { GroupAdd: ['44'] })],
  ['a sandbox that has no cards here', '/HostConfig/Runtime', withHost('nvidia_ids', { Runtime: 'runsc' })],
  ['the word for none beside cards by id', '/Env', withEnv('nvidia_ids', (env) => [...env, noDevices])],
  ['other cards by a variable', '/Env', withEnv('nvidia_ids', (env) => [...env, 'NVIDIA_VISIBLE_DEVICES=GPU-9'])],
  [
    "the image's own word left in",
    '/Env',
    withEnv('nvidia_ids', (env) => env.filter((entry) => entry !== 'NVIDIA_VISIBLE_DEVICES')),
  ],
  [
    'no word for none where nothing else decides',
    '/Env',
    withEnv('cdi', (env) => env.filter((entry) => entry !== noDevices)),
  ],
])('is refused with %s', (_what, path, request) => {
  const paths = pathsOf(JSON.parse(JSON.stringify(request)));

  expect(paths.some((found) => found === path || found.startsWith(`${path}/`))).toBe(true);
});
