/** Inputs of a plan with the values that are known while the job runs. */
import { describe, expect, it } from 'vitest';
import type { JobInput } from '../../../../src/contract/job-inputs.ts';
import { resolveInput } from '../../../../src/jobs/inputs/job-inputs.ts';

const known = {
  result: (step: string, name: string) => (step === 'pick' && name === 'model' ? ['acme/tiny'] : undefined),
  host: () => undefined,
  endpoint: () => undefined,
  service: () => undefined,
  job: { id: 'job-1', host: 'host-1', project: 'project-1' },
};
const model = { join: [{ ref: 'step_result', step: 'pick', name: 'model' } as const] };
const rest = { id: 'weights', volume: 'models', required: true, cache_seconds: 60 };

const sources: [JobInput['source'], object][] = [
  [
    { kind: 'huggingface', repo: model, revision: 'main', files: [{ join: ['a/', { ref: 'job', name: 'id' }] }] },
    { kind: 'huggingface', repo: 'acme/tiny', revision: 'main', files: ['a/job-1'] },
  ],
  [
    { kind: 's3', url: { join: ['https://b.example/', ...model.join] }, region: 'eu-1', files: [model] },
    { kind: 's3', url: 'https://b.example/acme/tiny', region: 'eu-1', files: ['acme/tiny'] },
  ],
  [
    { kind: 'http', url: { join: ['https://e.example/', ...model.join] }, sha256: 'a'.repeat(64) },
    { kind: 'http', url: 'https://e.example/acme/tiny', sha256: 'a'.repeat(64) },
  ],
  [
    { kind: 'ollama', model },
    { kind: 'ollama', model: 'acme/tiny' },
  ],
  [
    { kind: 'inline', file_name: 'payload.json', text: '{"ref":"job","name":"id"}' },
    { kind: 'inline', file_name: 'payload.json', text: '{"ref":"job","name":"id"}' },
  ],
];

describe('an input of a plan', () => {
  it.each(sources)('has plain texts once values are known', (source, plain) => {
    const input = resolveInput({ ...rest, source }, known);

    expect(input).toEqual({ id: 'weights', volume: 'models', cache_seconds: 60, source: plain });
  });

  it('is not resolved while a value is not there', () => {
    const source = { kind: 'ollama', model: { join: [{ ref: 'step_result', step: 'other', name: 'x' }] } } as const;

    expect(() =>
      resolveInput({ ...rest, source: { ...source, model: { join: [...source.model.join] } } }, known),
    ).toThrow(expect.objectContaining({ code: 'step.unresolved' }));
  });

  it('is bounded, however often it refers to what a step has said', () => {
    const long = { ...known, result: () => ['x'.repeat(256 * 1024)] };
    const of = (times: number): JobInput => ({
      ...rest,
      source: { kind: 's3', url: 'https://b.example/', region: 'eu-1', files: Array(times).fill(model) },
    });

    expect(resolveInput(of(16), long).source).toMatchObject({ kind: 's3' });
    expect(() => resolveInput(of(17), long)).toThrow('too long together');
  });
});
