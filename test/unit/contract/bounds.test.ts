import { describe, expect, it } from 'vitest';
import { bounds, cutFacts, cutLines, cutText } from '../../../src/contract/bounds.ts';
import { AgentError, Failure } from '../../../src/contract/failures.ts';
import { maxFrameBytes } from '../../../src/contract/signing.ts';
import { judge } from '../../../src/contract/validate.ts';

const jsonLength = (value: unknown) => JSON.stringify(value).length;

describe('what comes from outside', () => {
  it('is left as it is where it fits', () => {
    const facts = { path: '/a', errors: [{ path: '/b' }], exit_code: 1, excerpt: 'x'.repeat(4096), nothing: null };

    expect(cutText('a line\nand another', 100)).toBe('a line\nand another');
    expect(cutLines(['one', 'two'])).toEqual(['one', 'two']);
    expect(cutFacts(facts)).toEqual(facts);
  });

  it.each([
    ['letters', 'x'],
    ['what JSON writes with six characters', '\u0001'],
    ['pairs', '🙂'],
    ['halves of pairs', '\ud83d'],
  ])('is cut with a mark where it is a long text of %s', (_what, letter) => {
    const cut = cutText(letter.repeat(5000), bounds.message);

    expect(jsonLength(cut)).toBeLessThanOrEqual(bounds.message);
    expect(cut.length).toBeGreaterThan(bounds.message / 8);
    expect(cut.endsWith('… [cut]')).toBe(true);
    expect(cut.isWellFormed()).toBe(true);
  });

  it('is cut where it is a long list, and says how much is missing', () => {
    const lines = cutLines(Array.from({ length: 250 }, (_, number) => `folder ${number}`));
    const { errors, errors_left_out: leftOut } = cutFacts({
      errors: Array.from({ length: 1000 }, (_, number) => ({ path: `/env/${number}` })),
    });

    expect(lines).toHaveLength(100);
    expect(lines.at(-1)).toBe('… [151 more]');
    expect(jsonLength(errors)).toBeLessThanOrEqual(bounds.fact);
    expect((errors as unknown as unknown[]).length + Number(leftOut)).toBe(1000);
    expect(cutFacts({ tree: { deep: 'x'.repeat(9000) } })['tree']).toMatch(/^\{"deep":"x+… \[cut\]$/);
  });
});

it('a failure always fits a frame, whatever it tells', () => {
  const huge = '\u0001🙂'.repeat(500_000);
  const facts = Object.fromEntries(Array.from({ length: 100 }, (_, number) => [`fact_${number}`, huge]));

  const failure = new AgentError('engine.failed', { reason: huge, ...facts }).toFailure();

  expect(judge(Failure, failure).ok).toBe(true);
  expect(failure.message).toMatch(/… \[cut\]$/);
  expect(Buffer.byteLength(JSON.stringify(failure))).toBeLessThan(maxFrameBytes - 4096);
});
