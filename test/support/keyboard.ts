/** People who have a keyboard and no mouse. */
import type { Locator, Page } from 'playwright-core';

/** No page of ours asks for more presses to get anywhere. */
const most = 80;

/** Presses Tab until the target has the focus. Throws where it never gets it. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let presses = 0; presses < most; presses += 1) {
    if (await hasFocus(target)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not get to ${target}`);
}

/** Moves there and presses Enter. */
export async function pressOn(page: Page, target: Locator): Promise<void> {
  await target.waitFor();
  await tabTo(page, target);
  await page.keyboard.press('Enter');
}

export async function hasFocus(target: Locator): Promise<boolean> {
  return await target.evaluate((element) => element === element.ownerDocument.activeElement);
}
