/** What a project and a job of it ask of their host, together (C-38 to C-46). */
import { describe, expect, it } from 'vitest';
import { checkRequirements, mergeRequirements, needsOf } from '../../../../src/manifests/computalot/requirements.ts';
import { whole } from '../../../support/project-manifests.ts';

const nothing = { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: 0, memory_gib: 0, storage_gib: 0 };

describe('requirements', () => {
  it('of a job stand in place of those of its project, and what it does not say is that of the project (C-38)', () => {
    expect(mergeRequirements({ cpu: 8, memory_mb: 1024 }, { cpu: 2 })).toEqual({ cpu: 2, memory_mb: 1024 });
    expect(mergeRequirements(undefined, undefined)).toEqual({});
  });

  it('contradict each other where each half is of another document', () => {
    const merged = mergeRequirements({ gpu_count: 1, gpu_memory_mb: 1024 }, { profile: 'cpu' });

    expect(checkRequirements(merged, '/requirements').map(({ path }) => path)).toEqual([
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
      { gpu_count: 1, gpu_memory_mib: 24_576, cpu_cores: 8, memory_gib: 16, storage_gib: 40 },
    ],
  ])('mean %s', (_what, requirements, needs) => {
    expect(needsOf(requirements as never)).toEqual(needs);
  });
});
