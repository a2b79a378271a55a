/** Real Docker Compose on a gate of a test's own, with documents such as the agent writes. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import { labels } from '../../src/contract/names.ts';
import type { GateGround } from './gate-ground.ts';

// biome-ignore lint/suspicious/noExplicitAny: a test puts into a document what no type allows
export type Loose = Record<string, any>;

export interface ComposeEnd {
  readonly code: number | null;
  /** Everything that it said. */
  readonly said: string;
}

/** Runs Compose against the gate, with the document on its standard input where one is given. */
export async function compose(
  { gate, folder }: GateGround,
  args: readonly string[],
  document?: object,
): Promise<ComposeEnd> {
  const env = { DOCKER_HOST: `unix://${gate.socketPath}`, DOCKER_CONFIG: folder, COMPOSE_DISABLE_ENV_FILE: '1' };
  const file = document === undefined ? [] : ['-f', '-'];
  const program = join(await ensureCompose(), 'docker-compose');
  const child = spawn(program, ['--progress', 'plain', ...file, ...args], { cwd: folder, env });
  child.stdin.end(document === undefined ? '' : JSON.stringify(document));
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, said: out + err };
}

/** A service that this host runs: it says `ready` and waits for its end. */
export function serviceOf(ground: GateGround, instance: string, service: string, changes: Loose = {}): Loose {
  const { policy, images } = ground;
  const { uid, gid, home } = policy.allocation;
  return {
    container_name: `gpuaas-${instance}.${service}`,
    image: images.tiny,
    entrypoint: ['/bin/sh', '-c'],
    command: ['trap "exit 0" TERM; echo ready; while :; do sleep 1; done'],
    user: `${uid}:${gid}`,
    environment: { NVIDIA_VISIBLE_DEVICES: 'void' },
    labels: {
      ...{ [labels.instance]: instance, [labels.project]: 'project-1', [labels.allocation]: policy.allocation.id },
      ...{ [labels.task]: 'task-1', [labels.spec]: 'a'.repeat(64), [labels.fencing]: '1', [labels.service]: service },
      ...{ [labels.endpoints]: '', [labels.restart]: 'no:0', [labels.readiness]: '[]', [labels.gpus]: '' },
    },
    ...{ cpus: 0.2, mem_limit: 2 ** 26, memswap_limit: 2 ** 26, pids_limit: 64, shm_size: 2 ** 20 },
    ulimits: { nofile: { soft: 1024, hard: 1024 }, core: { soft: 0, hard: 0 } },
    ...{ cap_drop: ['ALL'], security_opt: ['no-new-privileges'], init: true, ipc: 'private', cgroup: 'private' },
    ...{ runtime: 'runc', restart: 'no', healthcheck: { disable: true }, networks: { default: {} } },
    logging: { driver: 'json-file', options: { 'max-size': '1m', 'max-file': '2' } },
    volumes: [bind(`${home}/gpuaas/workloads/${instance}/ws`, '/workspace')],
    ...changes,
  };
}

export function bind(source: string, target: string, readOnly = false): Loose {
  return {
    type: 'bind',
    source,
    target,
    read_only: readOnly,
    bind: { create_host_path: false, propagation: 'rprivate' },
  };
}

/** The document of a stack: its network is there already, as is everything of the engine's. */
export function stackOf(instance: string, services: Loose): Loose {
  const name = `gpuaas-${instance}`;
  return { name, services, networks: { default: { name, external: true } } };
}
