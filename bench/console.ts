/**
 * What the console costs in a real browser: how much is loaded, how soon the first page can be used, and what long lists add
 * to it. Each round is somebody who has never been there, with an empty cache, and sees the few and the many in turns.
 */
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { buildConsole } from '../bootstrap/dev/build-console.ts';
import { startChromium } from '../test/support/chromium.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../test/support/console-ground.ts';
import { type Measurement, median, timed } from './measurement.ts';

const rounds = 5;
const few = { nodes: 2, instances: 2 };
const many = { nodes: 200, instances: 500 };

export async function consoleCost(): Promise<Measurement[]> {
  const browser = await startChromium();
  const grounds: SeededConsole[] = [];
  try {
    for (const size of [few, many]) grounds.push(await openSeededConsole(size));
    const [small, large] = grounds;
    if (!small || !large) throw new Error('there is no console');
    return [
      await size(),
      await firstPage(browser, small),
      await listCost(browser, { small, large, name: 'Instances', count: many.instances }),
      await listCost(browser, { small, large, name: 'Nodes', count: many.nodes }),
      ...(await logCost(browser, small)),
    ];
  } finally {
    for (const ground of grounds) await ground.close();
    await browser.close();
  }
}

/** What the first page names, against all that there is; the rest comes when it is first looked at. */
async function size(): Promise<Measurement> {
  const files = await buildConsole();
  const page = Buffer.from(files.get('/')?.bytes ?? '').toString();
  const kilobytes = (paths: readonly string[]) =>
    paths.reduce((sum, path) => sum + gzipSync(files.get(path)?.bytes ?? '').length, 0) / 1000;
  const all = [...files.keys()];
  return {
    ...{ name: 'console: what its first page loads, gzip', unit: 'kB' },
    ...{ ours: kilobytes(all.filter((path) => path === '/' || page.includes(path))), theirs: kilobytes(all) },
    against: 'all that there is, gzip',
  };
}

/** From the address to the first card of the catalog, against the smallest answer that the same control plane has. */
async function firstPage(browser: Browser, ground: SeededConsole): Promise<Measurement> {
  const state = await signedIn(browser, ground);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    theirs.push(await fresh(browser, state, (page) => timed(() => page.goto(`${ground.url}/healthz`))));
    ours.push(
      await fresh(browser, state, (page) =>
        timed(async () => {
          await page.goto(ground.url);
          await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();
        }),
      ),
    );
  }
  return {
    ...{
      name: 'console: first page can be used, nothing cached',
      unit: 'ms',
      ours: median(ours),
      theirs: median(theirs),
    },
    ...{ against: 'a page of a few bytes from the same server', target: 'under 1000 ms', met: median(ours) < 1000 },
  };
}

interface ListOptions {
  readonly small: SeededConsole;
  readonly large: SeededConsole;
  /** Of the page, in the navigation. */
  readonly name: string;
  readonly count: number;
}

/** From the click in the navigation to rows that can be used. */
async function listCost(browser: Browser, { small, large, name, count }: ListOptions): Promise<Measurement> {
  const times = new Map<SeededConsole, number[]>([small, large].map((ground) => [ground, []]));
  const states = new Map<SeededConsole, State>();
  for (const ground of times.keys()) states.set(ground, await signedIn(browser, ground));
  for (let round = 0; round < rounds; round += 1) {
    for (const [ground, taken] of times) {
      const state = states.get(ground);
      taken.push(await fresh(browser, state, (page) => untilRows(page, ground, name)));
    }
  }
  const [theirs = [], ours = []] = times.values();
  return {
    ...{ name: `console: ${count} ${name.toLowerCase()} on their page`, unit: 'ms', ours: median(ours) },
    ...{ theirs: median(theirs), against: 'the same page with two' },
  };
}

async function untilRows(page: Page, ground: SeededConsole, name: string): Promise<number> {
  await page.goto(ground.url);
  await page.getByRole('heading', { name: 'JupyterLab' }).waitFor();
  return await timed(async () => {
    await page.getByRole('link', { name, exact: true }).click();
    await page.getByRole('main').getByRole('row').nth(2).waitFor();
  });
}

const manyLines = 100_000;
const fewLines = 1000;

/** A log of so many lines as the control plane tells it, over and done with. */
function logOf(lines: number): string {
  const entries = Array.from({ length: lines }, (_, at) => ({
    ...{ time: new Date(Date.UTC(2026, 0, 1) + at).toISOString(), channel: 'stdout', encoding: 'utf8', partial: false },
    text: `line ${at + 1} of a program that has much to say about what it does`,
  }));
  const parts = Array.from({ length: lines / 500 }, (_, at) => entries.slice(at * 500, (at + 1) * 500));
  const told = parts.map((part, at) => `id: ${at + 1}\nevent: entries\ndata: ${JSON.stringify(part)}\n\n`);
  return `${told.join('')}event: end\ndata: {"failure":null}\n\n`;
}

/** From the tab to its last line, and from a search to what it has found. The answer is made here, the page is real. */
async function logCost(browser: Browser, ground: SeededConsole): Promise<Measurement[]> {
  const state = await signedIn(browser, ground);
  const [instance = ''] = ground.fleet.instanceIds;
  const times = new Map(
    [fewLines, manyLines].map((lines) => [lines, { shown: [] as number[], found: [] as number[] }]),
  );
  for (const [lines, { shown, found }] of times) {
    const body = logOf(lines);
    for (let round = 0; round < rounds; round += 1) {
      await fresh(browser, state, async (page) => {
        await page.route('**/logs?**', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
        await page.goto(`${ground.url}/#/instances/${instance}/events`);
        const tab = page.getByRole('tab', { name: 'Logs' });
        await tab.waitFor();
        shown.push(
          await timed(async () => {
            await tab.click();
            await page.getByText(`line ${lines} of`).waitFor();
          }),
        );
        found.push(
          await timed(async () => {
            await page.getByRole('searchbox', { name: 'Search the log' }).fill('line 999 ');
            await page.getByText('1 line', { exact: true }).waitFor();
          }),
        );
      });
    }
  }
  const [theirs, ours] = times.values();
  const pair = (what: 'shown' | 'found') => ({
    ours: median(ours?.[what] ?? []),
    theirs: median(theirs?.[what] ?? []),
  });
  const against = 'the same of 1,000 lines';
  return [
    { name: 'console: a log of 100,000 lines, to its last', unit: 'ms', ...pair('shown'), against },
    { name: 'console: one of 100,000 lines is found', unit: 'ms', ...pair('found'), against },
  ];
}

type State = Awaited<ReturnType<BrowserContext['storageState']>>;

async function signedIn(browser: Browser, { url, fleet }: SeededConsole): Promise<State> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  await signIn(page, fleet.tokens.admin);
  const state = await context.storageState();
  await context.close();
  return state;
}

/** What `work` gives for somebody with that session and an empty cache. */
async function fresh<T>(
  browser: Browser,
  storageState: State | undefined,
  work: (page: Page) => Promise<T>,
): Promise<T> {
  const context = await browser.newContext(storageState && { storageState });
  try {
    return await work(await context.newPage());
  } finally {
    await context.close();
  }
}
