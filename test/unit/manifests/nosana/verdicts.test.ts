/** Our verdict on a definition is that of the validator that Nosana publishes, but where docs/dialects/nosana.md says so. */

import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { validateJobDefinition } from '@nosana/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDefinition } from '../../../../src/manifests/nosana/read-definition.ts';
import { changedDocument } from '../../../support/changed-document.ts';
import { differences } from './differences.ts';

const root = resolve(import.meta.dirname, '../../../..');
const folder = join(root, 'fixtures/manifests/nosana');
const page = readFileSync(join(root, 'docs/dialects/nosana.md'), 'utf8');
const definitions = globSync('*.in.json', { cwd: folder }).map((file) =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')),
);

/** What they refuse and we take, by the path that they name. */
const newer =
  /\.execution\.timeout$|\.required_vram$|\.output$|\.continuous$|\.restart_on_failure$|\.max_restarts$|\.REGION$|\.expose(\[\d+\])?(\.port)?$|\.args(\.image)?$|\.meta/;
/** What we refuse and they take: what only a look at the whole can tell, bounds, and paths to what is unknown to them. */
const stricter = new Set([
  ...['literal', 'unknown_op', 'cycle', 'other_group', 'regex', 'malformed_image', 'malformed_id', 'malformed_name'],
  ...[
    'malformed_url',
    'not_absolute',
    'other_registry',
    'contradiction',
    'not_a_number',
    'port_range',
    'duplicate_port',
  ],
  ...[
    'overlap',
    'system_path',
    'not_plain',
    'too_many_ports',
    'too_many_together',
    'forbidden',
    'no_log',
    'unsupported',
  ],
  ...['minItems', 'maxItems', 'minimum', 'maximum', 'minLength', 'maxLength', 'pattern', 'uniqueItems'],
]);

describe('each difference', () => {
  it.each(differences)('is one: $what', ({ definition, here }) => {
    expect(readDefinition(definition).ok ? 'valid' : 'refused').toBe(here);
    expect(validateJobDefinition(definition).success ? 'valid' : 'refused').not.toBe(here);
  });

  it('is told by the page, with its reason', () => {
    const rows = differences.map(({ what, here, why }) => `| ${what} | ${here} | ${why} |`);
    expect(page.split('\n').filter((line) => /\| (valid|refused) \|/.test(line))).toEqual(rows);
  });
});

it('every definition of the fixtures is valid, and to them too unless a difference says otherwise', () => {
  for (const definition of definitions) {
    const theirs = validateJobDefinition(definition);
    const strange = theirs.success ? [] : theirs.errors.map(({ path }) => path).filter((path) => !newer.test(path));
    expect(strange, JSON.stringify(definition)).toEqual([]);
  }
});

const changed = changedDocument(definitions, ['__remove-if-empty__']);

it('and with any change in it both say the same, but for what a difference covers', () => {
  fc.assert(
    fc.property(changed, (definition) => {
      const [theirs, ours] = [theirVerdict(definition), readDefinition(definition)];
      if (ours.ok && !theirs.success) {
        expect(theirs.errors.map(({ path }) => path).filter((path) => !newer.test(path))).toEqual([]);
      }
      if (!ours.ok && theirs.success) {
        const unexplained = ours.errors.filter(({ code, path }) => !stricter.has(code) && !isOwn(code, path));
        expect(unexplained, JSON.stringify(definition)).toEqual([]);
      }
    }),
    { numRuns: 400 },
  );
});

/** It falls over some that are none: `expose: [null, {"port": 80}]`. */
function theirVerdict(
  definition: unknown,
): { success: true } | { success: false; errors: readonly { path: string }[] } {
  try {
    return validateJobDefinition(definition);
  } catch (error) {
    if (error instanceof TypeError) return { success: false, errors: [] };
    throw error;
  }
}

/** Parts that they take as they come: each of them has a row. */
function isOwn(code: string, path: string): boolean {
  return (
    (code === 'required' && /\/(image|name|url|username|password|args\/image)$/.test(path)) ||
    (code === 'unknown_key' && /^\/ops\/\d+\/args\//.test(path)) ||
    (code === 'type' && /^\/meta|\/expose|\/expected_status$|\/restart_tries$/.test(path))
  );
}
