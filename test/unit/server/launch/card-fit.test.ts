import { describe, expect, it } from 'vitest';
import type { AppInstance } from '../../../../src/server/db/entities/app-instance.ts';
import { fitOf, type HostCards, vendorOf } from '../../../../src/server/launch/card-fit.ts';
import { checkLaunch } from '../../../../src/server/launch/checks.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { vllmArtifact, vllmFacts } from '../../../support/launch-samples.ts';
import { jupyterProfile, vllmProfile } from '../../../support/profiles.ts';
import { anInstance } from '../../../support/store-samples.ts';

const card = (uuid: string, given: Parameters<typeof sampleGpu>[0] = {}) => sampleGpu({ uuid, ...given });
const host = (...cards: HostCards['cards'][number][]): HostCards => ({ cards, strangers: new Set(['by-hand']) });
const withCards = (gpu_count: number, given: Partial<AppInstance> = {}) =>
  anInstance({ id: 'other', resources: { gpu_count, cpu_cores: 1, memory_gib: 1 }, ...given });

describe('fitOf', () => {
  it.each<[string, HostCards, AppInstance[], number]>([
    ['two free cards', host(card('GPU-1'), card('GPU-2')), [], 2],
    ['a card that is not well', host(card('GPU-1'), card('GPU-2', { health: 'unhealthy', reason: 'XID 79.' })), [], 1],
    ['a card that a neighbour holds', host(card('GPU-1', { held_by: 'other' }), card('GPU-2')), [withCards(1)], 1],
    ['a card that a neighbour was promised just now', host(card('GPU-1'), card('GPU-2')), [withCards(1)], 1],
    [
      'the card of a neighbour that is stopped: it holds it until it is removed',
      host(card('GPU-1', { held_by: 'other' })),
      [withCards(1, { state: 'stopped' })],
      0,
    ],
    ['a card whose holder is gone, as the host does not know yet', host(card('GPU-1', { held_by: 'gone' })), [], 1],
    ['a card of something that was run on the host itself', host(card('GPU-1', { held_by: 'by-hand' })), [], 0],
    [
      'a neighbour on the only card that is well',
      host(card('GPU-1', { held_by: 'other' }), card('GPU-2', { health: 'unhealthy' })),
      [withCards(1)],
      0,
    ],
    ['cards of two vendors', host(card('GPU-1'), card('GPU-2', { vendor: 'amd' })), [], 1],
  ])('counts what can be had of %s', (_what, facts, neighbours, free) => {
    expect(fitOf(facts, neighbours, 'nvidia', 1).free).toBe(free);
  });

  it('counts parts of cards for a launch that wants one of them, and for no other', () => {
    const part = (uuid: string) => card(uuid, { mig: { parent: 'GPU-0', profile: '1g.10gb' } });
    const facts = host(part('MIG-1'), part('MIG-2'), card('GPU-3'));

    expect(fitOf(facts, [], 'nvidia', 1).free).toBe(3);
    expect(fitOf(facts, [], 'nvidia', 2)).toMatchObject({
      ...{ free: 1, total: 3 },
      reasons: [expect.stringMatching(/^MIG-1 is a part of a card/), expect.stringMatching(/^MIG-2 /)],
    });
  });
});

describe('a launch on cards', () => {
  const refusals = (facts: HostCards, gpu_count = 1) => {
    const checked = checkLaunch({ ...vllmFacts({ resource_overrides: { gpu_count } }), host: facts });
    return checked.ok ? [] : checked.refusals.map(({ code, path, message }) => `${code} ${path} ${message}`);
  };

  it('passes on as many as are free and well', () => {
    expect(refusals(host(card('GPU-1'), card('GPU-2')), 2)).toEqual([]);
  });

  it('is refused with the card named that is not well, and why', () => {
    const sick = card('GPU-2', { health: 'unhealthy', reason: 'It has fallen off the bus.' });

    expect(refusals(host(card('GPU-1'), sick), 2)).toEqual([
      'launch.resources_exceed_allocation /resource_overrides/gpu_count The allocation has not enough free cards, cores ' +
        'or memory. GPUs: 2 asked for, 1 of 2 on its host can be had. GPU-2 is not well: It has fallen off the bus.',
    ]);
  });

  it('is refused with what other instances were promised, though their host does not know it yet', () => {
    const checked = checkLaunch({
      ...vllmFacts({ config: { host_port: 9001 } }),
      ...{ host: host(card('GPU-1')), neighbours: [withCards(1)] },
    });

    expect(checked.ok ? '' : checked.refusals[0]?.message).toContain(
      'GPUs: 1 asked for, 0 of 1 on its host can be had. 1 more are promised to other instances.',
    );
  });

  it('is refused for an image of the other vendor (G-201)', () => {
    const found = refusals(host(card('GPU-1', { vendor: 'amd' }), card('GPU-2', { vendor: 'amd' })));

    expect(found[0]).toBe(
      'launch.image_unfit /artifact_id The image is made for cards of another vendor. It is for cards of nvidia; the host has amd.',
    );
  });

  it('takes the image of the vendor where none is named (G-61, G-201)', () => {
    const rocm = { ...vllmArtifact(), id: 'artifact-rocm', name: 'vllm-openai-rocm' };
    const { request, ...facts } = vllmFacts();
    const { artifact_id: _, ...open } = request;
    const chosen = (vendor: 'nvidia' | 'amd') => {
      const cards = host(card('GPU-1', { vendor }));
      const checked = checkLaunch({ ...facts, request: open, artifacts: [vllmArtifact(), rocm], host: cards });
      return checked.ok ? checked.launch.artifact.id : checked.refusals;
    };

    expect(chosen('nvidia')).toBe('artifact-vllm');
    expect(chosen('amd')).toBe('artifact-rocm');
  });

  it('knows whose cards an image is for by its names in the manifest', () => {
    expect(vendorOf(vllmProfile(), { name: 'vllm-openai-cuda' })).toBe('nvidia');
    expect(vendorOf(vllmProfile(), { name: 'vllm-openai-rocm' })).toBe('amd');
    expect(vendorOf(jupyterProfile(), { name: 'runtime-cpu' })).toBeUndefined();
  });
});
