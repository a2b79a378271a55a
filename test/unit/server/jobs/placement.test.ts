import { describe, expect, it } from 'vitest';
import type { JobNeeds } from '../../../../src/server/db/entities/job.ts';
import type { HostDisk } from '../../../../src/server/jobs/held-disk.ts';
import { neverOf } from '../../../../src/server/jobs/job-queue.ts';
import {
  fitOf,
  inWords,
  inWordsOfNever,
  type JobHost,
  largest,
  taking,
} from '../../../../src/server/jobs/placement.ts';

const needs = (given: Partial<JobNeeds> = {}): JobNeeds => ({
  ...{ gpu_count: 0, gpu_memory_mib: 0, cpu_cores: null, memory_gib: null, disk_gib: 1 },
  ...given,
});
const card = (memoryMib: number, isFree = true) => ({ memoryMib, isForGvisor: true, isFree });
const disk = (now: number): HostDisk => ({ now, held: {}, claims: [], kept: new Map() });
function host(given: Partial<JobHost> = {}): JobHost {
  const amounts = { cpu_cores: 16, memory_gib: 64, disk_gib: 100 };
  return {
    ...{
      allocationId: 'al',
      nodeId: 'n',
      name: 'h',
      projects: ['p1'],
      unfit: undefined,
      total: amounts,
      free: amounts,
    },
    ...{
      cards: [card(24_564), card(24_564), card(16_384), card(16_384)],
      cardLimit: 4,
      cardsPromised: 0,
      offers: undefined,
      disk: disk(100),
    },
    ...given,
  };
}

const all = {
  ...{ sandboxes: ['gvisor'], builds: true, build_network: true, gvisor_cards: true, downloads: true },
  plans: ['shared_services', 'service_states'],
};

describe('a job and a host', () => {
  it('fit with a quarter of it where nobody says how much, and with the share of its cards (N-51)', () => {
    expect(fitOf(needs(), host())).toEqual({ is: 'now', granted: { gpu_count: 0, cpu_cores: 4, memory_gib: 16 } });
    expect(fitOf(needs({ gpu_count: 2 }), host())).toMatchObject({ granted: { cpu_cores: 8, memory_gib: 32 } });
    const small = { cpu_cores: 2, memory_gib: 2, disk_gib: 10 };
    expect(fitOf(needs(), host({ total: small, free: small }))).toMatchObject({
      granted: { cpu_cores: 1, memory_gib: 1 },
    });
  });

  it('fit with more than that share where their shared memory is larger', () => {
    expect(fitOf(needs({ least_memory_gib: 24 }), host())).toMatchObject({ granted: { memory_gib: 24 } });
    expect(fitOf(needs({ least_memory_gib: 65 }), host())).toMatchObject({
      ...{ is: 'never', missing: [{ name: 'GiB of memory', wanted: 65, have: 64 }] },
    });
  });

  it('never fit where its cards have too little memory: one of 16 GB is refused for 18 (N-8, N-10)', () => {
    const small = host({ cards: [card(16_384)] });
    const fit = fitOf(needs({ gpu_count: 1, gpu_memory_mib: 17_166 }), small);

    expect(fit).toMatchObject({ is: 'never' });
    expect(fit.is === 'never' && inWords(largest(fit.missing) as never)).toBe('17166 MiB of memory on a GPU, of 16384');
    expect(fitOf(needs({ gpu_count: 1, gpu_memory_mib: 17_166 }), host()).is).toBe('now');
    expect(fitOf(needs({ gpu_memory_mib: 17_166 }), small).is).toBe('never');
  });

  it('fit a card of the size that is asked for, of which its driver keeps some: up to a fiftieth (C-40)', () => {
    const asked = needs({ gpu_count: 1, gpu_memory_mib: 24_576 });
    const isWith = (memoryMib: number) => fitOf(asked, host({ cards: [card(memoryMib)] })).is;

    expect([24_576, 24_564, 24_268, 24_085].map(isWith)).toEqual(['now', 'now', 'now', 'now']);
    expect([24_084, 23_034].map(isWith)).toEqual(['never', 'never']);
    const left = taking(host(), { gpu_count: 1, cpu_cores: 4, memory_gib: 8 }, asked);
    expect(left.cards.map(({ isFree }) => isFree)).toEqual([false, true, true, true]);
  });

  it('never fit under gVisor where the cards are none that it can hand on: of AMD, or parts', () => {
    const strange = host({ cards: [{ ...card(24_576), isForGvisor: false }], offers: all });
    const asked = needs({ gpu_count: 1, sandbox: 'gvisor' });

    expect(fitOf(asked, strange)).toMatchObject({ is: 'never', missing: [{ name: 'GPUs', wanted: 1, have: 0 }] });
    expect(fitOf(needs({ gpu_count: 1 }), strange).is).toBe('now');
    expect(fitOf(asked, host({ cards: [...strange.cards, card(16_384)], offers: all })).is).toBe('now');
  });

  it('fit later where somebody has what they need now', () => {
    expect(fitOf(needs({ cpu_cores: 8 }), host({ free: { cpu_cores: 4, memory_gib: 64 } }))).toEqual({
      ...{ is: 'later', missing: [{ name: 'cores', wanted: 8, have: 4 }] },
    });
    const held = host({ cards: [card(24_564, false), card(16_384)] });
    expect(fitOf(needs({ gpu_count: 1, gpu_memory_mib: 20_000 }), held).is).toBe('later');
    expect(fitOf(needs({ gpu_count: 1 }), held).is).toBe('now');
    expect(fitOf(needs({ gpu_count: 1 }), host({ cardsPromised: 4 })).is).toBe('later');
  });

  it('name what is farthest from being enough', () => {
    const fit = fitOf(needs({ cpu_cores: 17, memory_gib: 640, disk_gib: 200 }), host());

    expect(fit.is === 'never' && largest(fit.missing)).toEqual({ name: 'GiB of memory', wanted: 640, have: 64 });
  });

  it('leave the rest to the next one', () => {
    const wanted = needs({ gpu_count: 2, gpu_memory_mib: 20_000, cpu_cores: 4, memory_gib: 8, disk_gib: 10 });
    const left = taking(host(), { gpu_count: 2, cpu_cores: 4, memory_gib: 8 }, wanted);

    expect(left.free).toEqual({ cpu_cores: 12, memory_gib: 56 });
    expect(left.disk.claims).toEqual([{ job: undefined, gib: 10, revision: undefined }]);
    expect(left.cards.map(({ isFree }) => isFree)).toEqual([false, false, true, true]);
    expect(fitOf(needs({ gpu_count: 1, gpu_memory_mib: 20_000 }), left).is).toBe('later');
  });

  it.each([
    ['a sandbox', { sandbox: 'gvisor' }, { sandboxes: ['runc'] }, 'a host that offers gvisor'],
    [
      ...['cards under gVisor', { sandbox: 'gvisor', gpu_count: 1 }, { gvisor_cards: false }],
      'a host that gives NVIDIA cards to gVisor, which its operator switches on there (`gvisor_cards`)',
    ],
    [
      ...['an image by its hash', { downloads: true }, { downloads: false }],
      'a host whose operator lets images be downloaded by their hash (`payloads`)',
    ],
    ['builds', { builds: true }, { builds: false }, 'a host whose operator lets images be built on it'],
    [
      ...['a network for its build', { builds: true, build_network: true }, { build_network: false }],
      'a host that gives builds a network, which its operator says there (`builds.network`), and whose agent knows it',
    ],
    [
      ...['shared services', { shared_services: true }, { plans: ['folder_inputs'] }],
      'a host whose agent lets jobs share services; update it',
    ],
    [
      ...['services of both scopes', { service_states: true }, { plans: ['shared_services'] }],
      'a host whose agent lets a job share some of its services and have others for itself; update it',
    ],
  ] as const)(
    'never fit where %s is asked for that the host does not offer, however large it is',
    (_, asked, offers, words) => {
      const fit = fitOf(needs(asked), host({ offers: { ...all, ...offers } }));

      expect(fit.is === 'never' && inWordsOfNever(neverOf([fit]))).toBe(words);
      expect(fitOf(needs(asked), host({ offers: all })).is).toBe('now');
      // It is asked before anything is begun.
      expect(fitOf(needs(asked), host({ offers: undefined })).is).toBe('now');
    },
  );

  it('are compared by the disk that is free, and told what most of it is for (C-44, C-45, C-46)', () => {
    const asked = needs({
      disk_gib: 40,
      disk_parts: [
        { part: 'caches', gib: 10 },
        { part: 'its image', gib: 30 },
      ],
    });
    const amounts = { cpu_cores: 16, memory_gib: 64 };
    const fit = fitOf(asked, host({ total: { ...amounts, disk_gib: 100 }, disk: disk(39) }));

    expect(fit.is === 'later' && inWords(largest(fit.missing) as never)).toBe(
      '40 GiB of disk (most of it, 30, for its image), of 39',
    );
    expect(fitOf(asked, host({ disk: disk(40) })).is).toBe('now');
    expect(fitOf(asked, host({ disk: disk(4000) })).is).toBe('now');
  });

  it('need less disk where their revision is there already, also a second attempt (C-44)', () => {
    const asked = needs({ disk_gib: 60 });
    const prepared = host({ disk: { ...disk(54), kept: new Map([['a', { there: 46, evictable: 0 }]]) } });

    expect([fitOf(asked, prepared, 'a').is, fitOf(asked, prepared, 'b').is]).toEqual(['now', 'later']);
  });
});
