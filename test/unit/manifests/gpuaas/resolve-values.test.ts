import { describe, expect, it } from 'vitest';
import { type Choices, resolveValues } from '../../../../src/manifests/gpuaas/resolve-values.ts';
import { splitPackages } from '../../../../src/manifests/gpuaas/split-packages.ts';
import { type Changes, jupyterProfile } from '../../../support/profiles.ts';

function resolve(choices: Partial<Choices>, changes: Changes = {}) {
  return resolveValues(jupyterProfile(changes), { config: {}, resource_overrides: {}, ...choices });
}

function values(choices: Partial<Choices>, changes: Changes = {}) {
  const resolved = resolve(choices, changes);
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.errors));
  return resolved.values;
}

function faults(choices: Partial<Choices>, changes: Changes = {}): string[] {
  const resolved = resolve(choices, changes);
  return resolved.ok ? [] : resolved.errors.map(({ path, code }) => `${path} ${code}`);
}

describe('resolveValues', () => {
  it('fills in the defaults of JupyterLab (G-37)', () => {
    expect(values({})).toEqual({
      parameters: {
        ...{ workspace_mount: 'scratch', exposure_mode: 'private', host_port: 8888 },
        ...{ gpu_count: 1, cpu_cores: 2, memory_gib: 4, python_packages: '' },
      },
      resources: { gpu_count: 1, cpu_cores: 2, memory_gib: 4 },
      mounts: { workspace: 'scratch' },
      exposure_mode: 'private',
      host_ports: { web: 8888 },
      python_packages: [],
    });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['another storage (G-38)', { workspace_mount: 'nfs' }, '/config/workspace_mount enum'],
    ['another exposure (G-39)', { exposure_mode: 'public' }, '/config/exposure_mode enum'],
    ['a low port (G-40)', { host_port: 1023 }, '/config/host_port minimum'],
    ['a high port (G-40)', { host_port: 65_536 }, '/config/host_port maximum'],
    ['half a port (G-40)', { host_port: 8888.5 }, '/config/host_port type'],
    ['a port as text (G-40)', { host_port: '8888' }, '/config/host_port type'],
    ['too many packages (G-44)', { python_packages: 'x'.repeat(4097) }, '/config/python_packages maxLength'],
    ['a host path (G-205)', { host_path: '/home' }, '/config/host_path unknown_key'],
    ['an image (G-215)', { image: 'evil/x' }, '/config/image unknown_key'],
    ['a prototype key', { constructor: 1 }, '/config/constructor unknown_key'],
    [
      'an option for the installer (G-173)',
      { python_packages: 'numpy -r/etc/passwd' },
      '/config/python_packages option',
    ],
    ['a URL as package (G-173)', { python_packages: 'git+https://x' }, '/config/python_packages url'],
  ])('refuses %s', (_what, config, fault) => {
    expect(faults({ config })).toContain(fault);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['negative cards (G-41)', { gpu_count: -1 }, '/resource_overrides/gpu_count minimum'],
    ['no core (G-42)', { cpu_cores: 0 }, '/resource_overrides/cpu_cores minimum'],
    ['fewer cores than the app needs (G-42, G-67)', { cpu_cores: 1 }, '/resource_overrides/cpu_cores below_minimum'],
    ['no memory (G-43)', { memory_gib: 0 }, '/resource_overrides/memory_gib minimum'],
    ['less memory than the app needs (G-43, G-68)', { memory_gib: 3 }, '/resource_overrides/memory_gib below_minimum'],
  ])('refuses %s', (_what, resource_overrides, fault) => {
    expect(faults({ resource_overrides })).toEqual([fault]);
  });

  it('refuses fewer cards than the app needs (G-66)', () => {
    expect(faults({ resource_overrides: { gpu_count: 0 } }, { '/resources/gpu/min_count': 1 })).toEqual([
      '/resource_overrides/gpu_count below_minimum',
    ]);
  });

  it('takes resource_overrides before config, and says where the value stood that is wrong (G-102, G-103)', () => {
    const config = { gpu_count: 0, cpu_cores: 1 };

    expect(values({ config, resource_overrides: { gpu_count: 2, cpu_cores: 3 } }).resources).toMatchObject({
      gpu_count: 2,
      cpu_cores: 3,
    });
    expect(faults({ config })).toEqual(['/config/cpu_cores below_minimum']);
  });

  it('misses a required parameter that has no default (G-36)', () => {
    const changes = { '/parameters/schema/properties/workspace_mount/default': undefined };

    expect(faults({}, changes)).toEqual(['/config/workspace_mount required']);
  });

  it('takes amounts from the resources of a profile whose parameters do not speak of them', () => {
    const changes = {
      '/parameters': { schema: { type: 'object', properties: {} } },
      '/resources/gpu/default_count': 2,
    };

    expect(values({}, changes).resources).toEqual({ gpu_count: 2, cpu_cores: 2, memory_gib: 4 });
    expect(values({ resource_overrides: { memory_gib: 8 } }, changes).resources.memory_gib).toBe(8);
  });

  it('gives a second endpoint the port of its own parameter, or else that of the container', () => {
    const second = { name: 'metrics', port: 9100, protocol: 'http', exposure_modes: ['private'] };
    const own = { '/parameters/schema/properties/metrics_host_port': { type: 'integer', default: 9200 } };

    expect(values({}, { '/network/endpoints/1': second }).host_ports).toEqual({ web: 8888, metrics: 9100 });
    expect(values({}, { '/network/endpoints/1': second, ...own }).host_ports).toEqual({ web: 8888, metrics: 9200 });
    expect(faults({ config: { host_port: 9100 } }, { '/network/endpoints/1': second })).toEqual([
      '/config/metrics_host_port repeated',
    ]);
  });

  it('mounts what is required, and the rest only where a mode is chosen (G-69)', () => {
    const optional = { name: 'models', path: '/models', required: false, modes: ['project_storage'] };
    const changes = {
      '/storage/mounts/1': optional,
      '/parameters/schema/properties/models_mount': { type: 'string' },
    };

    expect(values({}, changes).mounts).toEqual({ workspace: 'scratch' });
    expect(values({ config: { models_mount: 'project_storage' } }, changes).mounts).toEqual({
      workspace: 'scratch',
      models: 'project_storage',
    });
  });

  it('splits packages at spaces and lines (G-172)', () => {
    expect(
      values({ config: { python_packages: ' numpy==2.4.4\n\tpandas>=2.2  torch~=2.9 ' } }).python_packages,
    ).toEqual(['numpy==2.4.4', 'pandas>=2.2', 'torch~=2.9']);
  });

  it.each(['[', 'a', 'a[', '>', '> ', 'a> ', ' ', 'a ', '[ '])(
    'splits a long text of %j at once (FAULTS 35)',
    (part) => {
      // One that took the square of the length would not be over before the test is ended.
      expect(splitPackages(part.repeat(300_000)).tokens.length).toBeLessThanOrEqual(256);
    },
  );

  it('tells how to write a requirement that was typed with spaces (G-175)', () => {
    const python_packages = 'scipy numpy == 2.4.4 pandas >=2.2, <3\njax[cpu, x] ~= 0.4 flax';
    const resolved = resolve({ config: { python_packages } });

    expect(!resolved.ok && resolved.errors.map(({ message }) => message)).toEqual([
      'has numpy == 2.4.4, which has spaces; write numpy==2.4.4',
      'has pandas >=2.2, <3, which has spaces; write pandas>=2.2,<3',
      'has jax[cpu, x] ~= 0.4, which has spaces; write jax[cpu,x]~=0.4',
    ]);
  });
});
