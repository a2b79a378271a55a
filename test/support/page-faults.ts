/** What may be wrong with a page that looks right: for people who do not see it, and on a small screen. */
import { source } from 'axe-core';
import type { Page } from 'playwright-core';

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** What breaks WCAG 2.1, levels A and AA, in the page as it is now: one line for each element. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(source);
  const standards = JSON.stringify(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']);
  const { violations } = await page.evaluate<{ violations: Violation[] }>(
    `axe.run(document, { runOnly: ${standards}, resultTypes: ['violations'] })`,
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary.replaceAll(/\s+/g, ' ')}`),
  );
}

/** Elements that make the page wider than its screen; what scrolls by itself does not. */
export async function beyondTheEdge(page: Page): Promise<string[]> {
  return await page.evaluate<string[]>(`(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const name = (element) => element.localName + (element.id ? '#' + element.id : '') + [...element.classList].map((each) => '.' + each).join('');
    const wide = (element) => element.getBoundingClientRect().right > width + 1 || element.scrollWidth > width;
    const all = [...document.body.querySelectorAll('*')].filter(wide);
    return all.filter((element) => ![...element.children].some(wide)).map(name);
  })()`);
}
