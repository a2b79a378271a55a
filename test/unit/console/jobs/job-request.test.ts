import { describe, expect, it } from 'vitest';
import {
  amounts,
  emptyForm,
  faultOfAmount,
  pathOfAmount,
  placeErrors,
  requestOf,
} from '../../../../src/console/pages/jobs/job-request.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { JobOptions } from '../../../../src/server/db/entities/job.ts';

const refused = (path: string) => ({ path, code: 'maximum', message: `${path} is refused`, hint: 'Correct it.' });

describe('the request of a job', () => {
  it('leaves out what the control plane chooses', () => {
    expect(requestOf({ ...emptyForm, document: 'ops: []', name: '  ' })).toEqual({ document: 'ops: []', options: {} });
  });

  it('has everything that was chosen, each at its place, as the control plane takes it', () => {
    const given = { gpu_count: '2', cpu_cores: '1.5', memory_gib: ' 8 ', shm_gib: '1', disk_gib: '20' };
    const request = requestOf({
      ...{ document: '{}', project_id: 'p1', name: ' Train ', sandbox: 'gvisor', on_failure: 'continue', keep: true },
      ...{ allocation_id: 'a1', amounts: { ...given, deadline_seconds: '60', retries: '3' } },
    }) as { readonly options: unknown };

    expect(request).toEqual({
      ...{ document: '{}', project_id: 'p1', name: 'Train' },
      options: {
        ...{
          sandbox: 'gvisor',
          on_failure: 'continue',
          allocation_id: 'a1',
          keep: true,
          deadline_seconds: 60,
          retries: 3,
        },
        resources: { gpu_count: 2, cpu_cores: 1.5, memory_gib: 8, shm_gib: 1, disk_gib: 20 },
      },
    });
    expect(judge(JobOptions, request.options).ok).toBe(true);
  });

  it.each(amounts)('has the bounds of the control plane for $name', (amount) => {
    const { name, least, most, isWhole, isResource } = amount;
    const isTaken = (value: number) =>
      judge(JobOptions, isResource ? { resources: { [name]: value } } : { [name]: value }).ok;

    for (const value of [least, most, least - 1, most + 1, least + 0.5]) {
      expect([value, faultOfAmount(amount, String(value)) === undefined]).toEqual([value, isTaken(value)]);
    }
    expect(isWhole).toBe(!isTaken(least + 0.5));
    expect(faultOfAmount(amount, 'much')).toBe('must be a number');
    expect(faultOfAmount(amount, ' ')).toBeUndefined();
  });
});

describe('what the control plane refuses', () => {
  it('is told where it is to be put right: in the document, at a field, or above all', () => {
    const errors = ['/ops/0/args/image', '/options/retries', '/name', '', '/options/unheard'].map(refused);

    const { document, fields, others } = placeErrors(errors);

    expect(document.map(({ path }) => path)).toEqual(['/ops/0/args/image']);
    expect([...fields.keys()]).toEqual(['/options/retries', '/name']);
    expect(others.map(({ path }) => path)).toEqual(['', '/options/unheard']);
  });

  it('has a field for each amount', () => {
    expect(placeErrors(amounts.map((amount) => refused(pathOfAmount(amount)))).fields.size).toBe(amounts.length);
  });
});
