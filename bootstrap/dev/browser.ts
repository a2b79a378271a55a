/**
 * The browser in which the console's pages are tested: Debian's Chromium, and the font that pictures of them are made with.
 *
 *   sh bootstrap/dev/with-node.sh bootstrap/dev/browser.ts          prints its program
 */
import { join } from 'node:path';
import { ensurePackages } from './packages.ts';

/** Behind Debian's start script, which adds extensions and asks for a graphics card. */
const program = '/usr/lib/chromium/chromium';

/** What it must be started with: as root it has no sandbox, and by itself it would talk to its makers. */
export const browserArgs = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
] as const;

/** What it needs in its environment: fonts that are the same everywhere. */
export const browserEnv = { FONTCONFIG_FILE: join(import.meta.dirname, 'fonts.conf') } as const;

/** Makes sure that Chromium is there, and gives its program. */
export async function ensureBrowser(): Promise<string> {
  await ensurePackages(['chromium', 'fonts-inter']);
  return program;
}

if (import.meta.main) process.stdout.write(`${await ensureBrowser()}\n`);
