import { describe, expect, it } from 'vitest';
import type { Reference } from '../../../src/contract/job-values.ts';
import type { Part } from '../../../src/jobs/parts.ts';
import { resolvePart } from '../../../src/jobs/resolve-part.ts';
import { type KnownValues, resolveEnv, resolveList, resolveText } from '../../../src/jobs/resolve-values.ts';

const results: Record<string, readonly string[]> = {
  ...{ url: ['http://x'], words: ['a', 'b c'], json: ['["p","q 1",3]'], deep: ['{"list":[{"name":"n"}]}'] },
  ...{
    pieces: ['["a",', '"b"]'],
    env: ['{"A":"1","N":2}'],
    pairs: ['[{"key":"K","value":"v"},{"key":"E"}]'],
    number: ['007'],
  },
};
const known: KnownValues = {
  result: (step, name) => (step === 'one' ? results[name] : undefined),
  host: (step) => (step === 'one' ? 'one' : undefined),
  endpoint: (step, port) => (step === 'one' && port === 80 ? '127.0.0.1:40080' : undefined),
  service: (id) => (id === 'model' ? 'ready' : undefined),
  job: { id: 'job-1', host: 'node-1', project: 'project-1' },
};
const result = (name: string, path?: string[]): Reference => ({
  ref: 'step_result',
  step: 'one',
  name,
  ...(path && { path }),
});

describe('a text', () => {
  it.each<[string, Parameters<typeof resolveText>[0]]>([
    ['as it is %%', 'as it is %%'],
    ['at http://x/a b c.', { join: ['at ', result('url'), '/', result('words'), '.'] }],
    ['p q 1 3', { join: [result('json')] }],
    ['007', { join: [result('number')] }],
    ['n', { join: [result('deep', ['list', '0', 'name'])] }],
    [
      'one 127.0.0.1:40080',
      { join: [{ ref: 'step_host', step: 'one' }, ' ', { ref: 'step_endpoint', step: 'one', port: 80 }] },
    ],
    [
      'job-1/node-1/project-1',
      { join: [{ ref: 'job', name: 'id' }, '/', { ref: 'job', name: 'host' }, '/', { ref: 'job', name: 'project' }] },
    ],
    ['"ready"', { join: ['"', { ref: 'service_state', service: 'model' }, '"'] }],
  ])('becomes %j', (expected, value) => {
    expect(resolveText(value, known)).toBe(expected);
  });
});

describe('a list', () => {
  const list = (...items: Parameters<typeof resolveList>[0]['items']) => ({ items, omit_if_empty: false });

  it('takes the entries of what it refers to in their place', () => {
    expect(resolveList(list('x', result('words'), result('json'), result('url')), known)).toEqual([
      ...['x', 'a', 'b c', 'p', 'q 1', '3', 'http://x'],
    ]);
  });

  it('takes a JSON list, in pieces where it says so', () => {
    expect(resolveList(list({ spread: result('json'), chunked: false }), known)).toEqual(['p', 'q 1', '3']);
    expect(resolveList(list({ spread: result('pieces'), chunked: true }), known)).toEqual(['a', 'b']);
    expect(() => resolveList(list({ spread: result('url'), chunked: false }), known)).toThrow('has to be JSON');
    expect(() => resolveList(list({ spread: result('env'), chunked: false }), known)).toThrow('no JSON list');
  });

  it('that is empty counts as not given only where it says so', () => {
    expect(resolveList({ items: [], omit_if_empty: true }, known)).toBeUndefined();
    expect(resolveList({ items: [], omit_if_empty: false }, known)).toEqual([]);
  });
});

it('an environment gets what is known late laid over the rest', () => {
  const merge = [
    { kind: 'object' as const, from: { join: [result('env')] } },
    { kind: 'pairs' as const, from: { join: [result('pairs')] } },
  ];

  expect(() => resolveEnv({ values: {}, merge: [{ kind: 'object', from: '[1]' }] }, known)).toThrow('none');
  expect(() => resolveEnv({ values: {}, merge: [{ kind: 'pairs', from: '[{"value":"x"}]' }] }, known)).toThrow(
    'no key',
  );
  expect(resolveEnv({ values: { A: '0', B: 'b' }, merge }, known)).toEqual({ A: '1', B: 'b', N: '2', K: 'v', E: '' });
});

it.each<[string, Reference]>([
  ['steps.one.results.none', result('none')],
  ['steps.one.results.deep.list.7', result('deep', ['list', '7'])],
  ['steps.two.host', { ref: 'step_host', step: 'two' }],
  ['steps.one.endpoint.81', { ref: 'step_endpoint', step: 'one', port: 81 }],
])('%s is told by its name where it is not there', (name, reference) => {
  expect(() => resolveText({ join: [reference] }, known)).toThrow(
    expect.objectContaining({ code: 'step.unresolved', detail: expect.objectContaining({ reference: name }) }),
  );
});

it('values of a container are bounded, however often they refer to what a step has said', () => {
  const part = (times: number): Part => ({
    ...{ id: 'two', kind: 'step', image: 'image', mounts: [], aliases: [], expose: [], results: [], needs: [] },
    env: { values: {}, merge: [] },
    command: { items: Array.from({ length: times }, () => ({ join: [result('long')] })), omit_if_empty: false },
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 },
    restart: { policy: 'no', max_retries: 0 },
  });
  const long = { ...known, result: () => ['x'.repeat(256 * 1024)] };

  expect(resolvePart(part(16), long).command).toHaveLength(16);
  expect(() => resolvePart(part(17), long)).toThrow('too long together');
});
