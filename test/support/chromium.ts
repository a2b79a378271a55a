/** Chromium as a process, for tests, figures and pictures of pages. */
import { type Browser, chromium } from 'playwright-core';
import { browserArgs, browserEnv, ensureBrowser } from '../../bootstrap/dev/browser.ts';

/** Its profile is a new temporary folder. It ends with `close`, or with this process, however that ends. */
export async function startChromium(): Promise<Browser> {
  const executablePath = await ensureBrowser();
  return await chromium.launch({ executablePath, args: [...browserArgs], env: { ...process.env, ...browserEnv } });
}
