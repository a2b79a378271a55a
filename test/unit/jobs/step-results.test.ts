import { expect, it, vi } from 'vitest';
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

it('an expression that takes long for every line is given up, and the others are not', () => {
  const results = new StepResults([
    { name: 'slow', regex: '(a*b|)', channels: both },
    { name: 'other', regex: '(a)$', channels: both },
  ]);
  let now = 0;
  // Every match takes a tenth of what a line may take.
  using _clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10));

  for (let line = 0; line < 30; line += 1) results.line('stdout', 'a'.repeat(100));

  expect(results.get('slow')).toHaveLength(20 * 9);
  expect(results.get('other')).toHaveLength(30);
});
