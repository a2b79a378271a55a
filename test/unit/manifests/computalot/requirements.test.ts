/** What a project and a job of it ask of their host, together (C-38 to C-46). */
import { describe, expect, it } from 'vitest';
import {
  asAskedFor,
  checkRequirements,
  needsOf,
  type Requirements,
  storageOf,
} from '../../../../src/manifests/computalot/requirements.ts';
import { whole } from '../../../support/project-manifests.ts';

const nothing = { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: 0, memory_gib: 0 };

describe('requirements', () => {
  it('of a job stand in place of those of its project, and what it does not say is that of the project (C-38)', () => {
    const project = { version: 1, requirements: { cpu: 8, memory_mb: 1024 } };

    expect(asAskedFor(project, { cpu: 2 })).toEqual({ version: 1, requirements: { cpu: 2, memory_mb: 1024 } });
    expect(asAskedFor(project, undefined)).toBe(project);
  });

  it.each<[string, Requirements, Requirements]>([
    ['profile cpu', { profile: 'cpu' }, { cpu: 8, profile: 'cpu' }],
    ['no cards', { gpu_count: 0 }, { cpu: 8, gpu_count: 0 }],
    ['both', { profile: 'cpu', gpu_count: 0 }, { cpu: 8, profile: 'cpu', gpu_count: 0 }],
    ['cards', { gpu_count: 2 }, { profile: 'gpu', gpu_count: 2, gpu_memory_mb: 1024, cpu: 8 }],
  ])('of a job with %s have nothing of the cards of its project where it has none (C-38)', (_what, job, whole) => {
    const project = { requirements: { profile: 'gpu' as const, gpu_count: 1, gpu_memory_mb: 1024, cpu: 8 } };
    const { requirements } = asAskedFor<{ requirements: Requirements }>(project, job);

    expect(requirements).toEqual(whole);
    expect(checkRequirements(requirements, '/requirements')).toEqual([]);
  });

  it('contradict each other where each half is of another document', () => {
    const project: { requirements: Requirements } = { requirements: { profile: 'cpu' } };
    const { requirements } = asAskedFor(project, { gpu_count: 1, gpu_memory_mb: 1024 });

    expect(checkRequirements(requirements, '/requirements').map(({ path }) => path)).toEqual([
      '/requirements/gpu_count',
      '/requirements/gpu_memory_mb',
    ]);
    expect(checkRequirements({ profile: 'gpu', gpu_count: 0 }, '').map(({ path }) => path)).toEqual(['/gpu_count']);
    expect(checkRequirements(whole.requirements as never, '')).toEqual([]);
  });

  it.each([
    ['nothing', {}, nothing],
    ['one card for the profile gpu (C-39)', { profile: 'gpu' }, { ...nothing, gpu_count: 1 }],
    ['one card for its memory (C-41)', { gpu_memory_mb: 8192 }, { ...nothing, gpu_count: 1, gpu_memory_mib: 8192 }],
    ['no card, and so none of its memory', { gpu_count: 0, gpu_memory_mb: 8192 }, nothing],
    ['no card for the profile cpu', { profile: 'cpu' }, nothing],
    [
      ...(['all of it in the units of placement', whole.requirements] as const),
      { gpu_count: 1, gpu_memory_mib: 24_576, cpu_cores: 8, memory_gib: 16 },
    ],
  ])('mean %s', (_what, requirements, needs) => {
    expect(needsOf(requirements as never)).toEqual(needs);
  });
});

const gib = 2 ** 30;
const image = 'its image';
const caches = 'its caches';
const copy = 'a copy of it for its sandbox';
const rest = 'temporary files, checkpoints and downloads';

describe('the disk of a job', () => {
  it.each([
    ['what its author asks for, in its parts', 40, 12, 20, 40, { [image]: 12, [copy]: 0, [caches]: 20, [rest]: 8 }],
    ['caches for no more than is left of it', 40, 12, 100, 40, { [image]: 12, [copy]: 0, [caches]: 28, [rest]: 0 }],
    [
      'its image at least, however little is asked for',
      2,
      12,
      20,
      12,
      { [image]: 12, [copy]: 0, [caches]: 0, [rest]: 0 },
    ],
    ['nothing of which nothing is known', 0, 0, 5, 0, { [image]: 0, [copy]: 0, [caches]: 0, [rest]: 0 }],
  ])('is %s (C-44, C-45)', (_what, storage_gb, images, cached, whole, parts) => {
    const facts = { image: { bytes: images * gib, isPacked: false }, caches: cached * gib, hasCheckpoints: true };
    const storage = storageOf({ storage_gb }, facts);

    expect(storage.gib).toBe(whole);
    expect(Object.fromEntries(storage.parts.map(({ part, gib: size }) => [part, size]))).toEqual(parts);
  });

  it('says of an image that no host has built how it is known, and nothing of checkpoints where there are none', () => {
    const { parts } = storageOf({}, { image: { bytes: gib, isPacked: true }, caches: 0, hasCheckpoints: false });

    expect(parts.map(({ part }) => part)).toEqual([
      ...['its image as it is packed', copy, caches, 'temporary files and downloads'],
    ]);
  });
});
