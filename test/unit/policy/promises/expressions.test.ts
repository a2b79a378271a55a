/** Expressions of strangers: what they match is what others say, and none of them keeps a host busy (M-32). */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readCommandRules } from '../../../../src/policy/promises/command-rules.ts';
import { judgeScript } from '../../../../src/policy/promises/judge-script.ts';
import { withScript } from '../../../support/payload-manifests.ts';

/** Nested as deep as it gets, with what makes others go back: choices that overlap, repetitions of repetitions. */
const { expression } = fc.letrec<{ expression: string; part: string }>((tie) => ({
  expression: fc.array(tie('part'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
  part: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('a', 'b', '.', '[ab]', '[^b]', 'a?', '\\w'),
    fc
      .tuple(tie('expression'), fc.constantFrom('*', '+', '?', '{0,3}', '*?'))
      .map(([inner, often]) => `(${inner})${often}`),
    fc.tuple(tie('expression'), tie('expression')).map(([one, other]) => `(${one}|${other})`),
  ),
}));

function allows(source: string, ...words: string[]): boolean | undefined {
  const read = readCommandRules(withScript([`run ${source}`], 'regex'), 'strict');
  if (!read.ok) return undefined;
  const [entry_point = '', ...args] = words;
  return judgeScript(read.rules, [{ run: { entry_point, args } }]).allowed;
}

it('match all of a command or nothing, as other engines say of a short one (M-30, M-33)', () => {
  fc.assert(
    fc.property(
      expression,
      fc.stringMatching(/^[ab]{1,6}$/),
      fc.stringMatching(/^[ab]{0,3}$/),
      (source, program, word) => {
        const others = new RegExp(`^(?:${source})$`, 'u').test(`${program} ${word}`);
        expect(allows(source, program, word) ?? others, source).toBe(others);
      },
    ),
    { numRuns: 1000 },
  );
});

it('are done with in a moment, however they repeat and however long the command is (M-32)', () => {
  fc.assert(
    fc.property(expression, fc.constantFrom('a', 'ab', 'b'), (source, unit) => {
      const begun = performance.now();
      allows(`${source}c`, unit.repeat(Math.floor(30_000 / unit.length)));
      expect(performance.now() - begun, source).toBeLessThan(5000);
    }),
    { numRuns: 100 },
  );
});
