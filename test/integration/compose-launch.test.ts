/** Stacks on the real engine, through the real gate, by the real Compose. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { maxServices } from '../../src/contract/compose-document.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { StackOutput, WorkloadEvent } from '../../src/contract/workload-output.ts';
import { workloadRoot } from '../../src/policy/host-policy.ts';
import { inspectRaw, networksOf } from '../support/looking.ts';
import { containersOf, realStack, server, sleeper, succeededStack } from '../support/real-stack.ts';
import { contentsBelow, secretsIn } from '../support/secrets.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const run = promisify(execFile);
const secrets = { env: 'canary-env-5b81f0$HOME', file: 'canary-file-77aa02' };

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => await host.clear());
afterAll(async () => await host?.close());

const launch = (params: WorkloadComposeLaunchParams, options = {}) =>
  host.run('workload.compose_launch', params, options);
const control = (params: WorkloadComposeLaunchParams, action: 'stop' | 'start' | 'restart') =>
  host.run('workload.compose_control', { identity: params.identity, action, grace_seconds: 5 });
const remove = (params: WorkloadComposeLaunchParams, keep_data = false) =>
  host.run('workload.compose_remove', { identity: params.identity, keep_data, grace_seconds: 5 });
const documentOf = ({ identity }: WorkloadComposeLaunchParams) =>
  join(host.folder, 'state/stacks', identity.app_instance_id, 'compose.json');
const container = ({ identity }: WorkloadComposeLaunchParams, service: string) =>
  `gpuaas-${identity.app_instance_id}.${service}`;

const soon = { interval: '1s', timeout: '5s', retries: 3, start_period: '1s' };

describe('a stack of two services', () => {
  let params: WorkloadComposeLaunchParams;
  let result: TaskResult;
  let output: StackOutput;
  let commandLines: Set<string>;

  async function bringUp(): Promise<void> {
    const db = sleeper(tiny, {
      healthcheck: { test: ['CMD', '/bin/true'], ...soon },
      volumes: [{ type: 'volume', source: 'data', target: '/data', read_only: false }],
      environment: { TEXT: 'a$b $' + '{HOME} $$' },
      command: ['touch /data/was-here; echo "$PASSWORD"; cat /run/secrets/token; while :; do sleep 0.1; done'],
    });
    const web = server(tiny, await freePort(), { depends_on: { db: { condition: 'service_healthy' } } });
    params = realStack(
      host,
      { web, db },
      {
        sealed_env: { db: { PASSWORD: await seal(secrets.env) } },
        sealed_files: { db: { '/run/secrets/token': await seal(secrets.file) } },
      },
    );
    commandLines = new Set();
    const launched = launch(params);
    let running = true;
    void launched.finally(() => {
      running = false;
    });
    while (running) {
      for (const line of composeCommandLines()) commandLines.add(line);
      await turn();
    }
    result = await launched;
    output = succeededStack(result);
  }

  it('comes up in order, with an event per step, ready on its port (G-153)', async () => {
    await bringUp();

    expect(output).toMatchObject({
      ...{ state: 'running', failure: null },
      topology: {
        services: [
          { name: 'web', state: 'running' },
          { name: 'db', state: 'running' },
        ],
      },
      adapter: { kind: 'compose_stack', adopted: false, services: [{ service: 'web' }, { health: 'healthy' }] },
    });
    expect(phasesOf(output.events)).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
    const steps = stepsOf(output.events);
    expect(steps).toHaveLength(5);
    expect(steps.indexOf('db healthy')).toBeLessThan(steps.indexOf('web started'));
    const answer = await fetch(output.endpoints[0]?.url ?? '');
    expect(await answer.text()).toBe('hello\n');
    expect((await networksOf(host, `gpuaas-${params.identity.app_instance_id}`)).length).toBe(1);
  });

  it('has texts as they are, secrets where they belong, and secrets nowhere else', async () => {
    await bringUp();

    const { Config } = await inspectRaw(host, container(params, 'db'));
    expect(Config.Env).toContain('TEXT=a$b $' + '{HOME} $$');
    expect(Config.Env).toContain(`PASSWORD=${secrets.env}`);
    const signal = AbortSignal.timeout(30_000);
    const { tail } = await host.engine.exec(container(params, 'db'), ['/bin/cat', '/run/secrets/token'], { signal });
    expect(tail).toBe(secrets.file);
    const document = readFileSync(documentOf(params), 'utf8');
    expect(statSync(documentOf(params)).mode & 0o777).toBe(0o600);
    expect(statSync(join(documentOf(params), '..')).mode & 0o777).toBe(0o700);
    expect([...commandLines].some((line) => line.includes(' up '))).toBe(true);
    const said = [document, ...commandLines, JSON.stringify(result), host.gateLog.join('')];
    expect(secretsIn(said.join('\n'), secrets)).toEqual([]);
    for (const [file, content] of contentsBelow(join(host.folder, 'state'))) {
      expect({ file, found: secretsIn(content, secrets) }).toEqual({ file, found: [] });
    }
  });

  it('is written as a document that Compose reads as it is meant', async () => {
    await bringUp();
    const env = { GPUAAS_SECRET_0: 'x', DOCKER_CONFIG: host.folder, PATH: process.env['PATH'] };

    const program = join(await ensureCompose(), 'docker-compose');
    const { stdout } = await run(program, ['-f', documentOf(params), 'config', '--format', 'json'], { env });

    const read = JSON.parse(stdout) as { services: Record<string, { environment: Record<string, string> }> };
    // As Compose writes it out again, a dollar is two.
    expect(read.services['db']?.environment['TEXT']?.replaceAll('$$', '$')).toBe('a$b $' + '{HOME} $$');
  });

  it('stops, starts and restarts as a whole, and each twice is as once (G-154)', async () => {
    await bringUp();

    const states: unknown[] = [];
    for (const action of ['stop', 'stop', 'start', 'start', 'restart'] as const) {
      const { state, topology, events } = succeededStack(await control(params, action));
      states.push([action, state, topology.services.map((service) => service.state), stepsOf(events).length]);
    }

    expect(states).toEqual([
      ['stop', 'stopped', ['stopped', 'stopped'], 2],
      ['stop', 'stopped', ['stopped', 'stopped'], 0],
      ['start', 'running', ['running', 'running'], 3],
      ['start', 'running', ['running', 'running'], 0],
      ['restart', 'running', ['running', 'running'], 5],
    ]);
  });

  it('goes with everything that belongs to it, its data as asked (G-155)', async () => {
    await bringUp();
    const data = workloadRoot(host.policy, params.identity.app_instance_id);

    const kept = succeededStack(await remove(params, true));
    expect(kept.cleanup?.kept).toEqual([`folder ${data}`]);
    expect(await containersOf(host, params)).toEqual(new Map());
    expect(await networksOf(host, `gpuaas-${params.identity.app_instance_id}`)).toEqual([]);
    expect(readdirSync(join(host.folder, 'state/stacks'))).not.toContain(params.identity.app_instance_id);
    expect(readdirSync(host.policy.secrets_dir).join()).not.toContain(params.identity.app_instance_id);
    const gone = succeededStack(await remove(params));
    expect(gone.cleanup?.removed.join()).toContain(data);
    expect(succeededStack(await remove(params)).cleanup?.removed).toEqual([]);
  });
});

describe('another launch of a stack', () => {
  it('adopts what runs, makes what is missing, and starts what has stopped', async () => {
    const params = realStack(host, { a: sleeper(tiny), b: sleeper(tiny), c: sleeper(tiny) });
    succeededStack(await launch(params));
    const before = await containersOf(host, params);
    const signal = AbortSignal.timeout(30_000);
    await host.engine.stop(container(params, 'b'), 0, signal);
    await host.engine.remove(container(params, 'c'), signal);

    const output = succeededStack(await launch(params));

    const after = await containersOf(host, params);
    expect([...after.values()].map(({ state }) => state)).toEqual(['running', 'running', 'running']);
    expect([after.get('a')?.id, after.get('b')?.id]).toEqual([before.get('a')?.id, before.get('b')?.id]);
    expect(stepsOf(output.events).sort()).toEqual(['b started', 'c created', 'c started']);
  });

  it('adopts one of which a service has done its work, and does not have it done again', async () => {
    const done = { setup: { condition: 'service_completed_successfully' } } as const;
    const params = realStack(host, {
      setup: sleeper(tiny, { command: ['exit 0'] }),
      main: sleeper(tiny, { depends_on: done }),
    });
    succeededStack(await launch(params));
    const before = (await inspectRaw(host, container(params, 'setup'))).State;

    const output = succeededStack(await launch(params));

    expect([output.adapter.adopted, stepsOf(output.events)]).toEqual([true, []]);
    expect((await inspectRaw(host, container(params, 'setup'))).State).toEqual(before);
  });

  it('replaces an older spec under a higher fencing, its data left, and is stale under none', async () => {
    const volumes = [{ type: 'volume', source: 'data', target: '/data', read_only: false } as const];
    const params = realStack(host, { a: sleeper(tiny, { volumes }), old: sleeper(tiny) });
    succeededStack(await launch(params, { fencing: 100 }));
    const newer = { ...realStack(host, { a: sleeper(tiny, { volumes, cpus: 0.2 }) }), identity: params.identity };

    const stale = await launch(newer, { fencing: 100 });
    const there = await containersOf(host, params);
    const output = succeededStack(await launch(newer, { fencing: 101 }));

    expect(stale).toMatchObject({ status: 'failed', failure: { code: 'task.stale' } });
    expect(there.size).toBe(2);
    expect([...(await containersOf(host, params)).keys()]).toEqual(['a']);
    expect(output.topology.services).toMatchObject([{ name: 'a', state: 'running' }]);
    expect(statSync(join(workloadRoot(host.policy, params.identity.app_instance_id), 'data')).isDirectory()).toBe(true);
  });
});

describe('a launch that does not succeed', () => {
  it('names the service that ended, with the end of its log, at once, and leaves nothing', async () => {
    const slow = sleeper(tiny, { healthcheck: { test: ['CMD', '/bin/false'], ...soon, start_period: '600s' } });
    const bad = sleeper(tiny, { command: ['echo no such model; exit 3'] });
    const late = sleeper(tiny, { depends_on: { slow: { condition: 'service_healthy' } } });
    const params = realStack(host, { slow, bad, late });

    const result = await launch(params);

    expect(result).toMatchObject({
      status: 'failed',
      failure: { code: 'container.exited', detail: { service: 'bad', exit_code: 3, excerpt: 'no such model' } },
      output: { state: 'failed', cleanup: { failed: [] } },
    });
    await expectNothing(params);
  });

  it.each(['Compose makes containers', 'Compose waits for a service', 'it is probed'])(
    'because it is cancelled while %s: leaves nothing',
    async (when) => {
      const never = { test: ['CMD', '/bin/false'], ...soon, start_period: '600s' };
      const slow = sleeper(tiny, when.includes('waits') ? { healthcheck: never } : {});
      const condition = when.includes('waits') ? 'service_healthy' : 'service_started';
      const late = server(tiny, await freePort(), { depends_on: { slow: { condition } }, command: ['sleep 100000'] });
      const params = realStack(host, { slow, late });
      const cancel = new AbortController();
      const moments: Record<string, (event: WorkloadEvent) => boolean> = {
        'Compose makes containers': ({ type }) => type === 'service.created',
        'Compose waits for a service': ({ type }) => type === 'service.started',
        'it is probed': ({ phase }) => phase === 'probing',
      };

      const result = await launch(params, {
        cancel: cancel.signal,
        onEvent: (event: WorkloadEvent) => moments[when]?.(event) && cancel.abort(),
      });

      expect(result).toMatchObject({ status: 'cancelled', failure: { code: 'task.cancelled' } });
      await expectNothing(params);
    },
  );

  it('because a port is taken: makes nothing', async () => {
    const port = await freePort();
    const params = realStack(host, { a: server(tiny, port) });
    const rival = realStack(host, { a: server(tiny, port) });
    succeededStack(await launch(params));

    expect(await launch(rival)).toMatchObject({ status: 'rejected', failure: { code: 'port.conflict' } });
    expect(await containersOf(host, rival)).toEqual(new Map());
  });

  it('because something foreign has the name of a service: leaves that alone', async () => {
    const params = realStack(host, { a: sleeper(tiny) });
    const name = container(params, 'a');
    const { stdout: id } = await run('docker', ['-H', `unix://${host.engineSocket}`, 'create', '--name', name, tiny]);
    try {
      expect(await launch(params)).toMatchObject({ failure: { code: 'name.conflict' } });
      expect((await inspectRaw(host, name)).Id).toBe(id.trim());
    } finally {
      await run('docker', ['-H', `unix://${host.engineSocket}`, 'rm', '-f', name]);
    }
  });
});

/** What would reach beyond the container, if it were taken. */
const forbidden: readonly (readonly [string, unknown])[] = [
  ...[['privileged', true] as const, ['cap_add', ['ALL']] as const, ['devices', ['/dev/kmsg']] as const],
  ...[['network_mode', 'host'] as const, ['pid', 'host'] as const, ['ipc', 'host'] as const, ['uts', 'host'] as const],
  ...[['userns_mode', 'host'] as const, ['cgroup', 'host'] as const, ['cgroup_parent', '/'] as const],
  ...[['sysctls', { 'kernel.msgmax': 1 }] as const, ['security_opt', ['seccomp:unconfined']] as const],
  ...[['runtime', 'runc'] as const, ['user', '0:0'] as const, ['group_add', ['0']] as const, ['labels', {}] as const],
  ...[['volumes_from', ['x']] as const, ['build', '.'] as const, ['env_file', '/etc/passwd'] as const],
  ...[['configs', []] as const, ['secrets', []] as const, ['extra_hosts', ['a:127.0.0.1']] as const],
  ...[['extends', { file: '/etc/x' }] as const, ['container_name', 'x'] as const, ['restart', 'always'] as const],
  ...[['links', ['x']] as const, ['dns', '127.0.0.1'] as const, ['tmpfs', ['/x']] as const, ['profiles', []] as const],
  ...[['oom_kill_disable', true] as const, ['gpus', 'all'] as const, ['post_start', []] as const],
  ...[['device_cgroup_rules', ['a *:* rwm']] as const, ['use_api_socket', true] as const],
];

it('has room in its network for as many services as a document may have', async () => {
  const names = Array.from({ length: maxServices }, (_, index) => `s${index}`);
  const params = realStack(host, Object.fromEntries(names.map((name) => [name, sleeper(tiny)])));

  const { topology } = succeededStack(await launch(params));

  expect(topology.services.map(({ name, state }) => [name, state])).toEqual(names.map((name) => [name, 'running']));
});

it('refuses each key that reaches beyond a container, with its path, before anything is made', async () => {
  const plain = realStack(host, { a: sleeper(tiny) });
  for (const [key, value] of forbidden) {
    const a = { ...sleeper(tiny), [key]: value };
    const params = { ...plain, document: { ...plain.document, services: { a } } };

    const result = await launch(params as WorkloadComposeLaunchParams);

    expect(result).toMatchObject({
      ...{ status: 'rejected', output: null },
      failure: { code: 'task.invalid', detail: { errors: [{ path: `/params/document/services/a/${key}` }] } },
    });
  }
  await expectNothing(plain);
});

it('keeps stacks and single containers apart, in both directions', async () => {
  const params = realStack(host, {
    a: sleeper(tiny, { volumes: [{ type: 'volume', source: 'data', target: '/data', read_only: false }] }),
  });
  const { identity } = params;
  succeededStack(await launch(params));

  const single = host.launchParams(tiny);
  const { app_instance_id } = single.identity;
  const singleStack = { ...params, identity: { ...identity, app_instance_id } };
  expect(await host.run('workload.oci_launch', single)).toMatchObject({ status: 'succeeded' });
  const refused = [
    await host.run('workload.oci_launch', { ...host.launchParams(tiny), identity }),
    await launch(singleStack),
    await control(singleStack, 'stop'),
    await remove(singleStack),
    await host.run('workload.oci_control', { identity, action: 'stop', grace_seconds: 1 }),
    await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 1 }),
  ];

  expect(refused.map(({ failure }) => failure?.code)).toEqual(Array(6).fill('task.invalid'));
  expect((await containersOf(host, params)).get('a')?.state).toBe('running');
  expect((await containersOf(host, singleStack)).get('')?.state).toBe('running');
  expect(await networksOf(host, `gpuaas-${identity.app_instance_id}`)).toHaveLength(1);
  expect(statSync(join(workloadRoot(host.policy, identity.app_instance_id), 'data')).isDirectory()).toBe(true);
});

async function expectNothing(params: WorkloadComposeLaunchParams): Promise<void> {
  const instance = params.identity.app_instance_id;
  expect(await containersOf(host, params)).toEqual(new Map());
  expect(await networksOf(host, `gpuaas-${instance}`)).toEqual([]);
  expect(
    [...contentsBelow(join(host.folder, 'state'))].filter(([file]) => file.includes(`stacks/${instance}`)),
  ).toEqual([]);
  expect(composeCommandLines().filter((line) => line.includes(instance))).toEqual([]);
}

/** Arguments of every Compose that runs. */
function composeCommandLines(): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch (error) {
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
        throw error;
      }
    })
    .filter((line) => /^\S*\/docker-compose /.test(line));
}

function phasesOf(events: readonly WorkloadEvent[]): unknown[] {
  return events.filter(({ type }) => type === 'phase.entered').map(({ phase }) => phase);
}

/** `web started`, for each step of each service. */
function stepsOf(events: readonly WorkloadEvent[]): string[] {
  return events
    .filter(({ type }) => type.startsWith('service.'))
    .map(({ type, values }) => `${values['service']} ${type.split('.')[1]}`);
}

async function seal(value: string): Promise<string> {
  return await new CompactEncrypt(Buffer.from(value))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(host.key.publicJwk, 'ECDH-ES'));
}
