/**
 * A file that a job of a project leaves as an artifact, from the end of its program until the control plane has it on its disk, through
 * every part as a process of its own and with nothing else between them, against a copy of as much that is brought to the disk and
 * hashed: what anybody does who keeps a file at least.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openProjectWire } from '../test/support/project-wire.ts';
import { taggedImage } from '../test/support/tagged-image.ts';
import { ok, type Wire } from '../test/support/wire-ground.ts';
import { follow } from './events.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 3;
/** Rare and cheap enough to take nothing from what is measured. */
const sampleMs = 100;
/** The large one is what is promised; memory does not grow with what lies between. */
const sizes = { small: 128, large: 1024 };
/** Megabytes that the large one may take more of memory: collectors let go of buffers when they like, and it is a fraction of the file. */
const flatMb = 64;

/** `program` is a bundle. */
export async function uploadCost(program: string): Promise<Measurement[]> {
  const folder = mkdtempSync(join(tmpdir(), 'upload-'));
  try {
    const ground = await openProjectWire(folder, { program, withoutProxy: true });
    try {
      return await measured(ground.wire, join(folder, 'projects'));
    } finally {
      await ground.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(wire: Wire, folder: string): Promise<Measurement[]> {
  const image = await taggedImage();
  const small = await pushed(wire, join(folder, 'small'), image, sizes.small);
  const large = await pushed(wire, join(folder, 'large'), image, sizes.large);
  const processes = { agent: wire.agent.pid, gate: wire.gate.pid, 'control plane': wire.server.pid };
  const events = await follow(wire);
  const pids = Object.values(processes);
  const ofSmall = await uploaded(small);
  const [ours, theirs]: [number[], number[]] = [[], []];
  const most: number[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    theirs.push(await copied(wire.folder));
    const { ms, grown } = await uploaded(large);
    ours.push(ms);
    most.push(grown);
  }
  await events.stop();
  return [
    {
      ...{ name: 'artifact of 1 GiB, from the end of its program to stored', unit: 'ms' },
      ...{ ours: median(ours), theirs: median(theirs), against: 'cp, sync and sha256sum of as much' },
      ...{ target: 'at most twice', met: median(ours) <= 2 * median(theirs) },
    },
    ...Object.keys(processes).map((name, index): Measurement => {
      const ours = Math.max(...most.map((grown) => grown[index] ?? Number.NaN));
      const theirs = ofSmall.grown[index] ?? Number.NaN;
      return {
        ...{ name: `${name} meanwhile: resident memory more than before, at most`, unit: 'MB', ours, theirs },
        ...{
          against: `the same for ${sizes.small} MiB`,
          target: `at most +${flatMb} MB`,
          met: ours - theirs <= flatMb,
        },
      };
    }),
  ];

  async function uploaded(revision: string): Promise<{ ms: number; grown: number[] }> {
    const before = pids.map(residentOf);
    const peaks = [...before];
    const { id } = ok(await wire.member.call('POST', '/api/v1/jobs', { revision }));
    let failure: unknown;
    const succeeded = events.seen(id, 'job.succeeded').catch((error: unknown) => {
      failure = error;
    });
    for (; ; await pause(sampleMs)) {
      for (const [index, pid] of pids.entries()) peaks[index] = Math.max(peaks[index] ?? 0, residentOf(pid));
      const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/artifacts`));
      if (items.some(({ kind, state }: Record<string, string>) => kind === 'artifact' && state === 'stored')) break;
      if (failure !== undefined) throw failure;
    }
    const storedAt = Date.now();
    await succeeded;
    if (failure !== undefined) throw failure;
    const { steps } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}`));
    return {
      ms: storedAt - Date.parse(steps[0].ended_at),
      grown: peaks.map((peak, index) => peak - (before[index] ?? 0)),
    };
  }
}

/** Megabytes, by the kernel's own count: to have the pages of a process looked through costs more than the upload. */
function residentOf(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return (pages * 4096) / 1e6;
}

/** The revision of a project whose task leaves a file of so many MiB; its host has built it then. */
async function pushed(wire: Wire, folder: string, image: string, mebibytes: number): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const fill = `dd if=/dev/urandom of="$COMPUTALOT_ARTIFACT_DIR/model" bs=1M count=${mebibytes}`;
  const manifest = {
    version: 1,
    runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    entrypoint: { command: ['/bin/sh', '-c', fill] },
    requirements: { cpu: 1, memory_mb: 512 },
    artifacts: { upload: [{ name: 'model', path: 'model', required: true }] },
  };
  writeFileSync(join(folder, 'computalot.project.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${image}\n`);
  const { code, stdout, stderr } = await wire.member.cli('jobs', 'push', folder, '--json').ended;
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').sha256;
}

/** Of a file that is in the page cache, as that which the job has just written. */
async function copied(folder: string): Promise<number> {
  const [from, to] = [join(folder, 'model'), join(folder, 'copy')];
  const shell = (command: string) => execFileSync('/bin/sh', ['-ec', command]);
  shell(`dd if=/dev/urandom of=${from} bs=1M count=${sizes.large} 2>/dev/null`);
  try {
    return await timed(async () => shell(`cp ${from} ${to}; sync ${to}; sha256sum ${to}`));
  } finally {
    shell(`rm -f ${from} ${to}`);
  }
}
