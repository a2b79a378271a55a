import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { maxServices } from '../../../src/contract/compose-document.ts';
import { composeProject, containerName } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadComposeControlParams } from '../../../src/contract/workload-compose-control.ts';
import { WorkloadComposeLaunchParams } from '../../../src/contract/workload-compose-launch.ts';
import { WorkloadComposeRemoveParams } from '../../../src/contract/workload-compose-remove.ts';
import { changed } from './samples.ts';

const fixtures = resolve(import.meta.dirname, '../../../fixtures/tasks');
const paramsOf = (name: string): WorkloadComposeLaunchParams =>
  (JSON.parse(readFileSync(resolve(fixtures, `workload-compose-${name}.json`), 'utf8')) as { params: never }).params;

it.each([
  ['launch', WorkloadComposeLaunchParams],
  ['control', WorkloadComposeControlParams],
  ['remove', WorkloadComposeRemoveParams],
])('takes the example of workload.compose_%s', (name, schema) => {
  expect(judge(schema, paramsOf(name))).toMatchObject({ ok: true });
});

it.each([
  [maxServices, true],
  [maxServices + 1, false],
])('%i services: %s, as many as have an address in the network of a stack', (count, ok) => {
  const params = paramsOf('launch');
  const { watch } = params.document.services;
  const services = Object.fromEntries(Array.from({ length: count }, (_, index) => [`s${index}`, watch]));

  expect(judge(WorkloadComposeLaunchParams, changed(params, '/document/services', services)).ok).toBe(ok);
});

/** Every key of a Compose service that could reach beyond its container. */
const beyond = [
  ...[
    'privileged',
    'cap_add',
    'devices',
    'device_cgroup_rules',
    'network_mode',
    'networks',
    'pid',
    'ipc',
    'userns_mode',
  ],
  ...['uts', 'cgroup', 'cgroup_parent', 'sysctls', 'security_opt', 'runtime', 'volumes_from', 'user', 'group_add'],
  ...['build', 'env_file', 'configs', 'secrets', 'extra_hosts', 'links', 'external_links', 'dns', 'labels', 'extends'],
  ...[
    'container_name',
    'restart',
    'profiles',
    'scale',
    'tmpfs',
    'gpus',
    'provider',
    'develop',
    'hostname',
    'mac_address',
  ],
];

it.each(beyond)('G-94: has no word for %s in a service', (key) => {
  const params = changed(paramsOf('launch'), `/document/services/vllm/${key}`, true);

  expect(judge(WorkloadComposeLaunchParams, params)).toMatchObject({
    ok: false,
    errors: [{ path: `/document/services/vllm/${key}`, code: 'unknown_key' }],
  });
});

it.each(['networks', 'configs', 'secrets', 'include', 'name', 'version', 'x-anything'])(
  'has no word for %s beside the services',
  (key) => {
    const params = changed(paramsOf('launch'), `/document/${key}`, {});

    expect(judge(WorkloadComposeLaunchParams, params)).toMatchObject({
      ok: false,
      errors: [{ path: `/document/${key}` }],
    });
  },
);

it.each([
  ['/document/services/vllm/ports/0/host_ip', '0.0.0.0'],
  ['/document/services/vllm/ports/0/published', 80],
  ['/document/services/vllm/volumes/0/type', 'bind'],
  ['/document/services/vllm/volumes/0/source', '/etc'],
  ['/document/services/vllm/volumes/0/source', '../x'],
  ['/document/services/vllm/environment', ['A=b']],
  ['/document/services/vllm/entrypoint', 'sh -c true'],
  ['/document/services/vllm/deploy/resources/reservations/devices/0/capabilities', ['gpu', 'graphics']],
  ['/document/services/vllm/deploy/resources/reservations/devices/0/count', 'all'],
  ['/document/services/vllm/healthcheck/test', 'true'],
  ['/document/services/vllm/mem_limit', '64g'],
  ['/document/volumes/cache', { external: true }],
  ['/document/volumes/cache/driver', 'nfs'],
])('refuses %s as %o', (pointer, value) => {
  const judged = judge(WorkloadComposeLaunchParams, changed(paramsOf('launch'), pointer, value));

  expect(judged.ok ? [] : judged.errors.map(({ path }) => path)).toContainEqual(expect.stringContaining(pointer));
});

it('names project and containers so that no two instances share a name', () => {
  expect(composeProject('stack-1')).toBe('gpuaas-stack-1');
  expect(containerName('a', 'b')).toBe('gpuaas-a.b');
});
