import { describe, expect, it } from 'vitest';
import { choiceWords, sentence, summaryOf } from '../../../../src/console/pages/launch/words.ts';
import { initialAnswers, withAnswer } from '../../../../src/manifests/gpuaas/form-answers.ts';
import { formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import { jupyterProfile, vllmProfile } from '../../../support/profiles.ts';

const profile = jupyterProfile();
const model = formModel(profile);

describe('words of the form', () => {
  it('say what is wrong as a sentence about it', () => {
    const said = (path: string, message: string) => sentence(model, { path, code: '', message });

    expect(said('/resource_overrides/gpu_count', 'must be >= 0')).toBe('GPU count must be >= 0.');
    expect(said('/placement_intent/target_allocation_id', 'is missing')).toBe('Allocation is missing.');
    expect(said('/artifact_id', 'cannot be used: It is retired.')).toBe('Image cannot be used: It is retired.');
    expect(said('/display_name', 'is missing')).toBe('Name is missing.');
    expect(said('/config/nowhere', 'is strange')).toBe('/config/nowhere is strange.');
  });

  it('explain the choices that the platform gives a meaning to, and leave all others as they are written', () => {
    expect(choiceWords('project_storage')).toMatchObject({ title: 'Project storage' });
    expect(choiceWords('project_storage').meaning).toContain('stays');
    expect(choiceWords('awq_marlin')).toEqual({ title: 'awq_marlin', meaning: null });
    expect(choiceWords('constructor')).toEqual({ title: 'constructor', meaning: null });
    expect(choiceWords('')).toEqual({ title: 'None', meaning: null });
    expect(choiceWords(4)).toEqual({ title: '4', meaning: null });
  });

  it('sum up a step: places by name, amounts, choices, and what differs from its default', () => {
    const answers = withAnswer(
      { ...initialAnswers(profile), target_allocation_id: 'a1', artifact_id: 'i1' },
      'python_packages',
      'numpy pandas>=2',
    );
    const offers = {
      allocations: [{ id: 'a1', name: 'h200-lab' }],
      artifacts: [{ id: 'i1', name: 'runtime-cpu' }],
    } as unknown as Parameters<typeof summaryOf>[2];

    expect(model.steps.map((step) => summaryOf(step, answers, offers))).toEqual([
      'h200-lab',
      'runtime-cpu · 2 python packages',
      '1 GPU · 2 cores · 4 GiB',
      'Scratch',
      'Private · Host port 8888',
      '',
    ]);
  });

  it('never say a secret', () => {
    const vllm = vllmProfile();
    const answers = { ...initialAnswers(vllm), secrets: { hub_token: 'topsecret' } };
    const said = formModel(vllm).steps.map((step) => summaryOf(step, answers, {}));

    expect(said.join()).not.toContain('topsecret');
    expect(said[4]).toBe('Private · Host port 8000 · Hub token');
  });
});
