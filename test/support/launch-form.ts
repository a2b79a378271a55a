/** The launch form of the console, as a test walks through it. */
import type { Locator, Page } from 'playwright-core';

/** The step of this title, once it is the one that is shown. */
export async function formStep(page: Page, title: string): Promise<Locator> {
  const step = page.getByRole('form', { name: title, exact: true });
  await step.getByRole('heading', { name: title, exact: true }).waitFor();
  return step;
}
