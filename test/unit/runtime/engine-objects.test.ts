/** What is read out of the engine's own objects, in the forms that only some engines write. */
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { type ContainerObject, readContainer, readSummary } from '../../../src/runtime/docker/container-objects.ts';
import { readEvent } from '../../../src/runtime/docker/events.ts';
import { loadDockerode } from '../../../src/runtime/docker/load-dockerode.ts';
import { ProgressSum } from '../../../src/runtime/docker/pull-progress.ts';
import { readStatsObject } from '../../../src/runtime/docker/stats.ts';
import { Transport } from '../../../src/runtime/docker/transport.ts';

const object: ContainerObject = {
  ...{ Id: 'c1', Name: '/gpuaas-a', Image: 'sha256:1', RestartCount: 0, ExecIDs: null },
  State: {
    Status: 'running',
    Pid: 7,
    ExitCode: 0,
    StartedAt: '2026-01-01T00:00:00.1Z',
    FinishedAt: '0001-01-01T00:00:00Z',
  },
  Config: { Image: 'r/x@sha256:1', Labels: null },
  HostConfig: { NanoCpus: 500_000_000, Memory: 1024, PortBindings: null },
};

describe('a container of the engine', () => {
  it('has no exit code while it runs and no time that has not come', () => {
    expect(readContainer(object)).toMatchObject({
      ...{ name: 'gpuaas-a', exitCode: null, finishedAt: null, startedAt: '2026-01-01T00:00:00.1Z', oomKilled: false },
      ...{ labels: {}, execIds: [], hostPorts: [], health: null, cpuCores: 0.5 },
    });
  });

  it.each([
    ['exited', 3],
    ['dead', 3],
    ['created', null],
    ['restarting', null],
  ])('that is %s has exit code %s', (Status, exitCode) => {
    expect(readContainer({ ...object, State: { Status, ExitCode: 3 } }).exitCode).toBe(exitCode);
  });

  it.each([
    [undefined, null],
    ['none', null],
    ['', null],
    ['starting', 'starting'],
    ['healthy', 'healthy'],
  ])('whose check says %j has health %j', (status, health) => {
    const Health = status === undefined ? null : { Status: status };
    expect(readContainer({ ...object, State: { Status: 'running', Health } }).health).toBe(health);
  });

  it('tells its host ports', () => {
    const PortBindings = { '80/tcp': [{ HostPort: '8080' }, { HostPort: '' }], '81/tcp': null };
    expect(readContainer({ ...object, HostConfig: { PortBindings } }).hostPorts).toEqual([8080]);
  });

  it('in a list needs a look of its own unless the list says what it is promised', () => {
    const entry = { Id: 'c1', Names: ['/gpuaas-a'], Labels: null, State: 'running' };

    expect(readSummary({ ...entry, HostConfig: {} })).toBeUndefined();
    expect(readSummary({ ...entry, HostConfig: { NanoCpus: 1e9, Memory: 5 } })).toEqual({
      ...{ id: 'c1', name: 'gpuaas-a', labels: {}, status: 'running', cpuCores: 1, memoryBytes: 5 },
    });
  });
});

describe('a reading of the engine', () => {
  it.each([
    ['first', 'total_inactive_file'],
    ['second', 'inactive_file'],
  ])('leaves page cache out under the %s cgroup version', (_version, key) => {
    const stats = readStatsObject({
      read: '2026-01-01T00:00:00.1Z',
      cpu_stats: { cpu_usage: { total_usage: 1_500_000_000 } },
      memory_stats: { usage: 100, limit: 1000, stats: { [key]: 30 } },
      networks: { eth0: { rx_bytes: 1, tx_bytes: 2 }, eth1: { rx_bytes: 10, tx_bytes: 20 } },
      pids_stats: { current: 4 },
    });

    expect(stats).toEqual({
      ...{ time: '2026-01-01T00:00:00.1Z', cpuSeconds: 1.5, memoryBytes: 70, memoryLimitBytes: 1000, pids: 4 },
      ...{ networkReceivedBytes: 11, networkSentBytes: 22 },
    });
  });
});

describe('an event of the engine', () => {
  const attributes = { name: 'gpuaas-a', 'gpuaas.instance': 'a', exitCode: '137', note: '"timeNano":1' };
  const line = (extra: string, Attributes: object = attributes) =>
    `{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":${JSON.stringify(Attributes)}}${extra}}`;

  it('keeps every nanosecond', () => {
    expect(readEvent(line(',"time":1767225600,"timeNano":1767225600123456789'))).toEqual({
      ...{ time: '2026-01-01T00:00:00.123456789Z', container: 'gpuaas-a', instance: 'a', action: 'die', exitCode: 137 },
    });
  });

  it('of a container without our labels is left out', () => {
    expect(readEvent(line(',"timeNano":1', { name: 'x' }))).toBeUndefined();
  });
});

describe('the progress of a pull', () => {
  const layer = (id: string) => id.repeat(12);

  it('counts layers and bytes, and knows the whole only when every layer has told its size', () => {
    const sum = new ProgressSum();
    sum.add({ status: 'Pulling from x', id: 'r/x@sha256:1' });
    sum.add({ status: 'Already exists', id: layer('a') });
    sum.add({ status: 'Pulling fs layer', id: layer('b') });
    sum.add({ status: 'Pulling fs layer', id: layer('c') });
    sum.add({ status: 'Downloading', id: layer('b'), progressDetail: { current: 10, total: 100 } });
    const early = sum.read();
    sum.add({ status: 'Downloading', id: layer('c'), progressDetail: { current: 5, total: 50 } });
    const known = { ...sum.read(), missing: sum.missing() };
    sum.add({ status: 'Download complete', id: layer('b'), progressDetail: {} });
    sum.add({ status: 'Extracting', id: layer('b'), progressDetail: { current: 1, total: 999 } });
    sum.add({ status: 'Pull complete', id: layer('b') });
    sum.add({ status: 'Download complete', id: layer('c') });
    sum.add({ status: 'Pull complete', id: layer('c') });

    expect(early).toEqual({ layers: 3, layersDone: 1, bytes: 10, bytesTotal: null });
    expect(known).toEqual({ layers: 3, layersDone: 1, bytes: 15, bytesTotal: 150, missing: 135 });
    expect(sum.read()).toEqual({ layers: 3, layersDone: 3, bytes: 150, bytesTotal: 150 });
    expect(sum.missing()).toBe(0);
  });

  it('stays bounded, whatever the engine says', () => {
    const sum = new ProgressSum();
    for (let index = 0; index < 5000; index += 1) {
      sum.add({
        status: 'Downloading',
        id: index.toString(16).padStart(12, '0'),
        progressDetail: { current: 1, total: 2 },
      });
    }

    expect(sum.read().layers).toBe(1024);
  });
});

describe('dockerode', () => {
  it('comes without gRPC, SSH and tar, which others still get', async () => {
    const docker = await loadDockerode(new Transport('/nowhere'));
    const require = createRequire(import.meta.url);
    const loaded = Object.keys(require.cache).filter((file) =>
      /node_modules\/(@grpc|ssh2|docker-modem|protobufjs)\//.test(file),
    );

    expect(docker.getContainer('x').id).toBe('x');
    expect(loaded).toEqual([]);
    const leftOut = 'tar-fs';
    expect((require(leftOut) as { pack?: unknown }).pack).toBeTypeOf('function');
  });
});
