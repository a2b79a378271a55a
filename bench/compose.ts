/** A launch of a stack as a task, against Compose alone on the same document. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureCompose } from '../bootstrap/dev/compose.ts';
import { freePort } from '../bootstrap/dev/free-port.ts';
import { labels, networkName } from '../src/contract/names.ts';
import { engineCall } from '../test/support/engine-call.ts';
import { realStack, server, sleeper, succeededStack } from '../test/support/real-stack.ts';
import type { TestHost } from '../test/support/test-host.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 11;
/** Of both services, and all that either side waits for: Compose waits for nothing else. */
const healthcheck = { test: ['CMD', '/bin/true'], interval: '1s', timeout: '5s', retries: 3, start_period: '1s' };
const run = promisify(execFile);

/**
 * Two services, one after the other, until both are healthy: images are there, the network of the other side as well, which is to our
 * disadvantage.
 */
export async function composeCost(host: TestHost, image: string): Promise<Measurement> {
  const program = join(await ensureCompose(), 'docker-compose');
  const launched: number[] = [];
  const alone: number[] = [];
  let document = '';
  const ourTurn = async () => {
    const port = await freePort();
    const web = server(image, port, { healthcheck, depends_on: { db: { condition: 'service_started' } } });
    const params = realStack(host, { db: sleeper(image, { healthcheck }), web }, { readiness: [] });
    const { identity } = params;
    launched.push(await timed(async () => succeededStack(await host.run('workload.compose_launch', params))));
    const written = join(host.folder, 'state/stacks', identity.app_instance_id, 'compose.json');
    document = readFileSync(written, 'utf8')
      .replaceAll(identity.app_instance_id, '@INSTANCE@')
      .replaceAll(String(port), '@PORT@');
    await host.run('workload.compose_remove', { identity, keep_data: false, grace_seconds: 0 });
  };
  const theirTurn = async () => {
    const instance = `bench-${randomBytes(4).toString('hex')}`;
    const file = join(host.folder, `${instance}.json`);
    const port = String(await freePort());
    writeFileSync(file, document.replaceAll('@INSTANCE@', instance).replaceAll('@PORT@', port));
    const network = {
      ...{ Name: networkName(instance), IPAM: { Config: [{ Subnet: '10.222.15.32/28' }] } },
      Labels: { [labels.allocation]: host.policy.allocation.id },
    };
    await engineCall(host.engineSocket, 'POST', '/networks/create', network);
    const env = { ...process.env, DOCKER_HOST: `unix://${host.engineSocket}` };
    const compose = (...args: string[]) => run(program, ['-f', file, ...args], { env });
    alone.push(await timed(() => compose('up', '-d', '--wait')));
    await compose('down', '-t', '0');
    await engineCall(host.engineSocket, 'DELETE', `/networks/${networkName(instance)}`);
  };
  for (let round = 0; round < rounds; round += 1) {
    await ourTurn();
    await theirTurn();
  }
  const [ours, theirs] = [median(launched), median(alone)];
  return {
    ...{ name: 'compose_launch, warm images', unit: 'ms', ours, theirs, met: ours - theirs <= 150, target: '+150 ms' },
    against: 'docker-compose up -d --wait of the same document, its network made before; both wait for the same health',
  };
}
