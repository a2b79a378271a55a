/**
 * `npm run screenshots`: the pictures of the console in docs/images, of a notebook that really runs while they are taken.
 *
 * The host of the notebook takes its name from this process, which has one of its own.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { startChromium } from './support/chromium.ts';
import { signIn } from './support/console-ground.ts';
import { formStep } from './support/launch-form.ts';
import { offerNotebook } from './support/notebook-console.ts';
import { openWire } from './support/wire-ground.ts';

const folder = resolve(import.meta.dirname, '../docs/images');
const size = { width: 1280, height: 800 };

mkdirSync(folder, { recursive: true });
const wire = await openWire({ withoutApp: true, project: 'research', allocation: { name: 'cpu-lab' } });
const notebook = await offerNotebook(wire);
const browser = await startChromium();
try {
  const address = await inColours('light', launchAndLook);
  await inColours('dark', async (page) => {
    await page.goto(`${address}/topology`);
    await page.getByRole('img', { name: /^Drawing/ }).waitFor();
    await keep(page, 'topology-dark');
  });
} finally {
  await browser.close();
  await wire.close();
}

/** From the catalog to the log of what runs; returns the address of its page. */
async function launchAndLook(page: Page): Promise<string> {
  await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();
  await keep(page, 'catalog');
  await page.getByRole('link', { name: `Launch JupyterLab ${notebook.version}` }).click();
  for (const { title } of (await notebook.steps()).slice(0, -1)) {
    await (await formStep(page, title)).getByRole('button', { name: 'Next' }).click();
  }
  const review = await formStep(page, 'Review');
  await review.getByText('Where it runs').waitFor();
  await keep(page, 'wizard-review');
  await review.getByRole('button', { name: 'Launch' }).click();
  await page.getByRole('main').getByText('running', { exact: true }).first().waitFor();
  const address = page.url();
  await page.getByRole('link', { name: 'How to reach it' }).click();
  await page.getByRole('tab', { name: 'Logs' }).click();
  await page.getByText('extension was successfully loaded').first().waitFor();
  await keep(page, 'instance-logs');
  await page.getByRole('link', { name: 'Nodes' }).click();
  await page.getByRole('main').getByText('lab-1').first().waitFor();
  await keep(page, 'nodes');
  return address;
}

async function inColours<T>(colorScheme: 'light' | 'dark', work: (page: Page) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ viewport: size, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  await page.goto(wire.url);
  await signIn(page, wire.member.token);
  return await work(page);
}

async function keep(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.getByText('JupyterLab is running.').waitFor({ state: 'hidden' });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
