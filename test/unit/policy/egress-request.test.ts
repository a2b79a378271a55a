/** The proxy of a job at the gate: what may be asked for, and that all else is the gate's. */
import { describe, expect, it } from 'vitest';
import { checkEgressRequest, type EgressRequest, renderEgress } from '../../../src/policy/egress-request.ts';
import { renderNetwork } from '../../../src/policy/network-request.ts';
import { groupOfLabels } from '../../../src/policy/service-group.ts';
import { policy } from './samples.ts';

const request: EgressRequest = {
  ...{ project_id: 'project-1', allocation_id: 'alloc-1', task_id: 'task-1', fencing: 3 },
  egress: { rules: [{ scheme: 'https', host: 'api.example', port: 443 }], any_public: [] },
};
const ground = {
  image: `sha256:${'a'.repeat(64)}`,
  command: ['/opt/gpuaas/node', 'egress'],
  listenIn: '10.1.0.0/28',
  cores: 8,
};
const rendered = (over: Partial<EgressRequest> = {}, host = policy) =>
  renderEgress('job-1', { ...request, ...over }, host, ground);

describe('a request for the proxy of a job', () => {
  it('is fine for a job of this host', () => {
    expect(checkEgressRequest('job-1', request, policy)).toEqual([]);
  });

  it.each<[string, object]>([
    ['/allocation_id', { allocation_id: 'alloc-2' }],
    ['/project_id', { project_id: '../x' }],
    ['/fencing', { fencing: -1 }],
    ['/egress/any_public/0', { egress: { rules: [], any_public: ['ftp'] } }],
    ['/egress/rules/0/host', { egress: { rules: [{ scheme: 'http', host: 'A b', port: 80 }], any_public: [] } }],
    ...['image', 'command', 'env', 'network', 'allow', 'HostConfig'].map((key): [string, object] => [
      `/${key}`,
      { [key]: 'x' },
    ]),
  ])('is refused with a wrong %s', (path, changes) => {
    expect(checkEgressRequest('job-1', { ...request, ...changes }, policy).map((error) => error.path)).toContain(path);
  });

  it('is refused for services that jobs share', () => {
    const group = groupOfLabels({
      ...{ 'gpuaas.allocation': 'alloc-1', 'gpuaas.project': 'project-1' },
      ...{ 'gpuaas.revision': 'a'.repeat(64), 'gpuaas.shared': 'b'.repeat(64) },
    });

    expect(checkEgressRequest(group ?? '', request, policy)).toMatchObject([{ code: 'job' }]);
  });
});

describe('the proxy of a job', () => {
  it('has nothing of the host, no rights, and its own limits', () => {
    const { name, body } = rendered();

    expect(name).toBe('gpuaas-job-1.egress');
    expect(body).toMatchObject({ Image: ground.image, Entrypoint: ground.command, User: '65534:65534' });
    expect(body.HostConfig).toMatchObject({
      ...{ Mounts: [], PortBindings: {}, Privileged: false, CapDrop: ['ALL'], ReadonlyRootfs: true, Runtime: 'runc' },
      ...{ NetworkMode: 'gpuaas-job-1.egress', SecurityOpt: ['no-new-privileges'], RestartPolicy: { Name: 'no' } },
      Sysctls: { 'net.ipv4.ip_forward': '0', 'net.ipv4.conf.all.accept_source_route': '0' },
    });
  });

  it('is another one where it lets through something else, and the same for a later task', () => {
    const spec = (over: Partial<EgressRequest>) => rendered(over).body.Labels['gpuaas.spec'];

    expect(spec({ task_id: 'task-2', fencing: 9 })).toBe(spec({}));
    expect(spec({ egress: { rules: [], any_public: [] } })).not.toBe(spec({}));
  });

  it('is told what the operator allows, and never lets through to networks of workloads', () => {
    const host = { ...policy, egress: { allow: ['10.0.0.0/8'], name_servers: ['10.0.0.53'] } };
    const { body } = rendered({}, host);

    expect(body.Env[0]).toContain('"allow":["10.0.0.0/8"]');
    expect(body.Env[0]).toContain(`"never":["${policy.network_pool}"]`);
    expect(body.HostConfig).toMatchObject({ Dns: ['10.0.0.53'] });
    expect(rendered().body.Env[0]).toContain('"allow":[]');
  });
});

describe('a network without a way out', () => {
  const network = {
    Name: 'gpuaas-a',
    Driver: 'bridge' as const,
    Labels: { 'gpuaas.instance': 'a', 'gpuaas.project': 'p', 'gpuaas.allocation': 'x' },
  };

  it.each([
    [20, { 'com.docker.network.bridge.inhibit_ipv4': 'true' }],
    [28, { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' }],
  ])('is internal, and has no address of the host on an engine %i', (engineMajor, option) => {
    const { Internal, Options } = renderNetwork(network, '10.1.0.0/28', { way: 'closed', engineMajor });

    expect(Internal).toBe(true);
    expect(Options).toMatchObject(option);
  });
});
