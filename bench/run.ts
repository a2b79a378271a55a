/**
 * `npm run bench`: what the agent and the gate cost on top of the engine, measured in one run on one machine.
 *
 * Everything is a pair: the same work with and without us, taken in turns so that a noisy machine is noisy for both.
 * Prints a table and writes bench/results.json. Bounded: a few hundred small calls and a few dozen containers, all of
 * them removed.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../bootstrap/dev/free-port.ts';
import { ensureGround } from '../bootstrap/dev/ground.ts';
import type { WorkloadOutput } from '../src/contract/workload-output.ts';
import { renderNetwork } from '../src/policy/network-request.ts';
import { renderContainer } from '../src/policy/render-container.ts';
import { engineCall } from '../test/support/engine-call.ts';
import { type LaunchParams, openTestHost } from '../test/support/test-host.ts';
import { measureDispatch } from './dispatch.ts';

interface Measurement {
  readonly name: string;
  readonly unit: string;
  /** Medians of both sides. */
  readonly ours: number;
  readonly theirs: number;
  readonly against: string;
  /** What was promised, where something was. */
  readonly target?: string;
  readonly met?: boolean;
}

const rounds = 21;
const calls = 300;
const run = promisify(execFile);

await ensureGround(['tiny']);
const host = await openTestHost({ policy: { network_pool: '10.222.0.0/20' } });
const measurements: Measurement[] = [];
try {
  const image = await host.image('tiny');
  measurements.push(await gateCost());
  measurements.push(await inspectCost(image));
  measurements.push(...(await launchCost(image)));
  measurements.push(await logReadBack(image));
  measurements.push(...(await dispatchCost()));
} finally {
  await host.close();
}
report();

/** One call that the gate only looks at, direct and through the gate. */
async function gateCost(): Promise<Measurement> {
  const direct: number[] = [];
  const gated: number[] = [];
  for (let count = 0; count < calls; count += 1) {
    direct.push(await timed(() => engineCall(host.engineSocket, 'GET', '/_ping')));
    gated.push(await timed(() => engineCall(host.gate.socketPath, 'GET', '/_ping')));
  }
  return callCost('gate: ping', direct, gated);
}

/** One call about a sealed container, direct and through the gate. */
async function inspectCost(image: string): Promise<Measurement> {
  const params = host.launchParams(image, {
    readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 10 }],
  });
  const path = `/containers/gpuaas-${params.identity.app_instance_id}/json`;
  await succeed(params);
  const direct: number[] = [];
  const gated: number[] = [];
  for (let count = 0; count < calls; count += 1) {
    direct.push(await timed(() => engineCall(host.engineSocket, 'GET', path)));
    gated.push(await timed(() => engineCall(host.gate.socketPath, 'GET', path)));
  }
  await remove(params);
  return callCost('gate: inspect', direct, gated);
}

function callCost(name: string, direct: number[], gated: number[]): Measurement {
  const [ours, theirs] = [median(gated), median(direct)];
  const met = ours - theirs <= 1;
  return { name, unit: 'ms', ours, theirs, against: 'the engine, asked directly', target: '+1 ms', met };
}

/** A launch to `running` of an image that is there, against the engine's own network + create + start of the same. */
async function launchCost(image: string): Promise<Measurement[]> {
  const launched: number[] = [];
  const raw: number[] = [];
  const bare: number[] = [];
  const cli: number[] = [];
  const ourTurn = async () => {
    const params = await webServer(image);
    launched.push(await timed(() => succeed(params)));
    await remove(params);
  };
  const theirTurn = async () => {
    const { network, container } = await rawLaunch(await webServer(image));
    raw.push(network + container);
    bare.push(container);
  };
  const cliTurn = async () => void cli.push(await cliLaunch(image));
  const turns = [ourTurn, theirTurn, cliTurn];
  for (let round = 0; round < rounds; round += 1) {
    // Each comes first as often as the others: what went before still keeps the engine busy for a while.
    for (const turn of [...turns.slice(round % 3), ...turns.slice(0, round % 3)]) {
      await turn();
    }
  }
  const ours = median(launched);
  const theirs = median(raw);
  return [
    {
      ...{ name: 'oci_launch, warm image', unit: 'ms', ours, theirs, met: ours - theirs <= 40, target: '+40 ms' },
      against: "the engine's own network + create + start of the same request",
    },
    {
      ...{ name: 'oci_launch, warm image', unit: 'ms', ours, theirs: median(bare) },
      against: 'create + start alone, into a network that is there',
    },
    {
      ...{ name: 'oci_launch, warm image', unit: 'ms', ours, theirs: median(cli) },
      against: 'docker network create && docker run -d',
    },
  ];
}

async function webServer(image: string): Promise<LaunchParams> {
  return host.launchParams(image, {
    entrypoint: ['/bin/httpd'],
    command: ['-f', '-p', '8080', '-h', '/'],
    ports: [{ name: 'web', container_port: 8080, host_port: await freePort(), protocol: 'http' }],
    readiness: [{ type: 'http', endpoint: 'web', path: '/etc/hostname', timeout_seconds: 20 }],
  });
}

async function rawLaunch(params: LaunchParams): Promise<{ network: number; container: number }> {
  const facts = await host.engine.image(referenceOf(params), AbortSignal.timeout(10_000));
  if (!facts) {
    throw new Error('the image is gone');
  }
  const { name, request } = renderContainer({
    ...{ params, policy: host.policy, image: facts, sealedEnv: {}, taskId: 'bench', fencing: 1 },
  });
  const network = renderNetwork(
    {
      Name: name,
      Driver: 'bridge',
      Labels: {
        'gpuaas.instance': params.identity.app_instance_id,
        'gpuaas.project': params.identity.project_id,
        'gpuaas.allocation': params.identity.allocation_id,
      },
    },
    '10.222.15.0/28',
  );

  const made = await timed(() => ok(engineCall(host.engineSocket, 'POST', '/networks/create', network)));
  const container = await timed(async () => {
    await ok(engineCall(host.engineSocket, 'POST', `/containers/create?name=${name}`, request));
    await ok(engineCall(host.engineSocket, 'POST', `/containers/${name}/start`));
  });
  await engineCall(host.engineSocket, 'DELETE', `/containers/${name}?force=1&v=1`);
  await engineCall(host.engineSocket, 'DELETE', `/networks/${name}`);
  return { network: made, container };
}

async function cliLaunch(image: string): Promise<number> {
  const name = `gpuaas-bench-${randomBytes(4).toString('hex')}`;
  const docker = (...args: string[]) => run('docker', ['-H', `unix://${host.engineSocket}`, ...args]);
  const port = await freePort();
  const limits = ['--memory', '64m', '--cpus', '0.2', '--cap-drop', 'ALL', '--init'];
  const taken = await timed(async () => {
    await docker('network', 'create', '--subnet', '10.222.15.16/28', name);
    const publish = ['--network', name, '-p', `127.0.0.1:${port}:8080`];
    await docker(
      'run',
      '-d',
      '--name',
      name,
      ...publish,
      ...limits,
      image,
      '/bin/httpd',
      '-f',
      '-p',
      '8080',
      '-h',
      '/',
    );
  });
  await docker('rm', '-f', '-v', name);
  await docker('network', 'rm', name);
  return taken;
}

/** Reading a log back, against `docker logs`. */
async function logReadBack(image: string): Promise<Measurement> {
  const lines = 50_000;
  const params = host.launchParams(image, {
    command: [
      `i=0; while [ $i -lt ${lines} ]; do echo "line $i of a log that is neither short nor long"; i=$((i+1)); done; touch /tmp/done; while :; do sleep 1; done`,
    ],
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.125 },
    readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/done'], timeout_seconds: 60 }],
    log_limits: { max_size_mib: 50, max_files: 1 },
  });
  await succeed(params);
  const name = `gpuaas-${params.identity.app_instance_id}`;
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    ours.push(
      await timed(async () => {
        let count = 0;
        for await (const _entry of host.engine.logs(name, { follow: false, signal: AbortSignal.timeout(60_000) })) {
          count += 1;
        }
        if (count !== lines) {
          throw new Error(`read ${count} of ${lines} lines`);
        }
      }),
    );
    theirs.push(
      await timed(() => run('docker', ['-H', `unix://${host.engineSocket}`, 'logs', name], { maxBuffer: 2 ** 26 })),
    );
  }
  await remove(params);
  const against = 'docker logs';
  return { name: `log read-back, ${lines} lines`, unit: 'ms', ours: median(ours), theirs: median(theirs), against };
}

/** A task from the transaction that queues it to the node, against the commits it takes. */
async function dispatchCost(): Promise<Measurement[]> {
  const { onNode, known, commits } = await measureDispatch(join(host.folder, 'dispatch'), calls);
  const theirs = median(commits);
  const against = 'three commits to the disk, alone';
  return [
    {
      ...{ name: 'dispatch, signed and durable on both sides', unit: 'ms', ours: median(onNode), theirs, against },
      ...{ target: 'at most 8 ms in all', met: median(onNode) <= 8 },
    },
    { name: 'dispatch, and acknowledged', unit: 'ms', ours: median(known), theirs, against },
  ];
}

function referenceOf({ image }: LaunchParams): string {
  return image.kind === 'registry' ? image.reference : image.image_id;
}

async function succeed(params: LaunchParams): Promise<WorkloadOutput> {
  const result = await host.run('workload.oci_launch', params);
  if (result.status !== 'succeeded') {
    throw new Error(`the launch ${result.status}: ${JSON.stringify(result.failure)}`);
  }
  return result.output as WorkloadOutput;
}

async function remove({ identity }: LaunchParams): Promise<void> {
  await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 });
}

async function ok(call: ReturnType<typeof engineCall>): Promise<void> {
  const { status, body } = await call;
  if (status >= 300) {
    throw new Error(`the engine answered ${status}: ${JSON.stringify(body)}`);
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function report(): void {
  const rows = measurements.map(({ name, ours, theirs, against, target, met }) => ({
    measured: name,
    against,
    'ours ms': ours.toFixed(2),
    'theirs ms': theirs.toFixed(2),
    difference: `${ours >= theirs ? '+' : ''}${(ours - theirs).toFixed(2)}`,
    ratio: (ours / theirs).toFixed(2),
    target: target === undefined ? '' : `${target}${met ? ' met' : ' MISSED'}`,
  }));
  console.table(rows);
  const file = join(import.meta.dirname, 'results.json');
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.versions.node };
  writeFileSync(file, `${JSON.stringify({ taken_at: new Date().toISOString(), machine, measurements }, null, 2)}\n`);
}
