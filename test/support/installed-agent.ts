/**
 * Agent and gate as services of a host: the units of this checkout, its bundle run by the pinned Node, a tenant, and no control plane.
 * What a bootstrap does beside that is not done here.
 */
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildAgent } from '../../bootstrap/dev/build.ts';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import type { AgentConfig } from '../../src/agent/config.ts';
import type { AgentStatus } from '../../src/agent/local-api/agent-status.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { TaskParams, TaskType } from '../../src/contract/tasks.ts';
import type { WorkloadOciLaunchParams as LaunchParams } from '../../src/contract/workload-oci-launch.ts';
import { madeOnce } from './made-once.ts';
import type { SystemdHost } from './systemd-host.ts';

const root = resolve(import.meta.dirname, '../..');
const home = '/opt/gpuaas-node-agent';

export const units = {
  gate: 'gpuaas-node-agent-gate.service',
  agent: 'gpuaas-node-agent.service',
} as const;

/** Starts both and waits until they are ready. */
export async function installAgent(host: SystemdHost, config: Partial<AgentConfig> = {}): Promise<void> {
  const [built, compose] = await Promise.all([
    madeOnce('bundle', async (folder) => void (await buildAgent(folder))),
    ensureCompose(),
  ]);
  const version = `${home}/versions/0.0.1`;
  await host.copyIn(join(built, 'node-agent.mjs'), `${version}/node-agent.mjs`);
  await host.copyIn(realpathSync(join(root, 'node_modules/.bin/node')), `${version}/node`);
  await host.copyIn(compose, '/usr/libexec/docker/cli-plugins');
  await host.write(`${version}/node-agent`, launcher(version), 0o755);
  await host.copyIn(join(root, 'systemd'), '/root/systemd');
  await host.sh(`
    ln -sfn versions/0.0.1 ${home}/current
    mkdir -p /etc/sysusers.d /etc/tmpfiles.d
    cp /root/systemd/*.service /root/systemd/*.path /root/systemd/*.timer /etc/systemd/system/
    cp -r /root/systemd/nftables.service.d /etc/systemd/system/
    cp /root/systemd/sysusers.d/* /etc/sysusers.d/
    cp /root/systemd/tmpfiles.d/* /etc/tmpfiles.d/
    # As a bootstrap does it.
    version=$(systemctl --version | awk 'NR == 1 { print $2 }')
    [ "$version" -ge 253 ] || cp -r /root/systemd/older/* /etc/systemd/system/
    systemd-sysusers
    systemd-tmpfiles --create gpuaas-node-agent.conf
    useradd --create-home --uid 1500 tenant`);
  const gid = Number(await host.sh('id -g gpuaas-agent'));
  await configure(host, { ...config, gate: { ...config.gate, socket_gid: gid } as AgentConfig['gate'] });
  await host.sh(`systemctl daemon-reload && systemctl enable --quiet --now ${units.gate} ${units.agent}`);
}

/** Writes the configuration; a restart makes it true. */
async function configure(host: SystemdHost, config: Partial<AgentConfig>): Promise<void> {
  const registry = (await host.image('tiny')).split('/')[0] ?? '';
  const whole = {
    allocation: { id: allocationId, user: 'tenant' },
    registries: [{ host: registry, prefixes: ['gpuaas-dev'] }],
    project_storage: true,
    reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: 0.5 },
    ...config,
  };
  await host.write('/etc/gpuaas-node-agent/agent.json', JSON.stringify(whole));
}

/** `node-agent` of the host, as root. */
export async function nodeAgent(host: SystemdHost, args: readonly string[], stdin?: string) {
  return await host.run([`${home}/current/node-agent`, ...args], stdin === undefined ? {} : { stdin });
}

export async function statusOf(host: SystemdHost): Promise<AgentStatus> {
  const { code, stdout, stderr } = await nodeAgent(host, ['status', '--json']);
  if (code !== 0) throw new Error(`${stdout}${stderr}`);
  return JSON.parse(stdout) as AgentStatus;
}

/** Has the daemon of the host carry out a task, as somebody on the host does. */
export async function runTask<T extends TaskType>(
  host: SystemdHost,
  type: T,
  params: TaskParams<T>,
): Promise<TaskResult> {
  const { stdout, stderr } = await nodeAgent(host, ['run-task', '-'], JSON.stringify({ type, params }));
  const last = stdout.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`${stdout}${stderr}`);
  return JSON.parse(last) as TaskResult;
}

/** Of the tenant of these hosts. */
export const allocationId = 'alloc-host';

/** A launch of an image that serves on a port of the host, in a folder of the tenant's home. */
export function webLaunch(
  reference: string,
  instance: string,
  port: number,
  over: Partial<LaunchParams> = {},
): LaunchParams {
  return {
    identity: {
      ...{ project_id: 'project-1', app_instance_id: instance, allocation_id: allocationId },
      ...{ app_slug: 'test', app_version: '1', display_name: 'A test' },
    },
    image: { kind: 'registry', reference, media_type: 'application/vnd.docker.distribution.manifest.v2+json' },
    env: {},
    resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.25 },
    mounts: [
      { name: 'data', path: '/data', mode: 'scratch', read_only: false },
      { name: 'shared', path: '/shared', mode: 'project_storage', read_only: false },
    ],
    ports: [{ name: 'web', container_port: 8080, host_port: port, protocol: 'http' }],
    python_packages: [],
    readiness: [{ type: 'http', endpoint: 'web', path: '/', timeout_seconds: 60 }],
    sandbox: 'runc',
    restart: { policy: 'no', max_retries: 0 },
    log_limits: { max_size_mib: 1, max_files: 2 },
    ...over,
  };
}

/** One process, as the single binary is: what systemd knows as the main process is Node itself. */
function launcher(version: string): string {
  return `#!/bin/sh\nexec ${version}/node ${version}/node-agent.mjs "$@"\n`;
}
