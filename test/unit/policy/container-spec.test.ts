import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import { canonicalJson } from '../../../src/policy/container-spec.ts';
import { renderContainer } from '../../../src/policy/render-container.ts';
import { digest, imageId, inputOf, params, policy, renderInput, validParams } from './samples.ts';

const jwe = params.sealed_env?.['API_KEY'] ?? '';
const web = { name: 'web', container_port: 8888, host_port: 18888, protocol: 'http' } as const;
const local = { kind: 'local', image_id: imageId, provenance: { source: 'build', digest } } as const;

describe('the spec of a container', () => {
  const specOf = (changes: Partial<WorkloadOciLaunchParams> = {}, others: Parameters<typeof renderInput>[1] = {}) =>
    renderContainer(renderInput(changes, others)).spec;
  const { spec } = renderContainer(renderInput());

  it('is a sha256 that neither key order, nor task, nor fencing, nor display name changes', () => {
    fc.assert(
      fc.property(validParams, fc.nat(), fc.string(), (generated, fencing, displayName) => {
        const input = inputOf(generated);
        const shown = { ...generated, identity: { ...generated.identity, display_name: displayName } };
        const again = { ...inputOf(reversed(shown)), taskId: 'another', fencing };
        return renderContainer(input).spec === renderContainer(again).spec;
      }),
      { numRuns: 50 },
    );
    expect(spec).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each<[string, Partial<WorkloadOciLaunchParams>]>([
    ['instance', { identity: { ...params.identity, app_instance_id: 'inst-2' } }],
    ['project', { identity: { ...params.identity, project_id: 'project-2' } }],
    ['app version', { identity: { ...params.identity, app_version: '2' } }],
    ['command', { command: ['other'] }],
    ['entrypoint', { entrypoint: ['/other'] }],
    ['env', { env: { ...params.env, A: '' } }],
    ['sealed files', { sealed_files: {} }],
    ['cpu', { resources: { ...params.resources, cpu_cores: 1 } }],
    ['memory', { resources: { ...params.resources, memory_gib: 3 } }],
    ['mounts', { mounts: [] }],
    ['ports', { ports: [{ ...web, host_port: 18889 }, ...params.ports.slice(1)] }],
    ['packages', { python_packages: ['numpy==2.4.5'] }],
    ['sandbox', { sandbox: 'gvisor' }],
    ['restart policy', { restart: { policy: 'no', max_retries: 0 } }],
    ['log limits', { log_limits: { max_size_mib: 11, max_files: 3 } }],
    ['readiness', { readiness: [] }],
    ['image', { image: local }],
  ])('differs with another %s', (_what, changes) => {
    expect(specOf(changes)).not.toBe(spec);
  });

  it('differs with what the host makes of it', () => {
    const otherUser = { ...policy, allocation: { ...policy.allocation, uid: 1003 } };

    expect(specOf({}, { policy: otherUser })).not.toBe(spec);
    expect(specOf({}, { policy: { ...policy, limits: { ...policy.limits, pids: 100 } } })).not.toBe(spec);
  });

  it('holds the sealed text and not the opened secret, which it could give away', () => {
    const sealedAnew = { sealed_env: { API_KEY: jwe.replace('aXY', 'aXZ') } };
    const opened = { API_KEY: 'opened-canary-value' };

    expect(specOf({}, { sealedEnv: { API_KEY: 'another secret' } })).toBe(spec);
    expect(specOf(sealedAnew, { sealedEnv: opened })).not.toBe(spec);
  });

  it('loses no key on the way, not even one that objects swallow', () => {
    expect(canonicalJson(JSON.parse('{"b":[{"z":null,"a":"\\u0000"}],"__proto__":{"x":1}}'))).toBe(
      '{"__proto__":{"x":1},"b":[{"a":"\\u0000","z":null}]}',
    );
    expect(canonicalJson({ b: undefined, a: [1.5, true] })).toBe('{"a":[1.5,true]}');
  });
});

/** The same value with the keys of every object in the opposite order. */
function reversed<T>(value: T): T {
  if (Array.isArray(value)) {
    return value.map(reversed) as T;
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const entries = Object.entries(value).reverse();
  return Object.fromEntries(entries.map(([key, member]) => [key, reversed(member)])) as T;
}
