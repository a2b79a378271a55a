/**
 * A job of a revision that its host has built already: from when it is given to the host until its containers may begin, against a
 * build of the same folder by `docker build`, of which each step is cached. Both find out that nothing is to be done.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openProjectWire } from '../test/support/project-wire.ts';
import { taggedImage } from '../test/support/tagged-image.ts';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { follow } from './events.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 7;

/** `program` is a bundle. */
export async function preparedCost(program: string): Promise<Measurement> {
  const folder = mkdtempSync(join(tmpdir(), 'prepared-'));
  try {
    const ground = await openProjectWire(folder, { program, withoutProxy: true });
    try {
      return await measured(ground.wire, join(folder, 'project'), ground.engine.socketPath);
    } finally {
      await ground.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(wire: Wire, folder: string, socket: string): Promise<Measurement> {
  const revision = await pushed(wire, folder);
  const events = await follow(wire);
  const preparation = async () => {
    const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { revision }));
    await events.seen(id, 'job.succeeded');
    const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/events?limit=500`));
    const at = (wanted: string) => Date.parse(items.find(({ type }: { type: string }) => type === wanted)?.time);
    return at('job.running') - at('job.dispatched');
  };
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_BUILDKIT: '0' };
  const build = async () =>
    execFileSync('docker', ['build', '-q', folder], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const [ours, theirs]: [number[], number[]] = [[], []];
  await preparation();
  await build();
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await preparation());
    theirs.push(await timed(build));
  }
  await events.stop();
  return {
    ...{ name: 'job of an unchanged revision, from its host to its first container', unit: 'ms' },
    ...{ ours: median(ours), theirs: median(theirs), against: 'docker build of an unchanged folder' },
    ...{ target: 'under 100 ms', met: median(ours) < 100 },
  };
}

async function pushed(wire: Wire, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const manifest = {
    version: 1,
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    entrypoint: { command: ['/bin/sh', '-c', 'true'] },
    validation: { executables: ['sh', '/bin/sh'], files: ['Dockerfile'] },
    requirements: { cpu: 1, memory_mb: 256 },
  };
  writeFileSync(join(folder, 'computalot.project.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${await taggedImage()}\nWORKDIR /workspace\nCOPY . .\nRUN true\n`);
  const { code, stdout, stderr } = await wire.member.cli('jobs', 'push', folder, '--json').ended;
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').sha256;
}
