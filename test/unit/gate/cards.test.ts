import { describe, expect, it } from 'vitest';
import { labels } from '../../../src/contract/names.ts';
import { checkDevices, type Device, withCards } from '../../../src/gate/cards.ts';
import type { GateContext } from '../../../src/gate/context.ts';
import { createLog } from '../../../src/kit/log.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';

const render: Device = { major: 226, group: 109, uniqueId: '00000000000000aa' };
const host: Readonly<Record<string, Device>> = {
  '/dev/kfd': { major: 511, group: 44, uniqueId: undefined },
  '/dev/dri/renderD128': render,
  '/dev/dri/renderD129': { ...render, uniqueId: '00000000000000bb' },
  '/dev/dri/renderD130': { ...render, uniqueId: undefined },
  '/dev/dri/renderD131': { ...render, major: 8 },
};

async function pathsOf(uuids: string, paths: readonly string[], groups: readonly string[] = []): Promise<string[]> {
  const request = {
    Labels: { 'gpuaas.gpus': uuids },
    HostConfig: { Devices: paths.map((path) => ({ PathOnHost: path })), GroupAdd: groups },
  } as unknown as ContainerRequest;
  return (await checkDevices(request, async (path) => host[path])).map(({ path }) => path);
}

it('takes the compute device and the render nodes of exactly these cards, with the groups that own them (G-201)', async () => {
  const both = ['/dev/kfd', '/dev/dri/renderD128', '/dev/dri/renderD129'];

  expect(await pathsOf('GPU-00000000000000aa,GPU-00000000000000bb', both, ['44', '109'])).toEqual([]);
});

it('takes a node of which the kernel does not tell the card: the ledger knows it, and no two containers get it', async () => {
  expect(await pathsOf('GPU-00000000000000cc', ['/dev/kfd', '/dev/dri/renderD130'])).toEqual([]);
});

it('refuses the node of another card than the label says', async () => {
  expect(await pathsOf('GPU-00000000000000aa', ['/dev/kfd', '/dev/dri/renderD129'])).toEqual(['/HostConfig/Devices/1']);
});

it('refuses what is not there, and what is no device of graphics', async () => {
  const strange = ['/dev/kfd', '/dev/dri/renderD200', '/dev/dri/renderD131'];

  expect(await pathsOf('GPU-00000000000000aa,GPU-00000000000000bb', strange)).toEqual([
    ...['/HostConfig/Devices/1', '/HostConfig/Devices/2'],
  ]);
});

it('refuses a group that owns none of the devices, and that of root whoever owns them', async () => {
  const own = ['/dev/kfd', '/dev/dri/renderD128'];

  expect(await pathsOf('GPU-00000000000000aa', own, ['109', '999', '0'])).toEqual([
    ...['/HostConfig/GroupAdd/1', '/HostConfig/GroupAdd/2'],
  ]);
});

describe('cards that somebody holds', () => {
  const wanted = ['GPU-1'];
  const holder = (name: string, job: string | undefined) => ({
    ...{ id: name, name, member: name, job, isEgress: false, exclusive: wanted, limits: { NanoCpus: 1, Memory: 1 } },
  });
  const create = async (who: { name: string; job?: string }, holders: ReturnType<typeof holder>[]) => {
    const Labels = {
      ...{ [labels.gpus]: wanted.join(','), [labels.instance]: who.job ?? 'inst-1' },
      ...(who.job === undefined ? {} : { [labels.kind]: 'job' }),
    };
    const gate = {
      locks: new KeyedMutex(),
      containers: { list: async () => holders },
      log: createLog({ level: 'silent' }),
    };
    const request = { Labels, HostConfig: {} } as unknown as ContainerRequest;
    return await withCards(
      who.name,
      request,
      gate as unknown as GateContext,
      AbortSignal.timeout(5000),
      async () => 'made',
    );
  };

  it('are shared by the containers of one job', async () => {
    const held = [holder('gpuaas-job-1.a', 'job-1'), holder('gpuaas-job-1.b', 'job-1')];

    expect(await create({ name: 'gpuaas-job-1.c', job: 'job-1' }, held)).toBe('made');
  });

  it.each<[string, { name: string; job?: string }, ReturnType<typeof holder>]>([
    ['another job', { name: 'gpuaas-job-2.a', job: 'job-2' }, holder('gpuaas-job-1.a', 'job-1')],
    ['a workload beside a job', { name: 'gpuaas-inst-1' }, holder('gpuaas-job-1.a', 'job-1')],
    ['a job beside a workload', { name: 'gpuaas-job-1.a', job: 'job-1' }, holder('gpuaas-inst-1', undefined)],
    ['a service beside another of its stack', { name: 'gpuaas-inst-1.a' }, holder('gpuaas-inst-1.b', undefined)],
    ['a workload of the same name as a job', { name: 'gpuaas-inst-1' }, holder('gpuaas-inst-1.a', 'inst-1')],
  ])('are not for %s', async (_who, who, held) => {
    await expect(create(who, [held])).rejects.toMatchObject({ code: 'gpu.none_free' });
  });
});
