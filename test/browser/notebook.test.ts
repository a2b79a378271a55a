/**
 * What the console is for: somebody who has never seen it gets a notebook, uses it, stops it, starts it and gives it back. All
 * of it is real: the control plane, the host, the engine, the image, the SSH server behind the printed tunnel.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { signIn } from '../support/console-ground.ts';
import { openPage } from '../support/console-pages.ts';
import { countedPerson } from '../support/counted-person.ts';
import { hasFocus, pressOn, tabTo } from '../support/keyboard.ts';
import { formStep } from '../support/launch-form.ts';
import { type NotebookConsole, openNotebookConsole } from '../support/notebook-console.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';

const tabs = ['Access', 'Events', 'Logs', 'Topology', 'Metrics'] as const;
let ground: NotebookConsole;
/** Of the notebook, from its launch on. */
let id = '';
/** As its page shows them. */
let address = '';
let tunnel = '';

beforeAll(async () => {
  ground = await openNotebookConsole();
});
afterAll(() => ground?.close());

/** The page of the notebook, as its owner has it. */
async function onItsPage<T>(work: (page: Page) => Promise<T>, options?: Parameters<typeof visit>[2]): Promise<T> {
  return await visit(
    `${ground.url}/#/instances/${id}`,
    async (page) => {
      await signIn(page, ground.member.token);
      await page.getByRole('heading', { level: 1, name: 'JupyterLab' }).waitFor();
      return await work(page);
    },
    options,
  );
}

const becomes = (page: Page, state: string) =>
  page.getByRole('main').getByText(state, { exact: true }).first().waitFor();

describe('a notebook', () => {
  it('runs after eight acts, by the six steps of its manifest, with nothing typed (G-50, G-56, G-59)', async () => {
    const steps = await ground.steps();
    await visit(ground.url, async (page) => {
      await signIn(page, ground.member.token);
      const person = countedPerson();

      await person.click(page.getByRole('link', { name: `Launch JupyterLab ${ground.version}` }));
      for (const { title, description } of steps) {
        const step = await formStep(page, title);
        if (description !== undefined) await step.getByText(description, { exact: true }).waitFor();
        const isLast = title === steps.at(-1)?.title;
        expect(await step.getByRole('button', { name: 'Launch' }).count()).toBe(isLast ? 1 : 0);
        await person.click(step.getByRole('button', { name: isLast ? 'Launch' : 'Next' }));
      }

      await becomes(page, 'running');
      expect(steps.map(({ title }) => title)).toEqual([
        'Target',
        'Runtime',
        'Resources',
        'Storage',
        'Access',
        'Review',
      ]);
      expect(person.acts).toBeLessThanOrEqual(8);
      expect(person.typed).toEqual([]);
      id = new URL(page.url()).hash.split('/')[2] ?? '';
      // It is told where one is after a launch, not only where it is shown.
      await page.getByRole('link', { name: 'Copy it under Access' }).click();
      await page.getByText('Platform-proxy routing is not wired yet.').waitFor();
      address = (await page.getByRole('link', { name: /^open web/ }).getAttribute('href')) ?? '';
      tunnel = (await page.getByRole('code').filter({ hasText: 'ssh -N -L' }).textContent()) ?? '';
    });
    expect(await ground.instance(id)).toMatchObject({ state: 'running', resources: { gpu_count: 0 } });
  });

  it('opens in the browser through the tunnel that is shown, with the token that is shown (G-229, G-239)', async () => {
    const throughTunnel = new URL(address);
    throughTunnel.port = String(await ground.ssh.tunnel(tunnel));

    await visit(
      throughTunnel.href,
      async (page) => {
        await page.getByRole('menuitem', { name: 'File', exact: true }).waitFor();
        expect(await page.title()).toContain('JupyterLab');
      },
      // The image has no language servers, and the notebook asks for them.
      { expects: [/status of 404.*\/lsp\/status/] },
    );
  });

  it('shows its token once: who comes to its page later is told so (G-210)', async () => {
    const token = new URL(address).searchParams.get('token') ?? '';
    expect(token).not.toBe('');

    await onItsPage(async (page) => {
      await page.getByText('I need the token and do not have it').waitFor();
      expect(await page.content()).not.toContain(token);
      expect(await page.getByText('Its token is shown once.').count()).toBe(0);
    });
  });

  it('shows its log as it is written, and what it consists of, never as a document (G-185, G-230)', async () => {
    await onItsPage(async (page) => {
      await page.getByRole('tab', { name: 'Logs' }).click();
      await page.getByRole('tabpanel').getByText('extension was successfully loaded').first().waitFor();
      await page.getByRole('searchbox', { name: 'Search the log' }).fill('jupyterlab | extension');
      await page.getByText('2 lines', { exact: true }).waitFor();
      await page.getByRole('tab', { name: 'Topology' }).click();
      await page.getByRole('img', { name: /^Drawing of what it consists of/ }).waitFor();
      await page.getByText('The same in words').click();

      const text = await page.getByRole('main').textContent();
      expect(text).toMatch(/workspace/);
      expect(text).not.toMatch(/services:|apiVersion/);
    });
  });

  it.each(['light', 'dark'] as const)(
    'has a page that breaks no rule of WCAG 2.1 AA, in %s colours',
    async (scheme) => {
      await onItsPage(
        async (page) => {
          for (const name of tabs) {
            await page.getByRole('tab', { name }).click();
            await page.getByRole('main').getByText('Loading').waitFor({ state: 'detached' });
            expect(await accessibilityFaults(page), name).toEqual([]);
          }
          for (const action of ['Stop', 'Decommission']) {
            await page.getByRole('button', { name: action, exact: true }).click();
            await page.getByRole('dialog').waitFor();
            expect(await accessibilityFaults(page), action).toEqual([]);
            await page.keyboard.press('Escape');
            await page.getByRole('dialog').waitFor({ state: 'detached' });
          }
        },
        { scheme },
      );
    },
  );

  it('has a page that fits a phone', async () => {
    await onItsPage(
      async (page) => {
        for (const name of tabs) {
          await page.getByRole('tab', { name }).click();
          await page.getByRole('main').getByText('Loading').waitFor({ state: 'detached' });
          expect(await beyondTheEdge(page), name).toEqual([]);
        }
      },
      { width: 360, height: 740 },
    );
  });

  it('is stopped and started from its page, and says so when it is', async () => {
    await onItsPage(async (page) => {
      await page.getByRole('button', { name: 'Stop', exact: true }).click();
      const dialog = page.getByRole('dialog', { name: 'Stop JupyterLab?' });
      await dialog.getByText('It keeps its data').waitFor();
      await dialog.getByRole('button', { name: 'Stop', exact: true }).click();
      await becomes(page, 'stopped');
      expect((await ground.containers(id)).map(({ State }) => State)).toEqual(['exited']);

      await page.getByRole('button', { name: 'Start', exact: true }).click();
      await becomes(page, 'running');
      expect((await ground.containers(id)).map(({ State }) => State)).toEqual(['running']);
    });
  });

  it('is decommissioned from its page, and only by somebody who confirms it', async () => {
    await onItsPage(async (page) => {
      const decommission = page.getByRole('button', { name: 'Decommission', exact: true });
      const dialog = page.getByRole('dialog', { name: 'Decommission JupyterLab?' });
      await decommission.click();
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await dialog.waitFor({ state: 'detached' });
      expect((await ground.instance(id)).state).toBe('running');

      await decommission.click();
      await dialog.getByRole('button', { name: 'Decommission', exact: true }).click();
      await becomes(page, 'decommissioned');
      expect(await ground.containers(id)).toEqual([]);
      await openPage(page, ground.url, ['/instances', 'Instances']);
      await page.getByRole('row').filter({ hasText: 'JupyterLab' }).getByText('decommissioned').waitFor();
    });
  });
});

describe('with a keyboard alone', () => {
  it('one signs in, launches a notebook, looks at its tabs and gives it back', async () => {
    const steps = await ground.steps();
    await visit(ground.url, async (page) => {
      const token = page.getByLabel('API token');
      await token.waitFor();
      expect(await hasFocus(token)).toBe(true);
      await page.keyboard.type(ground.member.token);
      await page.keyboard.press('Enter');
      await pressOn(page, page.getByRole('link', { name: `Launch JupyterLab ${ground.version}` }));
      for (const { title } of steps) {
        const step = await formStep(page, title);
        await pressOn(page, step.getByRole('button', { name: title === steps.at(-1)?.title ? 'Launch' : 'Next' }));
      }
      await becomes(page, 'running');
      id = new URL(page.url()).hash.split('/')[2] ?? '';

      const open = page.getByRole('tab', { selected: true });
      await tabTo(page, open);
      await page.keyboard.press('End');
      await expect.poll(() => open.textContent()).toBe('Metrics');
      expect(await hasFocus(open)).toBe(true);
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowRight');
      await expect.poll(() => open.textContent()).toBe('Events');

      const decommission = page.getByRole('button', { name: 'Decommission', exact: true });
      const dialog = page.getByRole('dialog', { name: 'Decommission JupyterLab?' });
      await pressOn(page, decommission);
      await dialog.waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      expect(await hasFocus(decommission)).toBe(true);
      await page.keyboard.press('Enter');
      await pressOn(page, dialog.getByRole('button', { name: 'Decommission', exact: true }));
      await becomes(page, 'decommissioned');
    });
    expect(await ground.containers(id)).toEqual([]);
  });
});
