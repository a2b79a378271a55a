/** A platform with many hosts and instances: one request for a list, and no more rows in the page than can be seen. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';

let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole({ nodes: 200, instances: 500 });
});
afterAll(() => ground?.close());

/** Requests for a list that the page has sent so far. */
function requestsFor(page: Page, path: string): string[] {
  const sent: string[] = [];
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (pathname === path) sent.push(search);
  });
  return sent;
}

it.each([
  { name: 'instances', path: '/instances', api: '/api/v1/app-instances', count: 500, last: 'Notebook 0' },
  { name: 'nodes', path: '/nodes', api: '/api/v1/nodes', count: 200, last: 'gpu-199' },
])('$count $name are one request and few rows; the last is there when it is scrolled to', async (list) => {
  const { name, path, api, count, last } = list;
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.admin);
    const sent = requestsFor(page, api);

    await page.goto(`${ground.url}/#${path}`);

    const table = page.getByRole('table', { name });
    await page.getByText(`${count} rows`).waitFor();
    expect(await table.getByRole('row').count()).toBeLessThan(60);
    expect(sent).toEqual(['?limit=500']);
    expect(await table.getAttribute('aria-rowcount')).toBe(String(count + 1));
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await table.getByRole('link', { name: last, exact: true }).waitFor();
    expect(await table.getByRole('row').count()).toBeLessThan(60);
  });
});

it('a search leaves the rows that have its words, and says how many', async () => {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.admin);
    await page.goto(`${ground.url}/#/instances`);

    await page.getByLabel('Search instances').fill('notebook 499');

    await page.getByText('1 of 500 rows').waitFor();
    await page.getByRole('link', { name: 'Notebook 499' }).waitFor();
  });
});
