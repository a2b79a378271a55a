/**
 * What a project, and a job of it, asks of its host. All of it are minimums: a host that has more is as good. A value of the
 * job stands in place of that of its project, and one that it does not give is that of its project.
 */
import { type Static, Type } from 'typebox';
import type { PathError } from '../../contract/validate.ts';
import { sure } from '../sure-parts.ts';
import type { ProjectManifest } from './manifest.ts';

/** The least that a part of a job runs with. */
export const leastShare = { cpu_cores: 0.1, memory_mb: 64 } as const;

export const Requirements = Type.Object(
  {
    profile: Type.Optional(
      Type.Enum(['gpu', 'cpu'], { description: 'Kind of host; `gpu` asks for one card where nothing says how many.' }),
    ),
    gpu_count: Type.Optional(Type.Integer({ minimum: 0, maximum: 64, description: 'Cards for the task alone.' })),
    gpu_memory_mb: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2 ** 24, description: 'Memory of each card, in units of 2^20 bytes.' }),
    ),
    cpu: Type.Optional(Type.Number({ minimum: leastShare.cpu_cores, maximum: 4096, description: 'Free cores.' })),
    memory_mb: Type.Optional(
      Type.Integer({
        minimum: leastShare.memory_mb,
        maximum: 65_536 * 1024,
        description: 'Free memory, in units of 2^20 bytes.',
      }),
    ),
    storage_gb: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 2 ** 20,
        description:
          'Free disk, in units of 2^30 bytes: image, sandbox copy, caches, temporary files, checkpoints and downloads.',
      }),
    ),
  },
  { additionalProperties: false, description: 'What a host has to have, at least.' },
);
export type Requirements = Static<typeof Requirements>;

/** The same in the units of placement; 0 where nothing is asked for. */
export interface Needs {
  readonly gpu_count: number;
  readonly gpu_memory_mib: number;
  readonly cpu_cores: number;
  readonly memory_gib: number;
}

/**
 * The manifest of a project as a job of it is carried out: what the job asks for stands in the place of what the project does. One that
 * asks for no card has nothing of what its project says of cards.
 */
export function asAskedFor<Manifest extends { readonly requirements?: Requirements }>(
  project: Manifest,
  job: Requirements | undefined,
): Manifest {
  if (!job) return project;
  const { requirements: { profile, gpu_count, gpu_memory_mb, ...others } = {} } = project;
  const isBare = job.profile === 'cpu' || job.gpu_count === 0;
  return { ...project, requirements: { ...(isBare ? others : project.requirements), ...job } };
}

/** What contradicts itself, also where each half is of another document. */
export function checkRequirements(requirements: Requirements, path: string): readonly PathError[] {
  const at = (key: string, message: string) => [{ path: `${path}/${key}`, code: 'contradiction', message }];
  return [
    ...sure(() =>
      requirements.profile === 'cpu' && (requirements.gpu_count ?? 0) > 0
        ? at('gpu_count', 'asks for cards, and the profile is cpu')
        : [],
    ),
    ...sure(() =>
      requirements.profile === 'cpu' && requirements.gpu_memory_mb !== undefined
        ? at('gpu_memory_mb', 'asks for memory of a card, and the profile is cpu')
        : [],
    ),
    ...sure(() =>
      requirements.profile === 'gpu' && requirements.gpu_count === 0
        ? at('gpu_count', 'must not be 0 with the profile gpu')
        : [],
    ),
  ];
}

/** What is too little for a task and so many services, which have it in equal parts. */
export function checkShares({ requirements = {}, runtime }: ProjectManifest): readonly PathError[] {
  const { cpu, memory_mb } = requirements;
  const parts = (runtime.services?.length ?? 0) + 1;
  const told = (key: string, least: number) => ({
    ...{ path: `/requirements/${key}`, code: 'minimum' },
    message: `must be at least ${least}: the task and its services are ${parts}, and have it in equal parts`,
  });
  const leastCpu = Math.round(leastShare.cpu_cores * parts * 10) / 10;
  const leastMemory = leastShare.memory_mb * parts;
  return [
    ...(cpu !== undefined && cpu < leastCpu ? [told('cpu', leastCpu)] : []),
    ...(memory_mb !== undefined && memory_mb < leastMemory ? [told('memory_mb', leastMemory)] : []),
  ];
}

/** What the disk of a job is for. */
export interface Storage {
  readonly gib: number;
  readonly parts: readonly { readonly part: string; readonly gib: number }[];
}

/** What is known of the disk of jobs of a project before one of them runs. */
export interface StorageFacts {
  readonly image: {
    readonly bytes: number;
    /** True where no host has said yet how large it is once it is built: then it takes more. */
    readonly isPacked: boolean;
  };
  /** Bytes that its caches may grow to, as far as they are bounded. */
  readonly caches: number;
  /** True where its tasks leave checkpoints. */
  readonly hasCheckpoints: boolean;
}

/**
 * The disk that a job has to find: what its author asks for, and never less than its image. Nothing is copied for its sandbox: the root is
 * read-only and shared. Of what is left, caches have as much as they may grow to, and everything else the rest: how that is divided only the
 * task knows.
 */
export function storageOf({ storage_gb = 0 }: Requirements, { image, caches, hasCheckpoints }: StorageFacts): Storage {
  const imageGib = image.bytes / 2 ** 30;
  const left = Math.max(0, storage_gb - imageGib);
  const cached = Math.min(left, caches / 2 ** 30);
  const parts = [
    { part: image.isPacked ? 'its image as it is packed' : 'its image', gib: imageGib },
    { part: 'a copy of it for its sandbox', gib: 0 },
    { part: 'its caches', gib: cached },
    {
      part: hasCheckpoints ? 'temporary files, checkpoints and downloads' : 'temporary files and downloads',
      gib: left - cached,
    },
  ];
  return { gib: Math.max(storage_gb, imageGib), parts };
}

/** Who asks for the memory of a card asks for a card. */
export function needsOf(requirements: Requirements): Needs {
  const { profile, gpu_memory_mb, cpu = 0, memory_mb = 0 } = requirements;
  const usual = profile !== 'cpu' && (profile === 'gpu' || gpu_memory_mb !== undefined) ? 1 : 0;
  const gpu_count = requirements.gpu_count ?? usual;
  return {
    gpu_count,
    gpu_memory_mib: gpu_count === 0 ? 0 : (gpu_memory_mb ?? 0),
    cpu_cores: cpu,
    memory_gib: memory_mb / 1024,
  };
}
