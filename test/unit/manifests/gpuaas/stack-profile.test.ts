/** Profiles that are stacks: what their renderer, their services and their values must be. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readProfile, readProfileText } from '../../../../src/manifests/gpuaas/read-profile.ts';
import { resolveValues } from '../../../../src/manifests/gpuaas/resolve-values.ts';
import { vllmOpenai } from '../../../../src/manifests/gpuaas/seeds/vllm-openai.ts';
import { type Changes, smokeDocument, smokeStackSource, vllmDocument, vllmProfile } from '../../../support/profiles.ts';

const fixture = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas/vllm-openai.yaml');
const services = '/execution/compose/topology/services';
const properties = '/parameters/schema/properties';

function faults(document: Record<string, unknown>): string[] {
  const read = readProfile(document);
  return read.ok ? [] : read.errors.map(({ path, code }) => `${path} ${code}`);
}

describe('the manifest of vLLM', () => {
  it('is accepted, and is what a new control plane begins with (G-144, G-181)', () => {
    expect(readProfileText(vllmOpenai.source)).toMatchObject({ ok: true, warnings: [] });
    expect(vllmOpenai.source).toBe(readFileSync(fixture, 'utf8'));
  });

  it.each<[string, Changes, string]>([
    [
      'an unknown renderer, with the known ones named (G-91)',
      { '/execution/compose/renderer': 'mine' },
      '/execution/compose/renderer enum',
    ],
    ['the YAML of an engine (G-94)', { '/execution/compose/services': 'x' }, '/execution/compose/services unknown_key'],
    ['no stack at all', { '/execution/compose': undefined }, '/execution/compose required'],
    ['a service that is no DNS label', { [`${services}/0/name`]: 'v_llm' }, `${services}/0/name pattern`],
    [
      'an endpoint nobody declared (G-93)',
      { [`${services}/0/endpoints/0`]: 'api' },
      `${services}/0/endpoints/0 undeclared`,
    ],
    ['a mount nobody declared (G-93)', { [`${services}/0/mounts/0`]: 'cache' }, `${services}/0/mounts/0 undeclared`],
    ['a mount twice', { [`${services}/0/mounts/1`]: 'workspace' }, `${services}/0/mounts/1 repeated`],
    ['a secret nobody declared', { [`${services}/0/secrets/0`]: 'key' }, `${services}/0/secrets/0 undeclared`],
    ['an endpoint of no service', { [`${services}/0/endpoints`]: [] }, '/network/endpoints/0 one_service'],
    ['a secret of no service', { [`${services}/0/secrets`]: [] }, '/parameters/secrets/0 unused'],
    ['a mount of no service', { [`${services}/0/mounts`]: [] }, '/storage/mounts/0 unused'],
    [
      'more services than the renderer makes',
      { [`${services}/1`]: { name: 'more', role: 'nothing' } },
      `${services} services`,
    ],
    ['two services of one name', { [`${services}/1`]: { name: 'vllm', role: 'x' } }, `${services}/1/name repeated`],
    ['a server without a card', { '/resources/gpu/min_count': 0 }, '/resources/gpu/min_count minimum'],
    [
      'packages, which nobody would install',
      { [`${properties}/python_packages`]: { type: 'string' } },
      `${properties}/python_packages no_effect`,
    ],
    ['any model at all', { [`${properties}/model/enum`]: undefined }, `${properties}/model/enum required`],
    [
      'a model that is an option',
      { [`${properties}/model/enum/1`]: '--trust-remote-code' },
      `${properties}/model/enum/1 pattern`,
    ],
    [
      'an argument of another type',
      { [`${properties}/max_num_seqs/type`]: 'number' },
      `${properties}/max_num_seqs/type type`,
    ],
    ['any number format', { [`${properties}/dtype/enum`]: undefined }, `${properties}/dtype/enum enum`],
    [
      'an unknown quantization',
      { [`${properties}/quantization/enum/1`]: 'mine' },
      `${properties}/quantization/enum enum`,
    ],
    ['no key', { '/network/endpoints/0/auth': { mode: 'none' } }, '/network/endpoints/0/auth no_key'],
    [
      'a key that the server does not read',
      { '/network/endpoints/0/auth': { mode: 'generated_token', token_file_env: 'KEY_FILE' } },
      '/network/endpoints/0/auth no_key',
    ],
    [
      'the server in development mode',
      { '/execution/container_env': { VLLM_SERVER_DEV_MODE: '1' } },
      '/execution/container_env/VLLM_SERVER_DEV_MODE forbidden_variable',
    ],
    [
      'a key of everybody',
      { '/execution/container_env': { VLLM_API_KEY: 'secret' } },
      '/execution/container_env/VLLM_API_KEY forbidden_variable',
    ],
    ['no folder for models', { '/storage/mounts/0/required': false }, `${services}/0/mounts required`],
    [
      'a bearer that is no token of the endpoint',
      { '/validation/readiness/1/bearer_env': 'OTHER' },
      '/validation/readiness/1/bearer_env undeclared',
    ],
    [
      'a secret in the variable of another',
      { '/parameters/secrets/0/file_env': 'VLLM_API_KEY' },
      '/parameters/secrets/0/file_env repeated',
    ],
  ])('is refused with %s', (_what, changes, fault) => {
    expect(faults(vllmDocument(changes))).toContain(fault);
  });

  it('names the known renderers where one is unknown (G-91)', () => {
    const read = readProfile(vllmDocument({ '/execution/compose/renderer': 'mine' }));

    expect(read.ok || read.errors[0]?.message).toMatch(/vllm_openai.*smoke_stack/);
  });
});

describe('the smoke test of a host', () => {
  it('is a stack of two services without a card (G-6, G-92, G-93)', () => {
    expect(readProfileText(smokeStackSource)).toMatchObject({ ok: true });
    expect(faults(smokeDocument({ [`${services}/1`]: undefined, [services]: [] }))).not.toEqual([]);
  });
});

describe('the values of a launch of vLLM', () => {
  const judged = (config: Record<string, unknown>, overrides: Record<string, unknown> = {}) => {
    const resolved = resolveValues(vllmProfile(), { config, resource_overrides: overrides });
    return resolved.ok ? [] : resolved.errors.map(({ path, code }) => `${path} ${code}`);
  };

  it('are right as they stand', () => {
    expect(judged({})).toEqual([]);
    expect(judged({ tensor_parallel_size: 2 }, { gpu_count: 2 })).toEqual([]);
    expect(judged({ model_path: 'models/mine-7b', served_model_name: 'mine' })).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ['no card', {}, { gpu_count: 0 }, '/resource_overrides/gpu_count minimum'],
    ['a model over more cards than it has', { tensor_parallel_size: 2 }, {}, '/config/tensor_parallel_size range'],
    ['a model that is not listed', { model: 'evil/model' }, {}, '/config/model enum'],
    ['a folder that climbs', { model_path: '../other' }, {}, '/config/model_path path'],
    ['a folder from the root', { model_path: '/etc' }, {}, '/config/model_path path'],
    ['a folder that is an option', { model_path: '--trust-remote-code' }, {}, '/config/model_path path'],
    ['a name with a space', { served_model_name: 'a b' }, {}, '/config/served_model_name pattern'],
    ['more shared memory than memory', { shm_gib: 65 }, {}, '/config/shm_gib range'],
    ['all memory of the cards', { gpu_memory_utilization: 1 }, {}, '/config/gpu_memory_utilization maximum'],
    ['a start without an end', { start_timeout_seconds: 7201 }, {}, '/config/start_timeout_seconds maximum'],
  ])('are refused with %s', (_what, config, overrides, fault) => {
    expect(judged(config, overrides)).toContain(fault);
  });
});
