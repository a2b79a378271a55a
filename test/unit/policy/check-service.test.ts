import { describe, expect, it } from 'vitest';
import { readClientRequest } from '../../../src/policy/client-request.ts';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import { accepted, check, names, pathsOf } from './accepted-request.ts';
import compose from './client-requests/compose-2.40.json' with { type: 'json' };

const name = 'gpuaas-inst-1.api';
const service = readClientRequest(compose).request as ContainerRequest;
const secrets = '/run/gpuaas-gate/secrets';

function changed(change: (request: ContainerRequest) => void): ContainerRequest {
  const request = structuredClone(service);
  change(request);
  return request;
}

const labelled = (label: string, value: string) => changed(({ Labels }) => Object.assign(Labels, { [label]: value }));
const checked = (Healthcheck: ContainerRequest['Healthcheck']) =>
  changed((request) => Object.assign(request, { Healthcheck }));
const mounting = (Source: string) =>
  changed(({ HostConfig }) =>
    HostConfig.Mounts.push({
      ...{ Type: 'bind', Source, Target: '/run/secrets', ReadOnly: true },
      BindOptions: { Propagation: 'rprivate' },
    }),
  );
const times = { Interval: 1e9, Timeout: 1e9, StartPeriod: 1e9, Retries: 3 };

describe('the request of a service', () => {
  it('is for the container of that name alone', () => {
    expect(check(service, { name })).toEqual([]);
    for (const other of ['gpuaas-inst-1', 'gpuaas-inst-1.web', 'gpuaas-inst-2.api', 'gpuaas-inst-1.api.api', 'api']) {
      expect(pathsOf(service, { name: other })).toContain('');
    }
  });

  it.each(['', 'API', '-api', 'api-', 'a.b', 'a_b', 'a'.repeat(33), 'api\n', '../web'])(
    'has a name that a name server knows, not %j',
    (value) => {
      const paths = pathsOf(labelled('gpuaas.service', value), { name: `gpuaas-inst-1.${value}` });

      expect(paths).toContain('/Labels/gpuaas.service');
    },
  );

  it.each([
    ['com.docker.compose.project', 'gpuaas-inst-2'],
    ['com.docker.compose.project', ''],
    ['com.docker.compose.service', 'web'],
    ['com.docker.compose.oneoff', 'True'],
    ['com.docker.compose.container-number', '2'],
    ['com.docker.compose.version', 'x'.repeat(5000)],
    ['com.docker.compose.replace', 'x'],
    ['com.docker.compose.network', 'default'],
    ['com.docker.compose', ''],
    ['com.docker.stack.namespace', 'x'],
    ['gpuaas.gpus', 'GPU-1'],
  ])('is found by Compose as what it is, and by nothing else: %s=%s', (label, value) => {
    expect(pathsOf(labelled(label, value), { name })).toEqual([`/Labels/${label}`]);
  });

  it('sees its own secret files, and not those of its neighbours', () => {
    expect(pathsOf(mounting(`${secrets}/inst-1.api`), { name })).toEqual([]);
    for (const other of ['inst-1', 'inst-1.web', 'inst-2.api', 'inst-2']) {
      expect(names(pathsOf(mounting(`${secrets}/${other}`), { name }), '/HostConfig/Mounts/1')).toBe(true);
    }
  });

  it('may be known to the others by name and by service', () => {
    const aliases = (...Aliases: string[]) =>
      changed((request) => {
        request.NetworkingConfig = { EndpointsConfig: { 'gpuaas-inst-1': { Aliases } } };
      });
    const path = '/NetworkingConfig/EndpointsConfig/gpuaas-inst-1/Aliases';

    expect(pathsOf(aliases('api', 'api', name), { name })).toEqual([]);
    expect(pathsOf(aliases('api', 'web', 'gpuaas-inst-1', 'metadata'), { name })).toEqual(
      [1, 2, 3].map((at) => `${path}/${at}`),
    );
  });
});

describe('a health check', () => {
  it.each([
    [undefined],
    [{ Test: ['NONE'] }],
    [{ Test: ['CMD', 'true'], ...times }],
    [{ Test: ['CMD', 'wget', '-qO', '-', 'http://127.0.0.1'], ...times, Interval: 9999e9 }],
  ])('may be %j', (value) => {
    expect(pathsOf(checked(value), { name })).toEqual([]);
  });

  it.each([
    [{ Test: [] }],
    [{ Test: ['CMD'], ...times }],
    [{ Test: ['CMD', 'true'] }],
    [{ Test: ['CMD', 'true'], ...times, Interval: 0 }],
    [{ Test: ['CMD', 'true'], ...times, Interval: 1_000_000 }],
    [{ Test: ['CMD', 'true'], ...times, Timeout: -1 }],
    [{ Test: ['CMD', 'true'], ...times, Retries: 0 }],
    [{ Test: ['CMD', 'true'], ...times, StartInterval: 1e9 }],
    [{ Test: ['CMD-SHELL', 'true'], ...times }],
    [{ Test: ['NONE', 'true'], ...times }],
    [{ Test: ['NONE'], ...times }],
    [{ Test: ['true'], ...times }],
  ])('is neither cut short nor left to the engine: %j', (value) => {
    expect(names(pathsOf(checked(value as ContainerRequest['Healthcheck']), { name }), '/Healthcheck')).toBe(true);
  });
});

describe('a single container', () => {
  it('has nothing of Compose', () => {
    const request = structuredClone(accepted.request);
    Object.assign(request.Labels, { 'com.docker.compose.project': 'gpuaas-inst-1', 'com.docker.compose.version': '2' });

    expect(pathsOf(request)).toEqual(['/Labels/com.docker.compose.project', '/Labels/com.docker.compose.version']);
  });
});
