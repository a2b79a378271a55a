/** What the source logs is shown: a key that the log does not know would be redacted, whatever it holds. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { redact } from '../../../src/kit/log.ts';

const src = resolve(import.meta.dirname, '../../../src');
const call = /\blog\.(?:debug|info|warn|error)\(\s*\{([^{}()]*)\}/g;

it('the log knows every key that the source gives it', () => {
  const keys = globSync('**/*.ts', { cwd: src }).flatMap((file) =>
    [...readFileSync(join(src, file), 'utf8').matchAll(call)].flatMap(([, inside = '']) =>
      [...inside.matchAll(/(?:^|,)\s*([a-z_]+)(?=\s*(?:[:,]|$))/g)].map(([, key = '']) => key),
    ),
  );

  expect(keys.length).toBeGreaterThan(50);
  expect([...new Set(keys)].filter((key) => redact({ [key]: 1 })[key] !== 1)).toEqual([]);
});
