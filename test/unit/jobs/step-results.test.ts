import { expect, it } from 'vitest';
import { StepResults } from '../../../src/jobs/step-results.ts';

const both: ('stdout' | 'stderr')[] = ['stdout', 'stderr'];

it('keeps the groups of all matches, line by line, from the streams that are meant', () => {
  const results = new StepResults([
    { name: 'url', regex: 'url=(\\S+)', channels: both },
    { name: 'pairs', regex: '(\\w)=(\\d)', channels: ['stdout'] },
    { name: 'whole', regex: '^done$', channels: ['stderr'] },
    { name: 'nowhere', regex: '.', channels: [] },
  ]);

  results.line('stdout', 'url=http://a b=1 c=2');
  results.line('stderr', 'url=http://b d=4');
  results.line('stdout', 'done');
  results.line('stderr', 'done');

  expect(results.get('url')).toEqual(['http://a', 'http://b']);
  expect(results.get('pairs')).toEqual(['b', '1', 'c', '2']);
  expect(results.get('whole')).toEqual(['done']);
  expect(results.get('nowhere')).toBeUndefined();
});

it('is bounded, however much a step prints', () => {
  const results = new StepResults([{ name: 'x', regex: '(x)', channels: both }]);

  for (let line = 0; line < 100; line += 1) results.line('stdout', 'x'.repeat(100));

  expect(results.get('x')).toHaveLength(1000);
});

it('an expression that others never come back from ends', () => {
  const results = new StepResults([{ name: 'x', regex: '^(a+)+$', channels: both }]);

  results.line('stdout', `${'a'.repeat(20_000)}!`);

  expect(results.get('x')).toBeUndefined();
});

it('an expression that looks through all of a line at each place of it holds nobody up', () => {
  const results = new StepResults([
    { name: 'slow', regex: '(a*b|)', channels: both },
    { name: 'other', regex: '(a)$', channels: both },
  ]);
  const line = 'a'.repeat(64 * 1024);

  for (let times = 0; times < 3; times += 1) results.line('stdout', line);

  expect(results.get('slow')?.length).toBeLessThanOrEqual(1000);
  expect(results.get('other')).toEqual(['a', 'a', 'a']);
});
