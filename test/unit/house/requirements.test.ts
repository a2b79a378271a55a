/** The table of requirements is complete and true. */
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allIds, decided, requirementsPage, shownRequirements } from '../../support/requirements.ts';

const root = resolve(import.meta.dirname, '../../..');

describe('docs/requirements.md', () => {
  it('leaves no requirement out, and none is decided in words that a test shows', () => {
    const shown = shownRequirements();
    const places = (id: string) => [shown.has(id), id in decided].filter(Boolean).length;

    expect(allIds().filter((id) => places(id) !== 1)).toEqual([]);
  });

  it('is what the tests say', async () => {
    await expect(requirementsPage()).toMatchFileSnapshot(join(root, 'docs/requirements.md'));
  });
});
