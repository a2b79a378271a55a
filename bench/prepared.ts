/**
 * A job of a revision that its host has built already: from when it is given to the host until the container of its task is made,
 * so with what is looked for before, against a build of the same folder by `docker build`, of which each step is cached. Both find out that
 * nothing is to be done. Once as little as a project can have, once with a cache that has a limit and with data of a hub, which are there.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { containerName } from '../src/contract/names.ts';
import { hubServer } from '../test/support/hub-server.ts';
import { contentOf } from '../test/support/loopback-source.ts';
import { openProjectWire } from '../test/support/project-wire.ts';
import { taggedImage } from '../test/support/tagged-image.ts';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { follow } from './events.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 7;

/** What a project has beside its program, by what it is called in a row. */
const projects = {
  '': {},
  ', with a cache of at most 1 MiB and data of a hub': {
    cache_mounts: [{ name: 'small', scope: 'project_digest', path: '/caches/small', max_bytes: 2 ** 20 }],
    data_sources: [
      { name: 'tiny', source: 'huggingface', uri: 'hf://acme/tiny', delivery: 'mount', path: '/models/tiny' },
    ],
  },
};

/** `program` is a bundle. */
export async function preparedCost(program: string): Promise<Measurement[]> {
  const folder = mkdtempSync(join(tmpdir(), 'prepared-'));
  const hub = await hubServer([
    {
      ...{ repo: 'acme/tiny', commit: 'c'.repeat(40) },
      ...{ large: { 'model.bin': contentOf('weights') }, small: { 'config.json': '{}' } },
    },
  ]);
  try {
    const agent = { GPUAAS_AGENT_INPUTS_ENDPOINTS: JSON.stringify({ huggingface: hub.origin }) };
    const ground = await openProjectWire(folder, { program, withoutProxy: true, environment: { agent } });
    try {
      const measurements: Measurement[] = [];
      for (const [what, parts] of Object.entries(projects)) {
        const at = { folder: join(folder, `project-${measurements.length}`), socket: ground.engine.socketPath };
        measurements.push(await measured(ground.wire, at, what, parts));
      }
      return measurements;
    } finally {
      await ground.close();
    }
  } finally {
    hub.close();
    hub.network.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Place {
  readonly folder: string;
  /** Of the engine. */
  readonly socket: string;
}

async function measured(
  wire: Wire,
  { folder, socket }: Place,
  what: string,
  parts: Readonly<Record<string, unknown>>,
): Promise<Measurement> {
  const revision = await pushed(wire, folder, parts);
  const events = await follow(wire);
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_BUILDKIT: '0' };
  const docker = (...args: string[]) =>
    execFileSync('docker', args, { env, stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });
  const preparation = async () => {
    const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { revision }));
    await events.seen(id, 'job.succeeded');
    const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/events?limit=500`));
    const { steps } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}`));
    const given = items.find(({ type }: { type: string }) => type === 'job.dispatched')?.time;
    return madeAt(docker, containerName(id, steps[0].id), given) - Date.parse(given);
  };
  const build = async () => docker('build', '-q', folder);
  const [ours, theirs]: [number[], number[]] = [[], []];
  await preparation();
  await build();
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await preparation());
    theirs.push(await timed(build));
  }
  await events.stop();
  return {
    ...{ name: `job of an unchanged revision${what}, from its host to its container`, unit: 'ms' },
    ...{ ours: median(ours), theirs: median(theirs), against: 'docker build of an unchanged folder' },
    ...{ target: 'under 100 ms', met: median(ours) < 100 },
  };
}

/** Milliseconds since 1970, of a container that is gone; as the engine tells it. */
function madeAt(docker: (...args: string[]) => string, name: string, since: string): number {
  const filters = ['--filter', 'event=create', '--filter', `container=${name}`];
  const said = docker(
    'events',
    '--since',
    since,
    '--until',
    new Date().toISOString(),
    ...filters,
    '--format',
    '{{.TimeNano}}',
  );
  return Number(said.trim()) / 1e6;
}

async function pushed(wire: Wire, folder: string, parts: Readonly<Record<string, unknown>>): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const manifest = {
    version: 1,
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    entrypoint: { command: ['/bin/sh', '-c', 'true'] },
    validation: { executables: ['sh', '/bin/sh'], files: ['Dockerfile'] },
    requirements: { cpu: 1, memory_mb: 256 },
    ...parts,
  };
  writeFileSync(join(folder, 'computalot.project.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${await taggedImage()}\nWORKDIR /workspace\nCOPY . .\nRUN true\n`);
  const { code, stdout, stderr } = await wire.member.cli('jobs', 'push', folder, '--json').ended;
  if (code !== 0) throw new Error(stdout + stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').sha256;
}
