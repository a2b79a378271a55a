/** Gate and agent as the services that a bootstrap installs, on hosts whose first process is systemd. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import type { HostCards } from '../../src/agent/local-api/agent-status.ts';
import { containerName } from '../../src/contract/names.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { authority } from '../support/authority.ts';
import {
  allocationId,
  installAgent,
  nodeAgent,
  runTask,
  statusOf,
  units,
  webLaunch,
} from '../support/installed-agent.ts';
import { contentOf } from '../support/loopback-source.ts';
import { realStack, server, sleeper } from '../support/real-stack.ts';
import { s3Server } from '../support/s3-server.ts';
import { serveProcess } from '../support/serve-process.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, personOf } from '../support/wire-ground.ts';

/** What `systemd-analyze security` may say of a unit. */
const exposure = { gate: 3, agent: 1.5 };

describe.each([13, 12] as const)('on Debian %s', (debian) => {
  let host: SystemdHost;
  let container: string;
  const launched = `web-${debian}`;
  beforeAll(async () => {
    host = await startHost({ debian });
    await host.write('/usr/local/bin/nvidia-smi', nvidiaSmi, 0o755);
    await installAgent(host, { inputs: { allow: ['127.0.0.0/8'] } } as Parameters<typeof installAgent>[1]);
    const result = await runTask(host, 'workload.oci_launch', webLaunch(await host.image('web'), launched, 8080));
    expect(result).toMatchObject({ status: 'succeeded', failure: null });
    container = await startedAt();
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  /** Id and start of the workload's container. */
  const startedAt = async () =>
    await host.sh(`docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' ${containerName(launched)}`);

  it('are ready, say how they are, and have never failed', async () => {
    for (const unit of Object.values(units)) {
      expect(await host.unit(unit, 'ActiveState')).toBe('active');
      expect(await host.unit(unit, 'NRestarts')).toBe('0');
    }
    expect(await host.unit(units.gate, 'StatusText')).toBe(
      'Listens on /run/gpuaas-node-agent-gate/gate.sock for /var/run/docker.sock.',
    );
    await host.waitFor(
      async () => (await host.unit(units.agent, 'StatusText')) === 'No control plane. 0 tasks, 1 workload.',
      'the status of the agent',
    );
  });

  it.each(['gate', 'agent'] as const)('the %s is exposed no more than it has to be', async (which) => {
    const shown = await host.sh(`systemd-analyze security --no-pager ${units[which]} | tail -n 1`);

    expect(Number(/service: ([\d.]+)/.exec(shown)?.[1])).toBeLessThanOrEqual(exposure[which]);
  });

  it('a workload serves, and its folders are in the home of the tenant, and his', async () => {
    expect(await host.sh('curl -sS http://127.0.0.1:8080/')).toBe('hello');

    await host.sh(`docker exec ${containerName(launched)} sh -c 'echo kept > /data/file && echo kept > /shared/file'`);
    expect(await host.sh('cd /home/tenant/gpuaas; stat -c "%U" workloads/*/*/file projects/*/*/file')).toBe(
      'tenant\ntenant',
    );
  });

  it('the log of a task is found in the journal, its entries with their severity', async () => {
    const [taskId = ''] = (await nodeAgent(host, ['tasks', '--json'])).stdout.match(/[0-9a-f-]{36}/) ?? [];
    const whole = await host.journal(['-u', units.agent]);

    expect(whole.find(({ MESSAGE = '' }) => MESSAGE.includes('task has ended'))).toMatchObject({
      ...{ PRIORITY: '6', SYSLOG_IDENTIFIER: 'gpuaas-node-agent', _SYSTEMD_UNIT: units.agent },
    });
    if (debian === 12) {
      // Too old for fields: the values are in the text.
      const found = await host.journal(['-u', units.agent, '--grep', taskId]);
      expect(found.map(({ MESSAGE = '' }) => JSON.parse(MESSAGE))).toContainEqual(
        expect.objectContaining({ task_id: taskId, phase: 'running' }),
      );
      return;
    }
    const ofTask = await host.journal([`GPUAAS_TASK_ID=${taskId}`]);
    expect(ofTask.length).toBeGreaterThan(5);
    expect(ofTask).toContainEqual(expect.objectContaining({ GPUAAS_INSTANCE: launched, GPUAAS_PHASE: 'running' }));
    expect(await host.journal([`GPUAAS_INSTANCE=${launched}`, '+', 'GPUAAS_TASK_ID=none'])).toEqual(
      expect.arrayContaining([...ofTask]),
    );
  });

  it('cards are seen, and what the kernel says of them is heard', async () => {
    await host.waitFor(async () => (await cards()).gpus.length === 1, 'the card');

    expect(await cards()).toMatchObject({ hears_kernel: true, gpus: [{ uuid: 'GPU-stand-in', health: 'healthy' }] });
  });
  const cards = async () => JSON.parse((await nodeAgent(host, ['gpus', '--json'])).stdout) as HostCards;

  it('a gate that starts anew leaves workloads and their secrets alone, and the agent finds it again', async () => {
    await host.sh('mkdir -p /run/gpuaas-node-agent-gate/secrets/kept');

    await host.sh(`systemctl restart ${units.gate}`);

    await host.waitFor(async () => (await statusOf(host)).engine.state === 'ready', 'the engine');
    expect(await host.sh('ls /run/gpuaas-node-agent-gate/secrets')).toBe('kept');
    expect(await startedAt()).toBe(container);
    await host.sh('rmdir /run/gpuaas-node-agent-gate/secrets/kept');
  });

  it('an agent that stands still is killed and started again, and the workload does not notice', async () => {
    await host.write(`/run/systemd/system/${units.agent}.d/impatient.conf`, '[Service]\nWatchdogSec=6s\n');
    await host.sh(`systemctl daemon-reload; systemctl restart ${units.agent}`);
    const before = await host.unit(units.agent, 'MainPID');

    await host.sh(`kill -STOP ${before}`);

    await host.waitFor(async () => (await host.unit(units.agent, 'NRestarts')) === '1', 'the watchdog');
    await host.waitFor(async () => (await host.unit(units.agent, 'ActiveState')) === 'active', 'the agent');
    expect(await host.unit(units.agent, 'MainPID')).not.toBe(before);
    const told = (await host.journal(['_PID=1', `UNIT=${units.agent}`])).map(({ MESSAGE = '' }) => MESSAGE);
    expect(told).toContainEqual(expect.stringContaining('Watchdog timeout'));
    expect(await startedAt()).toBe(container);
    expect(await host.sh('curl -sS http://127.0.0.1:8080/')).toBe('hello');
    expect((await statusOf(host)).workloads).toMatchObject([{ workload_id: launched, state: 'running' }]);
  });

  it('an agent that gets on says so again and again', async () => {
    const fed = async () => await host.unit(units.agent, 'WatchdogTimestampMonotonic');
    const first = await fed();

    await host.waitFor(async () => (await fed()) !== first, 'the next sign');

    expect(await host.unit(units.agent, 'NRestarts')).toBe('1');
    // As it is shipped, for what comes after: a machine that is busy with others may take longer to give an agent its turn.
    await host.sh(
      `rm /run/systemd/system/${units.agent}.d/impatient.conf; systemctl daemon-reload; systemctl restart ${units.agent}`,
    );
  });

  if (debian === 12) return;

  it('JupyterLab runs, in a workspace of the home', async () => {
    const params = webLaunch(await host.image('runtime-cpu'), 'notebook', 8888, {
      env: { JUPYTER_TOKEN: 'a-token-of-the-test' },
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 },
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
      ports: [{ name: 'web', container_port: 8888, host_port: 8888, protocol: 'http' }],
      readiness: [{ type: 'http', endpoint: 'web', path: '/api', timeout_seconds: 90 }],
    });

    expect(await runTask(host, 'workload.oci_launch', params)).toMatchObject({ status: 'succeeded' });

    expect(await host.sh('curl -sS http://127.0.0.1:8888/api/status?token=a-token-of-the-test')).toContain('"started"');
  });

  it('a stack runs, by Compose', async () => {
    const web = await host.image('tiny');
    const allocated = { policy: { allocation: { id: allocationId } } } as Parameters<typeof realStack>[0];
    const stack = realStack(allocated, {
      web: server(web, 8081, { depends_on: { db: { condition: 'service_started' } } }),
      db: sleeper(web),
    });

    expect(await runTask(host, 'workload.compose_launch', stack)).toMatchObject({ status: 'succeeded' });

    expect(await host.sh('curl -sS http://127.0.0.1:8081/')).toBe('hello');
  });

  it('the host is measured, on the port that is only the host’s own', async () => {
    const metrics = await host.sh('curl -sS http://127.0.0.1:9464/metrics; curl -sS http://127.0.0.1:9464/readyz');

    expect(metrics).toContain('gpuaas_');
    expect((await host.run(['curl', '-sS', '-m', '2', `http://${host.address}:9464/metrics`])).code).not.toBe(0);
  });

  it('a stop waits for a task that is at work, which ends well', async () => {
    const slow = webLaunch(await host.image('web'), 'slow', 8082, {
      env: { GPUAAS_PARAM_WAIT_SECONDS: '4' },
      resources: { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.1 },
    });
    const running = runTask(host, 'workload.oci_launch', slow);
    await host.waitFor(async () => (await statusOf(host)).tasks.running === 1, 'the task at work');

    await host.sh(`systemctl stop ${units.agent}`);

    expect(await running).toMatchObject({ status: 'succeeded' });
    expect(await host.unit(units.agent, 'Result')).toBe('success');
    expect(await host.sh('curl -sS http://127.0.0.1:8082/')).toBe('hello');
  });

  it('the agent is enrolled as its own user, and connected over TLS, by a name; a job goes all the way', async () => {
    const folder = temporaryFolder('tls');
    const trusted = authority(folder);
    const { cert, key } = trusted.issue('DNS:localhost');
    const port = await freePort();
    const url = `https://localhost:${port}`;
    const tls = ['--listen', `127.0.0.1:${port}`, '--tls-cert', cert, '--tls-key', key, '--ca', trusted.ca];
    const tiny = await host.image('tiny');
    const registry = ['--registry', tiny.split('/')[0] ?? ''];
    const serve = await serveProcess(join(folder, 'server'), ['--init', '--public-url', url, ...registry, ...tls]);
    try {
      setDefaultCACertificates([readFileSync(trusted.ca, 'utf8')]);
      const admin = personOf(url, serve.adminToken ?? '', trusted.ca);
      const made = async (path: string, body: object) => ok(await admin.call('POST', `/api/v1/${path}`, body));
      const project = await made('projects', { name: 'first' });
      const allocation = await made('allocations', {
        ...{ project_id: project.id, name: 'a host', data_policy: 'keep' },
        ...{
          shape: { gpu_count: 0, cpu_cores: 4, memory_gib: 4 },
          ssh: { user: 'tenant', host: 'h.example.com', port: 22 },
        },
      });
      const { token } = await made('nodes/join-tokens', { allocation_id: allocation.id });
      await host.reach(port);
      await host.copyIn(trusted.ca, '/etc/gpuaas-node-agent/ca.pem');

      await host.sh(
        `systemctl stop ${units.agent}; sed -i 's/${allocationId}/${allocation.id}/' /etc/gpuaas-node-agent/agent.json`,
      );
      const enroll = ['enroll', '--url', url, '--ca', '/etc/gpuaas-node-agent/ca.pem', '--token-file', '-'];
      const enrolled = await host.run(['/opt/gpuaas-node-agent/current/node-agent', ...enroll], {
        ...{ user: 'gpuaas-agent', stdin: token },
      });
      await host.sh(`systemctl restart ${units.gate}; systemctl start ${units.agent}`);

      expect(enrolled).toMatchObject({ code: 0 });
      const status = async () => await host.unit(units.agent, 'StatusText');
      await host.waitFor(async () => (await status()).startsWith(`Connected to ${url}. 0 tasks, `), 'the session');

      const bucket = await s3Server([{ name: 'data', objects: { 'a.txt': contentOf('fetched\n') } }], {
        style: 'path',
      });
      await host.reach(Number(new URL(bucket.origin).port));
      const document = join(folder, 'job.json');
      writeFileSync(document, JSON.stringify(aJob(tiny, `${bucket.origin}/data/`)));
      const cli = async (...args: readonly string[]) => {
        const { code, stdout, stderr } = await admin.cli(...args).ended;
        if (code !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`);
        return stdout;
      };
      // What the workloads before it have left.
      const amounts = ['--cpus', '0.1', '--memory', '0.5'];
      const submitted = await cli('jobs', 'submit', document, '--project', project.id, ...amounts, '--wait', '--json');
      const { id, node_id, steps } = JSON.parse(submitted) as JobView;
      const [all, keys, receipt] = ['all.tar', 'keys.json', 'receipt.jws'].map((name) => join(folder, name));
      await cli('jobs', 'artifacts', id, 'write', '-o', String(all));
      await cli('nodes', 'keys', String(node_id), '-o', String(keys));
      await cli('jobs', 'receipt', id, '-o', String(receipt));
      const verified = await cli(
        ...['jobs', 'verify', String(receipt), '--key', String(keys), '--document', document],
        ...['--artifact', `write=${all}`, '--json'],
      );

      expect(steps.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
      expect(readFileSync(String(all), 'latin1')).toContain('fetched\nchanged\nfetched\nread-only\n');
      expect(JSON.parse(verified)).toMatchObject({ valid: true, differences: [] });
      const users = `for unit in ${units.gate} ${units.agent}; do ps -o user= -p "$(systemctl show -P MainPID $unit)"; done`;
      expect(await host.sh(`${users}; stat -c %U /var/lib/gpuaas-node-agent-inputs`)).toBe('root\ngpuaas-agent\nroot');
      const its = `--filter label=gpuaas.instance=${id}`;
      const left = `docker ps -aq ${its}; docker volume ls -q ${its}; docker network ls -q ${its}`;
      expect(await host.sh(`${left}; ls /var/lib/gpuaas-node-agent-inputs/jobs`)).toBe('');
    } finally {
      await serve.stop('SIGKILL');
    }
    await host.waitFor(
      async () => (await host.unit(units.agent, 'StatusText')).startsWith(`There is no session with ${url}`),
      'the end of the session',
    );
    expect(await host.unit(units.agent, 'ActiveState')).toBe('active');
  });
});

/** What one op has read-only the other may change, and what it has written is kept with what the first has left in a volume. */
function aJob(image: string, url: string): object {
  const op = (id: string, cmd: string, args: object) => ({
    ...{ type: 'container/run', id },
    args: { image, cmd, volumes: [{ name: 'shared', dest: '/v' }], ...args },
  });
  const input = { type: 'S3', url, target: '/in' };
  return {
    ...{ version: '0.1', type: 'container' },
    ops: [
      { type: 'container/create-volume', id: 'volume', args: { name: 'shared' } },
      op('read', 'cat /in/a.txt > /v/a; touch /in/b || echo read-only >> /v/a', { resources: [input] }),
      op('write', 'echo changed >> /in/a.txt && cat /in/a.txt /v/a > /out/all', {
        ...{ resources: [{ ...input, allowWrite: true }], output: '/out' },
      }),
    ],
  };
}

/** One card, in the words of the tool. */
const nvidiaSmi = `#!/bin/sh
case "$*" in
*memory.total,driver_version*) echo "GPU-stand-in, NVIDIA H100 80GB HBM3, 81559, 570.86.15, 00000000:17:00.0, Disabled" ;;
-L) echo "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-stand-in)" ;;
*utilization*) echo "GPU-stand-in, 37, 40960, 81559, 61, 412.50" ;;
*) exit 2 ;;
esac
`;
