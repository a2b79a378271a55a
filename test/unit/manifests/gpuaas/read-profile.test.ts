import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile, readProfileText } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { jupyterlab } from '../../../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import { type Changes, jupyterDocument } from '../../../support/profiles.ts';

const fixture = readFileSync(
  join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas/jupyterlab.yaml'),
  'utf8',
);

/** `path code` of every error, or nothing where the profile is accepted. */
function faults(changes: Changes): string[] {
  const read = readProfile(jupyterDocument(changes));
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
}

const steps = '/parameters/ui/launch_wizard/steps';
const properties = '/parameters/schema/properties';

describe('the JupyterLab manifest of the reference', () => {
  it('is accepted word for word (G-21)', () => {
    expect(readProfileText(fixture)).toMatchObject({ ok: true, warnings: [] });
  });

  it('is what a new control plane begins with (G-145)', () => {
    expect(jupyterlab.source).toBe(fixture);
  });

  it('keeps "0" a text (G-79)', () => {
    expect(jupyterDocument()).toMatchObject({ execution: { container_env: { JUPYTER_PREFER_ENV_PATH: '0' } } });
  });
});

describe('the schema', () => {
  it('compiles in strict mode (G-21)', () => {
    const ajv = new Ajv({ strict: true, strictTypes: false });

    expect(ajv.compile(WorkloadProfile)(jupyterDocument())).toBe(true);
  });
});

describe('readProfile', () => {
  it.each<[string, Changes, string]>([
    ['another kind (G-22)', { '/profile/kind': 'gpuaas.slurm' }, '/profile/kind unsupported_kind'],
    ['another version (G-23)', { '/profile/schema_version': 'v2' }, '/profile/schema_version unsupported_version'],
    ['a malformed slug (G-24)', { '/profile/slug': 'Jupyter Lab' }, '/profile/slug pattern'],
    ['no slug (G-24)', { '/profile/slug': undefined }, '/profile/slug required'],
    ['an empty name (G-25)', { '/profile/display_name': '' }, '/profile/display_name minLength'],
    ['an unknown support level (G-27)', { '/profile/support_level': 'gold' }, '/profile/support_level enum'],
    ['another launch mode (G-9, G-28)', { '/profile/launch_mode': 'new_allocation' }, '/profile/launch_mode const'],
    ['no primary image (G-29)', { '/artifacts/primary_image': undefined }, '/artifacts/primary_image required'],
    [
      'another source (G-8, G-30)',
      { '/artifacts/primary_image/source': 'docker_hub' },
      '/artifacts/primary_image/source const',
    ],
    [
      'another media type (G-33)',
      { '/artifacts/primary_image/media_type': 'text/html' },
      '/artifacts/primary_image/media_type enum',
    ],
    [
      'an image address (G-215)',
      { '/artifacts/primary_image/image': 'evil/x:latest' },
      '/artifacts/primary_image/image unknown_key',
    ],
    ['parameters that are no schema (G-34)', { '/parameters/schema/type': 'array' }, '/parameters/schema/type const'],
    [
      'a pattern, which could be a regex bomb (G-35)',
      { [`${properties}/host_port/pattern`]: '(a+)+$' },
      `${properties}/host_port/pattern unknown_key`,
    ],
    [
      'a required parameter nobody declared (G-36)',
      { '/parameters/schema/required/0': 'nothing' },
      '/parameters/schema/required/0 undeclared',
    ],
    [
      'a default that its own bounds refuse',
      { [`${properties}/host_port/default`]: 80 },
      `${properties}/host_port/default minimum`,
    ],
    [
      'fewer cards by default than it needs, and than may be asked for (G-43)',
      {
        '/resources/gpu/min_count': 4,
        '/resources/gpu/default_count': 1,
        [`${properties}/gpu_count/default`]: 4,
        [`${properties}/gpu_count/maximum`]: 4,
      },
      '/resources/gpu/default_count below_minimum',
    ],
    [
      'fewer cores by default than it needs (G-43)',
      { '/resources/cpu/min_cores': 4, [`${properties}/cpu_cores/default`]: 2 },
      `${properties}/cpu_cores/default below_minimum`,
    ],
    [
      'at most fewer cards than it needs (G-43)',
      {
        '/resources/gpu/min_count': 9,
        '/resources/gpu/default_count': 9,
        [`${properties}/gpu_count/default`]: 8,
        [`${properties}/gpu_count/maximum`]: 8,
      },
      `${properties}/gpu_count/maximum below_minimum`,
    ],
    [
      'storage of a kind that there is not (G-37)',
      { [`${properties}/workspace_mount/enum/0`]: 'nfs' },
      `${properties}/workspace_mount/enum/0 unknown_mode`,
    ],
    [
      'a way to be reached that there is not (G-38)',
      { [`${properties}/exposure_mode/enum/0`]: 'public', [`${properties}/exposure_mode/default`]: 'public' },
      `${properties}/exposure_mode/enum/0 unknown_mode`,
    ],
    ['a default of another type', { [`${properties}/gpu_count/default`]: '1' }, `${properties}/gpu_count/default type`],
    ['an empty range', { [`${properties}/host_port/maximum`]: 1000 }, `${properties}/host_port/maximum empty_range`],
    [
      'a bound that has no effect',
      { [`${properties}/python_packages/minimum`]: 1 },
      `${properties}/python_packages/minimum no_effect`,
    ],
    [
      'a known parameter of a type it cannot have',
      { [`${properties}/host_port`]: { type: 'string' } },
      `${properties}/host_port/type type`,
    ],
    ['an unknown name in order (G-45)', { '/parameters/ui/order/0': 'nothing' }, '/parameters/ui/order/0 undeclared'],
    [
      'a field in two groups (G-46)',
      { '/parameters/ui/groups/0/fields/1': 'gpu_count' },
      '/parameters/ui/groups/2/fields/0 repeated',
    ],
    ['two steps of one name (G-48)', { [`${steps}/1/id`]: 'target' }, `${steps}/1/id repeated`],
    ['a step without title (G-48)', { [`${steps}/1/title`]: undefined }, `${steps}/1/title required`],
    [
      'a field without name (G-49)',
      { [`${steps}/1/components/1/name`]: undefined },
      `${steps}/1/components/1/name required`,
    ],
    [
      'an unknown platform component (G-58)',
      { [`${steps}/0/components/0/kind`]: 'platform.shell' },
      `${steps}/0/components/0/kind enum`,
    ],
    [
      'a field nobody declared (G-65)',
      { [`${steps}/1/components/1/name`]: 'not_declared' },
      `${steps}/1/components/1/name undeclared`,
    ],
    [
      'a wizard without target',
      { [`${steps}/0/components/0/kind`]: 'platform.access_credential' },
      `${steps} missing_component`,
    ],
    [
      'a field in two steps',
      { [`${steps}/1/components/1/name`]: 'gpu_count' },
      `${steps}/2/components/0/name repeated`,
    ],
    [
      'a required parameter no step shows',
      {
        [`${properties}/workspace_mount/default`]: undefined,
        [`${steps}/3/components/0/name`]: 'python_packages',
        [`${steps}/1/components`]: [{ kind: 'platform.artifact_selector' }],
      },
      `${steps} missing_component`,
    ],
    ['another GPU placement (G-66)', { '/resources/gpu/placement': 'cluster' }, '/resources/gpu/placement const'],
    ['a relative mount (G-69)', { '/storage/mounts/0/path': 'workspace' }, '/storage/mounts/0/path pattern'],
    ['a mount over the system (G-216)', { '/storage/mounts/0/path': '/etc' }, '/storage/mounts/0/path system_path'],
    [
      'a mount of the engine socket (G-216)',
      { '/storage/mounts/0/path': '/var/run/docker.sock' },
      '/storage/mounts/0/path system_path',
    ],
    ['an unknown storage mode (G-69)', { '/storage/mounts/0/modes/0': 'nfs' }, '/storage/mounts/0/modes/0 enum'],
    [
      'a storage driver of its own (G-202)',
      { '/storage/mounts/0/driver': 'ceph' },
      '/storage/mounts/0/driver unknown_key',
    ],
    ['a host path (G-205)', { '/storage/mounts/0/host_path': '/home' }, '/storage/mounts/0/host_path unknown_key'],
    [
      'two endpoints of one name (G-71)',
      { '/network/endpoints/1': { name: 'web', port: 9000, protocol: 'http', exposure_modes: ['private'] } },
      '/network/endpoints/1/name repeated',
    ],
    ['a port out of range (G-71)', { '/network/endpoints/0/port': 70_000 }, '/network/endpoints/0/port maximum'],
    [
      'a token in a variable of the loader',
      { '/network/endpoints/0/auth': { mode: 'generated_token', token_file_env: 'LD_PRELOAD' } },
      '/network/endpoints/0/auth/token_file_env forbidden_variable',
    ],
    [
      'a token in a variable that is taken',
      { '/network/endpoints/0/auth': { mode: 'generated_token', token_file_env: 'HOME' } },
      '/network/endpoints/0/auth/token_file_env repeated',
    ],
    [
      'a default engine that is future (G-73)',
      { '/execution/default_engine': 'helm' },
      '/execution/default_engine engine_not_active',
    ],
    [
      'an unknown engine status (G-82)',
      { '/execution/supported_engines/0/status': 'beta' },
      '/execution/supported_engines/0/status enum',
    ],
    [
      'a dangling output (G-86)',
      { '/outputs/endpoints/0/source': 'network.endpoints.api' },
      '/outputs/endpoints/0/source undeclared',
    ],
    [
      'readiness of an undeclared endpoint (G-88)',
      { '/validation/readiness/0/endpoint': 'api' },
      '/validation/readiness/0/endpoint undeclared',
    ],
    [
      'readiness that leaves the host',
      { '/validation/readiness/0/path': '//evil' },
      '/validation/readiness/0/path other_host',
    ],
    [
      'a variable of the loader',
      { '/execution/container_env/LD_PRELOAD': '/x.so' },
      '/execution/container_env/LD_PRELOAD forbidden_variable',
    ],
    [
      'a number in the environment (G-79)',
      { '/execution/container_env/JUPYTER_PREFER_ENV_PATH': 0 },
      '/execution/container_env/JUPYTER_PREFER_ENV_PATH type',
    ],
    ['compose text (G-94)', { '/execution/compose': 'services: {}' }, '/execution/compose type'],
    [
      'an unknown renderer (G-91)',
      {
        '/execution/compose': {
          renderer: 'mine',
          topology: { description: 'x', services: [{ name: 'a', role: 'b' }] },
        },
      },
      '/execution/compose/renderer enum',
    ],
    ['a privileged container (G-216)', { '/execution/privileged': true }, '/execution/privileged unknown_key'],
    ['capabilities (G-216)', { '/execution/cap_add': ['SYS_ADMIN'] }, '/execution/cap_add unknown_key'],
  ])('refuses %s', (_what, changes, fault) => {
    expect(faults(changes)).toContain(fault);
  });

  it('says all that is wrong at once', () => {
    const found = faults({ '/profile/slug': 'X', '/network/endpoints/0/port': 0, '/resources/gpu/min_count': -1 });

    expect(found).toHaveLength(3);
  });

  it('refuses what is no document at all', () => {
    for (const document of [null, [], 'profile', 7, { profile: null }, { profile: [] }]) {
      expect(readProfile(document).ok).toBe(false);
    }
  });

  it('warns of an endpoint without a token and of what has no effect', () => {
    const read = readProfile(
      jupyterDocument({
        '/network/endpoints/0/auth': { mode: 'none' },
        '/artifacts/primary_image/digest_required': false,
        '/resources/gpu/default_count': 0,
      }),
    );

    expect(read.ok && read.warnings.map(({ code }) => code)).toEqual(['always_pinned', 'no_auth_endpoint', 'unused']);
  });
});
