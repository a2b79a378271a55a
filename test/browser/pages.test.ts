/** Every page for people who read it by ear or by keyboard, in both colour schemes, and on a phone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';
import { consolePages, openPage } from '../support/console-pages.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';

const schemes = ['light', 'dark'] as const;

let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole();
});
afterAll(() => ground?.close());

describe.each(schemes)('in %s colours', (scheme) => {
  it('the sign-in page breaks no rule of WCAG 2.1 AA', async () => {
    const faults = await visit(
      ground.url,
      async (page) => {
        await page.getByRole('heading', { name: 'Sign in' }).waitFor();
        return await accessibilityFaults(page);
      },
      { scheme },
    );

    expect(faults).toEqual([]);
  });

  it('no page breaks a rule of WCAG 2.1 AA', async () => {
    await visit(
      ground.url,
      async (page) => {
        await signIn(page, ground.fleet.tokens.admin);
        for (const each of consolePages) {
          await openPage(page, ground.url, each);
          expect(await accessibilityFaults(page), each[0]).toEqual([]);
        }
      },
      { scheme },
    );
  });
});

it('no page is wider than a phone', async () => {
  await visit(
    ground.url,
    async (page) => {
      expect(await beyondTheEdge(page), 'sign-in').toEqual([]);
      await signIn(page, ground.fleet.tokens.admin);
      for (const each of consolePages) {
        await openPage(page, ground.url, each);
        expect(await beyondTheEdge(page), each[0]).toEqual([]);
      }
    },
    { width: 360, height: 740 },
  );
});
