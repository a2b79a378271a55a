/** Cards through the gate, on an engine that takes itself for one of a host with NVIDIA cards. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containerLog, waitContainer } from '../../bootstrap/dev/containers.ts';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { call, type GateGround, newInstance, openGateGround, type RequestChanges } from './gate-ground.ts';

let engine: PrivateEngine;
let ground: GateGround;

beforeAll(async () => {
  engine = await engineWithCards();
  ground = await openGateGround({}, engine.socketPath);
});
afterAll(async () => {
  await ground?.close();
  await engine?.stop();
});

const deviceRequest = (...DeviceIDs: readonly string[]) => [
  { Driver: 'nvidia', DeviceIDs, Capabilities: [['gpu', 'compute', 'utility']] },
];

/** A request for these cards, as a taken-over agent may write it. */
function withCards(uuids: readonly string[], label = [...uuids].sort().join(',')): RequestChanges {
  return {
    host: { DeviceRequests: deviceRequest(...uuids) },
    labels: { [labels.gpus]: label },
    top: { Env: [] },
  };
}

async function create(instance: string, changes: RequestChanges) {
  const body = ground.containerRequest(instance, changes);
  return await call(ground.gate, 'POST', `/containers/create?name=gpuaas-${instance}`, body);
}

const remove = (instance: string) => call(ground.gate, 'DELETE', `/containers/gpuaas-${instance}?force=1`);

it('gives exactly the cards that were asked for, whatever the image says, and none without (G-177)', async () => {
  const program = { Entrypoint: ['/bin/sh', '-c'], Cmd: ['env'], Image: ground.images.hostile };
  const removed = ['LD_LIBRARY_PATH', 'LD_PRELOAD', 'NVIDIA_DRIVER_CAPABILITIES'];
  const data = { Mounts: [] };
  const seen = async (changes: RequestChanges) => {
    const instance = await ground.makeInstance(changes);
    expect((await call(ground.gate, 'POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);
    expect(await waitContainer(engine.socketPath, `gpuaas-${instance}`, 60)).toBe(0);
    const log = await containerLog(engine.socketPath, `gpuaas-${instance}`);
    await remove(instance);
    // Each line has the engine's frame before it.
    return [...log.matchAll(/NVIDIA_\w+=.*/g)].map(([line]) => line).sort();
  };
  const cards = withCards(['GPU-1a', 'GPU-2b']);

  expect(
    await seen({
      ...{ labels: cards.labels ?? {}, host: { ...cards.host, ...data } },
      top: { ...program, Env: [...removed, 'NVIDIA_VISIBLE_DEVICES'] },
    }),
  ).toEqual(['NVIDIA_DRIVER_CAPABILITIES=compute,utility', 'NVIDIA_VISIBLE_DEVICES=GPU-1a,GPU-2b']);
  expect(await seen({ top: { ...program, Env: [...removed, 'NVIDIA_VISIBLE_DEVICES=void'] }, host: data })).toEqual([
    'NVIDIA_VISIBLE_DEVICES=void',
  ]);
});

describe('a card that another container of ours holds', () => {
  it('is refused, running or not, until that one is removed, also by a gate that was started anew', async () => {
    const [holder, rival] = [newInstance(), newInstance()];
    expect((await create(holder, withCards(['GPU-3c', 'GPU-4d']))).status).toBe(201);
    await ground.restartGate();

    const refused = await create(rival, withCards(['GPU-4d', 'GPU-5e']));

    expect(refused).toMatchObject({ status: 507, json: { code: 'gpu.none_free', detail: { held_by: [holder] } } });
    expect(refused.json.message).toContain(`GPU-4d is with ${holder}`);
    expect((await create(rival, withCards(['GPU-5e']))).status).toBe(201);
    await remove(rival);
    await remove(holder);
    expect((await create(rival, withCards(['GPU-4d', 'GPU-5e']))).status).toBe(201);
    await remove(rival);
  });

  it.each([
    ['the beginning of its UUID', 'GPU-b0b1-77', 'GPU-b'],
    ['more than its UUID', 'GPU-c', 'GPU-c0c1-77'],
  ])('is not to be had by %s either, which the tools of NVIDIA take for it', async (_what, held, asked) => {
    const [holder, rival] = [newInstance(), newInstance()];
    expect((await create(holder, withCards([held]))).status).toBe(201);

    expect(await create(rival, withCards([asked]))).toMatchObject({ status: 507, json: { code: 'gpu.none_free' } });
    await remove(holder);
  });

  it('goes to one of many who ask at once', async () => {
    const instances = Array.from({ length: 6 }, newInstance);

    const answers = await Promise.all(instances.map((instance) => create(instance, withCards(['GPU-6f']))));

    expect(answers.map(({ status }) => status).sort()).toEqual([201, 507, 507, 507, 507, 507]);
    await Promise.all(instances.map(remove));
  });

  it('is not held by what somebody else made: his container does not count, whatever labels it copied', async () => {
    const mine = newInstance();
    const Labels = { [labels.gpus]: 'GPU-7a', [labels.instance]: 'forged', [labels.seal]: 'forged' };
    const foreign = await engineCall<{ Id: string }>(engine.socketPath, 'POST', '/containers/create', {
      ...{ Image: ground.images.tiny, Labels: { ...Labels, [labels.allocation]: ground.policy.allocation.id } },
      HostConfig: { DeviceRequests: deviceRequest('GPU-7a') },
    });
    expect(foreign.status).toBe(201);

    expect((await create(mine, withCards(['GPU-7a']))).status).toBe(201);
    await remove(mine);
  });

  it('says who has the name where it is the same container once more', async () => {
    const instance = newInstance();
    expect((await create(instance, withCards(['GPU-8b']))).status).toBe(201);

    expect((await create(instance, withCards(['GPU-8b']))).status).toBe(409);
    await remove(instance);
  });
});

it.each<[what: string, uuids: readonly string[], label?: string]>([
  ['capitals', ['GPU-9C'], 'GPU-9C'],
  ['an index', ['0'], '0'],
  ['all', ['all'], 'all'],
  ['a card twice', ['GPU-9c', 'GPU-9c']],
  ['cards that the label hides', ['GPU-9c', 'GPU-10'], 'GPU-9c'],
  ['cards that no label names', ['GPU-9c'], ''],
  ['two in one text', ['GPU-9c,GPU-10']],
])('refuses %s', async (_what, uuids, label) => {
  const instance = newInstance();
  ground.recorder.forget();

  const { status, json } = await create(instance, withCards(uuids, label));

  expect([status, json.code]).toEqual([403, 'policy.refused']);
  expect(ground.recorder.requests()).toEqual([]);
});

it('refuses a CDI device that is not one card by its UUID, and AMD devices that this host does not have', async () => {
  const cdi = (name: string, uuid: string): RequestChanges => ({
    labels: { [labels.gpus]: uuid },
    host: { DeviceRequests: [{ Driver: 'cdi', DeviceIDs: [name], Capabilities: [['gpu']] }] },
  });
  const amd: RequestChanges = {
    labels: { [labels.gpus]: 'GPU-00000000000000aa' },
    host: {
      Devices: ['/dev/kfd', '/dev/dri/renderD255'].map((path) => ({
        ...{ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' },
      })),
      GroupAdd: ['61931'],
    },
  };

  for (const changes of [cdi('nvidia.com/gpu=all', 'all'), cdi('nvidia.com/gpu=0', '0'), amd]) {
    expect(await create(newInstance(), changes)).toMatchObject({ status: 403, json: { code: 'policy.refused' } });
  }
});

it('asks nothing of the engine about cards where a container wants none', async () => {
  ground.recorder.forget();

  const instance = await ground.makeInstance();

  expect(ground.recorder.requests().filter((line) => line.includes('/containers/json'))).toEqual([]);
  await remove(instance);
});
