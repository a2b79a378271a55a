/**
 * The agent is updated on a real host while a workload serves (FAULTS 15 and 31): by systemd, the gate and the guard as
 * they are installed, and by signed releases of which some are not well.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBase } from '../../bootstrap/dev/ground.ts';
import { publisher, signingPair } from '../support/signed-release.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { launchParams } from '../support/task-bench.ts';
import { binaryOf, type Installed, installAgent, unwell } from '../support/update-ground.ts';

const ours = publisher();
const port = 18_080;
let host: SystemdHost;
let agent: Installed;

beforeAll(async () => {
  host = await startHost({ debian: 13 });
  const [binary, { registry }] = await Promise.all([binaryOf('0.1.0'), ensureBase()]);
  agent = await installAgent(host, binary, ours, { registry: registry.host });
  await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'an agent');
  await launch();
}, 600_000);
afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
});

/** A web server, by a task; then somebody who asks it without a break, and somebody who asks the agent. */
async function launch(): Promise<void> {
  const reference = await host.image('tiny');
  const params = {
    ...launchParams({
      command: ['busybox', 'httpd', '-f', '-p', '8080', '-h', '/'],
      ports: [{ name: 'web', container_port: 8080, host_port: port, protocol: 'http' }],
      readiness: [{ type: 'tcp', endpoint: 'web', timeout_seconds: 30 }],
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.1 },
      env: {},
    }),
    image: { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' },
  };
  await host.write('/root/launch.json', JSON.stringify({ type: 'workload.oci_launch', params }));
  const { code, stdout, stderr } = await host.run([
    '/opt/gpuaas-node-agent/current/node-agent',
    'run-task',
    '/root/launch.json',
  ]);
  if (code !== 0) throw new Error(stdout + stderr);
  await host.write(
    '/root/ask.sh',
    `while :; do curl -s -o /dev/null -m 5 http://127.0.0.1:${port}/ && echo ok || echo failed; sleep 0.02; done >>/root/asked`,
  );
  await host.write(
    '/root/watch.sh',
    `while :; do curl -s -o /dev/null -m 2 --unix-socket /run/gpuaas-node-agent/agent.sock http://agent/v1/status && date +%s%3N; sleep 0.02; done >>/root/answered`,
  );
  await host.sh('systemd-run --quiet --unit=ask sh /root/ask.sh; systemd-run --quiet --unit=watch sh /root/watch.sh');
}

const containerOf = () =>
  host.sh("docker ps --no-trunc --format '{{.ID}} {{.CreatedAt}}' --filter label=gpuaas.instance");
const startedAt = async () =>
  await host.sh(
    `docker inspect --format '{{.State.StartedAt}} {{.RestartCount}}' $(docker ps -q --filter label=gpuaas.instance)`,
  );

/** What was asked of the workload while `work` ran; it must have been the same container. */
async function served(work: () => Promise<void>): Promise<{ ok: number; failed: number; downMs: number }> {
  const before = [await containerOf(), await startedAt()];
  await host.sh(': >/root/asked; : >/root/answered');
  const begun = Date.now();
  await work();
  expect([await containerOf(), await startedAt()]).toEqual(before);
  const lines = (await host.sh('cat /root/asked')).split('\n');
  const times = (await host.sh('cat /root/answered')).split('\n').map(Number);
  const downMs = Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? time)));
  const counts = {
    ok: lines.filter((line) => line === 'ok').length,
    failed: lines.filter((line) => line === 'failed').length,
  };
  console.log(JSON.stringify({ ...counts, downMs, tookMs: Date.now() - begun }));
  return { ...counts, downMs };
}

const from = async (folder: string) =>
  await host.run(['/opt/gpuaas-node-agent/current/node-agent', 'update', '--from', folder, '--json'], { timeout: 200 });
const codeOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}').failure?.code;

describe('a version that is not believed', () => {
  it.each([
    ['update.untrusted', 'is signed by another root', () => publisher(signingPair()).release('0.1.5', unwell.crashes)],
    ['update.expired', 'has expired', () => ours.release('0.1.5', unwell.crashes, { expires: '2026-01-01T00:00:00Z' })],
    ['update.unfit', 'fails its self-test', () => ours.release('0.1.5', unwell.unfit)],
    [
      'update.damaged',
      'is another file than was signed',
      () => ({ ...ours.release('0.1.5', unwell.crashes), packed: ours.release('0.1.5', unwell.hangs).packed }),
    ],
  ] as const)('is refused as %s where it %s', async (code, _what, release) => {
    const { failed } = await served(async () => {
      expect(codeOf(await from(await agent.bring(release())))).toBe(code);
    });

    expect(await agent.running()).toEqual({ version: '0.1.0', current: 'versions/0.1.0', pending: '' });
    expect(failed).toBe(0);
  });
});

describe('a version that is not well', () => {
  it.each([
    ['crashes', '0.1.6', 'It was started 3 times'],
    ['hangs', '0.1.7', 'It was not well within 75 seconds'],
    ['freezes', '0.1.8', 'It was not well within 75 seconds'],
  ] as const)('is rolled back within two minutes where it %s, and never taken again', async (how, version, why) => {
    const release = ours.release(version, unwell[how]);
    const folder = await agent.bring(release);
    const { failed, ok } = await served(async () => {
      expect(codeOf(await from(folder))).toBe('update.rolled_back');
      await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'the old version', 120);
    });

    expect(ok).toBeGreaterThan(10);
    expect(failed).toBe(0);
    expect(await agent.running()).toEqual({ version: '0.1.0', current: 'versions/0.1.0', pending: '' });
    expect(await agent.guarded('skipped')).toContain(`${version} ${why}`);
    expect(codeOf(await from(folder))).toBe('update.skipped');
  });
});

describe('a version that is well', () => {
  it('takes over while a workload serves, and stays (G-187)', async () => {
    const folder = await agent.bring(ours.release('0.2.0', await binaryOf('0.2.0')));
    const { failed, ok } = await served(async () => {
      const { code, stdout, stderr } = await from(folder);
      expect([code, stderr]).toEqual([0, expect.any(String)]);
      expect(JSON.parse(stdout)).toMatchObject({ outcome: 'committed', version: '0.2.0', from: '0.1.0' });
    });

    expect(ok).toBeGreaterThan(10);
    expect(failed).toBe(0);
    expect(await agent.running()).toEqual({ version: '0.2.0', current: 'versions/0.2.0', pending: '' });
    expect(await host.sh('readlink /opt/gpuaas-node-agent/previous')).toBe('versions/0.1.0');
    expect(await agent.guarded('memory')).toContain('seq=');
  });

  it('is left again by an operator, and then not taken by itself', async () => {
    const { failed } = await served(async () => {
      await host.sh('/opt/gpuaas-node-agent/current/node-agent update --rollback');
      await host.waitFor(async () => (await agent.running()).version === '0.1.0', 'the version before');
    });

    expect(failed).toBe(0);
    expect(await agent.guarded('skipped')).toContain('0.2.0 ');
  });
});
