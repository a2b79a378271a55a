import { describe, expect, it } from 'vitest';
import { mergeEngineConfig, runtimePrograms } from '../../../src/host/engine-config.ts';

const nvidia = '/usr/bin/nvidia-container-runtime';
const merged = (text: string, wishes: Parameters<typeof mergeEngineConfig>[1] = { liveRestore: true }) => {
  const { text: after, otherwise } = mergeEngineConfig(text, wishes);
  return { config: JSON.parse(after), otherwise };
};

describe('the configuration of an engine', () => {
  it('is made where there is none: live restore and bounded logs, and no runtime that nobody asked for', () => {
    expect(merged('')).toEqual({
      config: { 'live-restore': true, 'log-driver': 'json-file', 'log-opts': { 'max-size': '10m', 'max-file': '3' } },
      otherwise: [],
    });
  });

  it('keeps what is there: keys that nobody knows, runtimes and features of others', () => {
    const before = {
      ...{ 'x-unknown': [1, { a: null }], features: { buildkit: true, 'containerd-snapshotter': true } },
      ...{ runtimes: { kata: { path: '/opt/kata' } }, 'log-driver': 'journald' },
    };

    const { config, otherwise } = merged(JSON.stringify(before), {
      ...{ liveRestore: true, nvidiaRuntime: nvidia, gvisorRuntime: '/usr/bin/runsc', gvisorDirectfs: true },
    });

    const added = {
      nvidia: { path: nvidia, runtimeArgs: [] },
      runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--network=host', '--directfs=false'] },
    };
    expect(config).toEqual({ ...before, 'live-restore': true, runtimes: { ...before.runtimes, ...added } });
    expect(otherwise).toEqual([]);
  });

  it('never sets the default runtime, and says so where somebody did', () => {
    const wishes = { liveRestore: true, nvidiaRuntime: nvidia };

    expect(merged('{}', wishes).config).not.toHaveProperty('default-runtime');
    expect(merged('{"default-runtime": "nvidia"}', wishes).otherwise[0]).toContain('`default-runtime` is nvidia');
  });

  it.each([
    ['live restore', { 'live-restore': false }, '`live-restore` is off'],
    ['logs without a bound', { 'log-driver': 'json-file' }, '`log-opts` has no `max-size`'],
    ['another NVIDIA runtime', { runtimes: { nvidia: { path: '/opt/mine' } } }, 'Runtime nvidia is /opt/mine'],
    [
      'a gVisor that finds no names',
      { runtimes: { runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--directfs=false'] } } },
      'without `--network=host`',
    ],
    [
      'a gVisor that empties what is read-only',
      { runtimes: { runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--network=host'] } } },
      'without `--directfs=false`',
    ],
    ['no forwarding', { iptables: false }, '`iptables` is false'],
  ])('leaves to its operator what he has set otherwise, and names it: %s', (_what, set, sentence) => {
    const wishes = { liveRestore: true, nvidiaRuntime: nvidia, gvisorDirectfs: true };
    const { config, otherwise } = merged(JSON.stringify(set), wishes);

    expect(config).toMatchObject(set);
    expect(otherwise).toHaveLength(1);
    expect(otherwise[0]).toContain(sentence);
  });

  it('gives a gVisor that knows no directfs no flag for it, and misses none', () => {
    const wishes = { liveRestore: true, gvisorRuntime: '/usr/bin/runsc', gvisorDirectfs: false };
    const { config } = merged('{}', wishes);

    expect(config.runtimes.runsc.runtimeArgs).toEqual(['--network=host']);
    expect(merged(JSON.stringify(config), wishes).otherwise).toEqual([]);
  });

  it('reads what gVisor is given as gVisor does', () => {
    const wishes = { liveRestore: true, gvisorDirectfs: true };
    const missed = (...runtimeArgs: string[]) =>
      merged(JSON.stringify({ runtimes: { runsc: { path: '/usr/bin/runsc', runtimeArgs } } }), wishes).otherwise.length;

    expect(missed('-network=host', '--directfs=0')).toBe(0);
    expect(missed('--network=sandbox', '--network=host', '-directfs=f')).toBe(0);
    expect(missed('--network=host', '--directfs=false', '--directfs')).toBe(1);
    expect(missed('--network=host', '--network=sandbox', '--directfs-x=false')).toBe(2);
  });

  it('takes a runtime by its bare name, as other tools write it, for the same', () => {
    const set = { runtimes: { nvidia: { path: 'nvidia-container-runtime', args: [] } } };

    const { config, otherwise } = merged(JSON.stringify(set), { liveRestore: true, nvidiaRuntime: nvidia });

    expect([config.runtimes, otherwise]).toEqual([set.runtimes, []]);
  });

  it('has gVisor hand on cards where that was asked for, and none where it was taken back', () => {
    const registered = { runsc: { path: '/opt/runsc', runtimeArgs: ['--network=host', '-nvproxy=false', '--debug'] } };
    const kata = { path: '/opt/kata' };
    const asked = (runtimes: object | undefined, gvisorCards: boolean | undefined) =>
      merged(JSON.stringify({ runtimes }), {
        ...{ liveRestore: true, gvisorRuntime: '/usr/bin/runsc', gvisorDirectfs: true },
        ...(gvisorCards !== undefined && { gvisorCards }),
      }).config.runtimes;
    const args = ['--network=host', '--debug', '--nvproxy'];

    expect(asked(undefined, true).runsc.runtimeArgs).toEqual(['--network=host', '--directfs=false', '--nvproxy']);
    const on = { kata, runsc: { path: '/opt/runsc', runtimeArgs: args } };
    expect(asked({ kata, ...registered }, true)).toEqual(on);
    expect(asked(on, true)).toEqual(on);
    expect(asked(on, undefined)).toEqual(on);
    expect(asked(on, false)).toEqual({ kata, runsc: { path: '/opt/runsc', runtimeArgs: args.slice(0, 2) } });
    expect(asked(registered, false)).toEqual(registered);
    expect(asked({ runsc: { runtimeType: 'io.containerd.runsc.v1' } }, true)).toEqual({
      ...{ runsc: { runtimeType: 'io.containerd.runsc.v1' } },
    });
  });

  it('names the programs of its runtimes', () => {
    const runtimes = { runsc: { path: '/opt/runsc', runtimeArgs: ['-x'] }, plain: { path: 'crun' }, shim: {} };

    expect([...runtimePrograms(JSON.stringify({ runtimes }))]).toEqual([
      ['runsc', { path: '/opt/runsc', args: ['-x'] }],
      ['plain', { path: 'crun', args: [] }],
    ]);
    expect(runtimePrograms('{}').size).toBe(0);
  });

  it('is the very same text once nothing is missing, and has no live restore in a swarm', () => {
    const odd = '{ "live-restore":true,\n\t"log-opts": {"max-size":"1g"} }';

    expect(mergeEngineConfig(odd, { liveRestore: true }).text).toBe(odd);
    expect(merged('{}', { liveRestore: false }).config).not.toHaveProperty('live-restore');
  });

  it.each(['[]', '{"a":1,"a":2}', '{', 'null', '"x"'])('is refused where it is no JSON object: %s', (text) => {
    expect(() => mergeEngineConfig(text, { liveRestore: true })).toThrow('cannot be used');
  });
});
