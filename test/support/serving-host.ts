/** A workload that serves on a host, and who asks it, and the agent, without a break. */
import { expect } from 'vitest';
import type { SystemdHost } from './systemd-host.ts';
import { identity, launchParams } from './task-bench.ts';

export interface Served {
  readonly ok: number;
  readonly failed: number;
  /** Longest time in which the agent did not answer. */
  readonly downMs: number;
  readonly tookMs: number;
}

export interface Serving {
  /** What was asked of the workload while `work` ran; it must have been the same container. */
  during(work: () => Promise<void>): Promise<Served>;
}

const port = 18_080;

/** Launches a web server by a task of this allocation; then somebody asks. */
export async function startServing(host: SystemdHost, allocation_id = 'alloc-1'): Promise<Serving> {
  const reference = await host.image('tiny');
  const params = {
    ...launchParams({
      identity: { ...identity, allocation_id },
      command: ['busybox', 'httpd', '-f', '-p', '8080', '-h', '/'],
      ports: [{ name: 'web', container_port: 8080, host_port: port, protocol: 'http' }],
      readiness: [{ type: 'tcp', endpoint: 'web', timeout_seconds: 30 }],
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.1 },
      env: {},
    }),
    image: { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' },
  };
  await host.write('/root/launch.json', JSON.stringify({ type: 'workload.oci_launch', params }));
  await host.sh('/opt/gpuaas-node-agent/current/node-agent run-task /root/launch.json');
  await host.write(
    '/root/ask.sh',
    `while :; do curl -s -o /dev/null -m 5 http://127.0.0.1:${port}/ && echo ok || echo failed; sleep 0.1; done >>/root/asked`,
  );
  await host.write(
    '/root/watch.sh',
    `while :; do curl -s -o /dev/null -m 2 --unix-socket /run/gpuaas-node-agent/agent.sock http://agent/v1/status && date +%s%3N; sleep 0.1; done >>/root/answered`,
  );
  await host.sh('systemd-run --quiet --unit=ask sh /root/ask.sh; systemd-run --quiet --unit=watch sh /root/watch.sh');
  return { during: (work) => during(host, work) };
}

async function during(host: SystemdHost, work: () => Promise<void>): Promise<Served> {
  const before = await containers(host);
  await host.sh(': >/root/asked; : >/root/answered');
  const begun = Date.now();
  await work();
  expect(await containers(host)).toBe(before);
  const lines = (await host.sh('cat /root/asked')).split('\n');
  const times = (await host.sh('cat /root/answered')).split('\n').map(Number);
  const served = {
    ok: lines.filter((line) => line === 'ok').length,
    failed: lines.filter((line) => line === 'failed').length,
    downMs: Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? time))),
    tookMs: Date.now() - begun,
  };
  console.log(JSON.stringify({ host: host.name, ...served }));
  return served;
}

/** Which they are, and since when each runs. */
const containers = (host: SystemdHost) =>
  host.sh(
    `docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}' $(docker ps -q --filter label=gpuaas.instance)`,
  );
