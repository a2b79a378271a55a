/**
 * Pages in a real browser: one Chromium for each test file, started for its first page and ended with the file.
 *
 *   it('shows the catalog', async () => {
 *     await visit(url, async (page) => {
 *       await page.getByRole('heading', { name: 'Apps' }).waitFor();
 *     });
 *   });
 *
 * Each visit is somebody new, without cookies and storage. It fails where the page reports an error on its console (what its
 * content security policy forbids is one), throws, fails to load something, or asks another origin for anything; a test that
 * provokes such a thing says so with `expects`. With GPUAAS_TEST_PICTURES naming a folder, what the page looked like when a
 * test failed is kept there.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';
import { startChromium } from './chromium.ts';
import { atFileEnd } from './file-end.ts';

export interface VisitOptions {
  /** In CSS pixels; 1280 × 800 by default. */
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
  /** Faults that belong to the test. */
  readonly expects?: readonly RegExp[];
}

let running: Promise<Browser> | undefined;

/** Opens the address as somebody new, and closes all of it when `work` is done. Throws with the faults of the page. */
export async function visit<T>(
  url: string,
  work: (page: Page) => Promise<T>,
  { width = 1280, height = 800, scheme = 'light', expects = [] }: VisitOptions = {},
): Promise<T> {
  const browser = await launched();
  const context = await browser.newContext({
    ...{ viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce' },
  });
  // Only tells what hangs from what does not.
  context.setDefaultTimeout(60_000);
  try {
    const faults = watch(context, new URL(url).origin);
    const page = await context.newPage();
    const result = await pictured(page, async () => {
      await page.goto(url);
      return await work(page);
    });
    const unexpected = faults.filter((fault) => !expects.some((pattern) => pattern.test(fault)));
    if (unexpected.length > 0) throw new Error(`faults of the page:\n${unexpected.join('\n')}`);
    return result;
  } finally {
    await context.close();
  }
}

function launched(): Promise<Browser> {
  running ??= launch();
  return running;
}

async function launch(): Promise<Browser> {
  const browser = await startChromium();
  atFileEnd(() => browser.close());
  return browser;
}

/** All that goes wrong in the pages of the context, as it happens. */
/** The browser gives up what is on its way when a container comes or goes beside it. Whether the page copes, its test sees. */
const networkChanged = 'net::ERR_NETWORK_CHANGED';

function watch(context: BrowserContext, origin: string): readonly string[] {
  const faults: string[] = [];
  context.on('console', (message) => {
    const isFault = message.type() === 'error' && !message.text().includes(networkChanged);
    if (isFault) faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  context.on('weberror', (error) => faults.push(`uncaught: ${error.error().stack}`));
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (/^(https?|wss?):$/.test(url.protocol) && url.origin !== origin) faults.push(`other origin: ${url.href}`);
  });
  context.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    // That is what a page does to requests that it needs no more.
    if (why !== 'net::ERR_ABORTED' && why !== networkChanged) faults.push(`failed: ${request.url()} ${why}`);
  });
  return faults;
}

async function pictured<T>(page: Page, work: () => Promise<T>): Promise<T> {
  const folder = process.env['GPUAAS_TEST_PICTURES'];
  try {
    return await work();
  } catch (error) {
    if (folder !== undefined) {
      mkdirSync(folder, { recursive: true });
      const name = expect.getState().currentTestName?.replaceAll(/[^a-z0-9]+/gi, '-') ?? 'page';
      writeFileSync(join(folder, `${name}.png`), await page.screenshot());
      writeFileSync(join(folder, `${name}.html`), await page.content());
    }
    throw error;
  }
}
