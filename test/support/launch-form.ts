/** The launch form of the console, as a test walks through it. */
import type { Locator, Page } from 'playwright-core';

/** The step of this title, once it is the one that is shown. */
export async function formStep(page: Page, title: string): Promise<Locator> {
  const step = page.getByRole('form', { name: title, exact: true });
  await step.getByRole('heading', { name: title, exact: true }).waitFor();
  return step;
}

/** From the first step to the last, with what the form has chosen by itself. */
export async function walkToReview(page: Page, titles: readonly string[]): Promise<Locator> {
  for (const title of titles.slice(0, -1)) {
    await (await formStep(page, title)).getByRole('button', { name: 'Next' }).click();
  }
  return await formStep(page, titles.at(-1) ?? '');
}
