/**
 * What no page shows, is told or keeps, whoever is signed in: documents of the engines, secrets, and what is sealed for hosts.
 * The secrets are in the store or the configuration of the control plane that the pages come from.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { openSeededConsole, registryPassword, type SeededConsole, signIn } from '../support/console-ground.ts';
import { consolePages, openPage } from '../support/console-pages.ts';
import { secretOf, secretsIn } from '../support/secrets.ts';
import { sealedCanary } from '../support/seeded-fleet.ts';

let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole();
});
afterAll(() => ground?.close());

/** Texts that a page is answered from now on, taken on their way: it may have gone elsewhere by the time that they arrive. */
async function answersOf(page: Page): Promise<readonly string[]> {
  const answers: string[] = [];
  await page.route('**/api/**', async (route) => {
    if (route.request().headers()['accept']?.includes('text/event-stream')) {
      // It has no text until it ends.
      await route.continue();
      return;
    }
    const response = await route.fetch();
    answers.push(await response.text());
    // Nobody may be waiting for it any more.
    await route.fulfill({ response }).catch(() => undefined);
  });
  return answers;
}

it.each(['admin', 'member'] as const)(
  'nothing of it is in any page, answer or storage of a %s (G-230…G-233)',
  async (role) => {
    const { tokens } = ground.fleet;
    const secrets = { sealed: sealedCanary, 'password of a registry': registryPassword, token: secretOf(tokens[role]) };

    await visit(ground.url, async (page) => {
      await signIn(page, tokens[role]);
      const told = await answersOf(page);
      const shown: string[] = [];
      for (const each of consolePages) {
        await openPage(page, ground.url, each);
        shown.push(await page.content());
        shown.push(await page.locator('body').innerText());
      }
      const kept = await page.evaluate<string>(
        'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
      );

      await page.unrouteAll({ behavior: 'ignoreErrors' });
      expect(told.length).toBeGreaterThan(0);
      expect(secretsIn([...shown, ...told, kept].join('\n'), secrets)).toEqual([]);
      expect([...told, kept].join('\n')).not.toMatch(/secret_hash|bearer_hash|cookie_hash|sealed_(files|env)/);
      expect(shown.join('\n')).not.toMatch(/^\s*(services|apiVersion|kind: Deployment)\b.*:/m);
    });
  },
);
