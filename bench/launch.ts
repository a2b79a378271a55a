/** A launch as a task, against the engine and its command line. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { freePort } from '../bootstrap/dev/free-port.ts';
import { noCards } from '../src/policy/given-cards.ts';
import { renderNetwork } from '../src/policy/network-request.ts';
import { renderContainer } from '../src/policy/render-container.ts';
import { engineCall } from '../test/support/engine-call.ts';
import type { LaunchParams, TestHost } from '../test/support/test-host.ts';
import { type Measurement, median, timed } from './measurement.ts';
import { remove, succeed } from './tasks.ts';

const rounds = 21;
const run = promisify(execFile);

/** A launch to `running` of an image that is there, against the engine's own network + create + start of the same. */
export async function launchCost(host: TestHost, image: string): Promise<Measurement[]> {
  const launched: number[] = [];
  const raw: number[] = [];
  const bare: number[] = [];
  const cli: number[] = [];
  const ourTurn = async () => {
    const params = await webServer(host, image);
    launched.push(await timed(() => succeed(host, params)));
    await remove(host, params);
  };
  const theirTurn = async () => {
    const { network, container } = await rawLaunch(host, await webServer(host, image));
    raw.push(network + container);
    bare.push(container);
  };
  const cliTurn = async () => void cli.push(await cliLaunch(host.engineSocket, image));
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

async function webServer(host: TestHost, image: string): Promise<LaunchParams> {
  return host.launchParams(image, {
    entrypoint: ['/bin/httpd'],
    command: ['-f', '-p', '8080', '-h', '/'],
    ports: [{ name: 'web', container_port: 8080, host_port: await freePort(), protocol: 'http' }],
    readiness: [{ type: 'http', endpoint: 'web', path: '/etc/hostname', timeout_seconds: 20 }],
  });
}

async function rawLaunch(host: TestHost, params: LaunchParams): Promise<{ network: number; container: number }> {
  const facts = await host.engine.image(referenceOf(params), AbortSignal.timeout(10_000));
  if (!facts) {
    throw new Error('the image is gone');
  }
  const { name, request } = renderContainer({
    ...{ params, policy: host.policy, image: facts, sealedEnv: {}, cards: noCards, taskId: 'bench', fencing: 1 },
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

/** Milliseconds that a person waits who types it. */
export async function cliLaunch(engineSocket: string, image: string): Promise<number> {
  const name = `gpuaas-bench-${randomBytes(4).toString('hex')}`;
  const docker = (...args: string[]) => run('docker', ['-H', `unix://${engineSocket}`, ...args]);
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

function referenceOf({ image }: LaunchParams): string {
  return image.kind === 'registry' ? image.reference : image.image_id;
}

async function ok(call: ReturnType<typeof engineCall>): Promise<void> {
  const { status, body } = await call;
  if (status >= 300) {
    throw new Error(`the engine answered ${status}: ${JSON.stringify(body)}`);
  }
}
