/** Inputs of jobs in a folder of their own, from servers on loopback. Pauses take no time, and are counted. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readBootId } from '../../src/host/boot-id.ts';
import { HostInputs, type HostInputsOptions } from '../../src/jobs/inputs/host-inputs.ts';
import type { InputProgress, ProvideOptions, ResolvedInput, ResolvedSource } from '../../src/jobs/inputs/job-inputs.ts';
import { type Clock, systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { atFileEnd } from './file-end.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface GroundOptions extends Omit<Partial<HostInputsOptions>, 'policy'> {
  readonly policy?: Partial<HostPolicy['inputs']>;
  readonly diskGib?: number;
  readonly egress?: HostPolicy['egress'];
  readonly pool?: string;
}

export function inputsGround({ policy = {}, diskGib = 0, egress, pool, ...rest }: GroundOptions = {}) {
  const dir = policy.dir ?? temporaryFolder('inputs');
  const pauses: number[] = [];
  let wall = Date.parse('2026-11-25T12:00:00Z');
  const clock: Clock = {
    ...systemClock,
    wallMs: () => wall,
    pause: async (ms, signal) => {
      pauses.push(ms);
      signal?.throwIfAborted();
    },
  };
  const inputs = new HostInputs({
    ...{ log: createLog({ level: 'silent' }), clock },
    policy: {
      inputs: { dir, max_gib: 1, max_age_hours: 24, allow: ['127.0.0.0/8'], endpoints: {}, ...policy },
      reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: diskGib },
      network_pool: pool ?? '10.213.0.0/20',
      ...(egress && { egress }),
    },
    ...rest,
  });
  atFileEnd(() => inputs.close());
  const progress: InputProgress[] = [];
  const provide = (source: ResolvedSource, { job = 'job-1', ...more }: Provision = {}) => {
    const input: ResolvedInput = { id: 'data', volume: 'models', cache_seconds: 3600, ...more.input, source };
    const signal = more.signal ?? new AbortController().signal;
    return inputs.provide(job, input, { signal, credential: more.credential, onProgress: (now) => progress.push(now) });
  };
  return {
    ...{ dir, inputs, pauses, progress, provide },
    /** Moves the clock of the host on. */
    later: (ms: number) => {
      wall += ms;
    },
    /** What lies in the volume of a job: paths in order. */
    paths: (job = 'job-1', volume = 'models') => filesBelow(inputs.folderOf(job, volume)),
    /** Sizes of the files that are kept for the next job. */
    cached: () => filesBelow(join(dir, 'cache/objects')).map((key) => statSync(join(dir, 'cache/objects', key)).size),
    text: (path: string, job = 'job-1', volume = 'models') =>
      readFileSync(join(inputs.folderOf(job, volume), path), 'utf8'),
  };
}

interface Provision extends Partial<Pick<ProvideOptions, 'signal' | 'credential'>> {
  readonly job?: string;
  readonly input?: Partial<Pick<ResolvedInput, 'id' | 'volume' | 'cache_seconds'>>;
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Bytes that were written of each file that is being fetched below a folder of inputs, as the next life of the agent will read it. */
export function partsIn(dir: string): number[] {
  const folder = join(dir, 'cache/partial');
  const counts = readdirSync(folder).filter((name) => name.endsWith('.counts'));
  return counts.flatMap((name) => {
    const file = contentIfThere(join(folder, name));
    // What came meanwhile is no part any more.
    if (file === undefined) return [];
    const bytes = file.subarray(readBootId().length);
    const pieces = Array.from({ length: Math.floor(bytes.length / 8) }, (_, piece) => piece);
    return pieces.reduce((sum, piece) => sum + Number(bytes.readBigUInt64BE(piece * 8)), 0);
  });
}

function contentIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What was refused or failed, as `code: reason`. */
export function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'it was provided',
    (error: { code?: string; detail?: { reason?: string } }) => `${error.code}: ${error.detail?.reason ?? error}`,
  );
}
