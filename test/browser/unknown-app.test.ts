/** An app that nobody knew when the console was written: all that its pages show and ask comes from its manifest. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';
import { openPage } from '../support/console-pages.ts';
import { jupyterProfile } from '../support/profiles.ts';

const field = (name: string, required = true) => ({ kind: 'field', name, required });
const steps = [
  { id: 'paper', title: 'The paper', description: 'What to draw on.', components: [field('canvas'), field('grain')] },
  { id: 'muscle', title: 'How strong', components: [field('cpu_cores'), field('memory_gib'), field('gpu_count')] },
  {
    ...{ id: 'place', title: 'Where to hang it' },
    components: [
      ...['platform.target_allocation', 'platform.artifact_selector'].map((kind) => ({ kind, required: true })),
      ...[field('workspace_mount'), field('exposure_mode'), field('host_port')],
    ],
  },
  { id: 'look', title: 'A last look', components: [{ kind: 'platform.review', required: true }] },
];
const { properties } = jupyterProfile().parameters.schema;
const manifest = jupyterProfile({
  '/profile/slug': 'sketchpad',
  '/profile/display_name': 'Sketchpad',
  '/profile/description': 'A sheet of paper on an allocation.',
  '/profile/support_level': 'experimental',
  '/parameters/schema/properties': {
    ...properties,
    canvas: { type: 'string', enum: ['postcard', 'mural'], default: 'mural', title: 'Size of the canvas' },
    grain: { type: 'integer', minimum: 3, maximum: 9, default: 5, description: 'How rough it is.' },
  },
  '/parameters/ui/launch_wizard/steps': steps,
});
const card = { slug: 'sketchpad', display_name: 'Sketchpad', summary: 'For those who draw.', category: 'art' };

let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole();
  const versions = '/api/v1/catalog/apps/sketchpad/versions';
  await ask('/api/v1/catalog/apps', card);
  await ask(versions, { version: '7', source: JSON.stringify(manifest, null, 2) });
  await ask(`${versions}/7/publish`);
});
afterAll(() => ground?.close());

async function ask(path: string, body?: unknown): Promise<void> {
  const { status, body: answer } = await ground.call('POST', path, body);
  expect(answer, path).not.toHaveProperty('error');
  expect(status).toBeLessThan(300);
}

async function asMember(work: (page: Page) => Promise<void>): Promise<void> {
  await visit(ground.url, async (page) => {
    await signIn(page, ground.fleet.tokens.member);
    await work(page);
  });
}

const cardOn = (page: Page) => page.getByRole('article', { name: 'Sketchpad' });
const sectionOn = (page: Page, name: string) =>
  page.locator('section', { has: page.getByRole('heading', { name, level: 2, exact: true }) });
const titlesOn = (page: Page) => page.getByRole('main').getByRole('heading', { level: 2 }).allTextContents();

describe('an app that nobody knew', () => {
  it('has a card of its own, and says what it lacks as long as the project may not launch it (G-1, G-217, G-221, G-223)', async () => {
    await asMember(async (page) => {
      await cardOn(page).getByRole('listitem').getByText('The project is not entitled to this app.').waitFor();
      const shown = await cardOn(page).textContent();
      for (const words of ['Sketchpad', 'For those who draw.', 'art', '7', 'Experimental']) {
        expect(shown).toContain(words);
      }
      const button = page.getByRole('button', { name: 'Launch Sketchpad 7' });
      expect(await button.getAttribute('aria-disabled')).toBe('true');

      await ask('/api/v1/entitlements', { app_slug: 'sketchpad', project_id: 'p1' });

      await page.getByRole('link', { name: 'Launch Sketchpad 7' }).waitFor();
      expect(await page.getByText('The project is not entitled').count()).toBe(0);
    });
  });

  it('can be looked at before it is launched: profile, engines, endpoints, resources, and the manifest on demand (G-147, G-222)', async () => {
    await asMember(async (page) => {
      await openPage(page, ground.url, ['/apps/sketchpad', 'Sketchpad']);
      const section = async (name: string) => (await sectionOn(page, name).textContent()) ?? '';
      await sectionOn(page, 'Profile').waitFor();

      expect(await section('Profile')).toContain('A sheet of paper on an allocation.');
      expect(await section('Profile')).toContain(steps.map(({ title }) => title).join(' → '));
      expect(await section('Execution engine')).toMatch(/node agent.*oci container.*available/);
      expect(await section('Endpoints')).toContain('web http on port 8888');
      expect(await section('Resources')).toContain('2 cores at least');
      expect(await page.getByText('artifact_name').count()).toBe(0);
      await page.getByText('Debug: the manifest as it was published').click();
      await page.getByText('"artifact_name": "runtime-cpu"').first().waitFor();
    });
  });

  it('is launched by the steps, the words and the fields of its manifest, in its order (G-2, G-11, G-57, G-218, G-219)', async () => {
    await asMember(async (page) => {
      await ask('/api/v1/entitlements', { app_slug: 'sketchpad', project_id: 'p1' });
      await openPage(page, ground.url, ['/apps/sketchpad/7/launch', 'Launch Sketchpad']);
      const list = page.getByRole('navigation', { name: 'Steps of the launch' });
      const form = (name: string) => page.getByRole('form', { name });
      const next = (name: string) => form(name).getByRole('button', { name: 'Next' });

      await form('The paper').getByText('What to draw on.').waitFor();
      expect(await list.locator('.step-title').allTextContents()).toEqual(steps.map(({ title }) => title));
      const canvas = form('The paper').getByRole('radiogroup', { name: 'Size of the canvas' });
      expect(await canvas.getByRole('radio', { name: /mural/i }).isChecked()).toBe(true);
      const grain = form('The paper').getByLabel(/^Grain/);
      expect(await grain.inputValue()).toBe('5');
      await grain.fill('12');
      expect(await next('The paper').getAttribute('aria-disabled')).toBe('true');
      await grain.fill('9');
      await next('The paper').click();

      await form('How strong').waitFor();
      const labels = await form('How strong').getByRole('textbox').all();
      expect(await Promise.all(labels.map((each) => each.inputValue()))).toEqual(['2', '4', '1']);
      await next('How strong').click();
      await form('Where to hang it').getByRole('radio', { name: /lab 0/ }).waitFor();
    });
  });

  it('has its form closed, like every app, while there is no image to launch it from (G-146)', async () => {
    await asMember(async (page) => {
      const card = page.getByRole('article', { name: 'vLLM' });
      await card.getByRole('listitem').getByText('None of its images').waitFor();

      const button = card.getByRole('button', { name: /^Launch vLLM/ });
      expect(await button.getAttribute('aria-disabled')).toBe('true');
      const [version = ''] = /\S+$/.exec((await button.getAttribute('aria-label')) ?? '') ?? [];
      await openPage(page, ground.url, [`/apps/vllm-openai/${version}/launch`, 'Launch vLLM']);

      await page.getByText(`vLLM ${version} cannot be launched now.`).waitFor();
      expect(await page.getByRole('form').count()).toBe(0);
    });
  });

  it('stands in the same shell as every other one (X-10)', async () => {
    await asMember(async (page) => {
      const seen: string[][] = [];
      for (const [slug, name] of [
        ['jupyterlab', 'JupyterLab'],
        ['vllm-openai', 'vLLM'],
        ['sketchpad', 'Sketchpad'],
      ] as const) {
        await openPage(page, ground.url, [`/apps/${slug}`, name]);
        await sectionOn(page, 'Profile').waitFor();
        seen.push(await titlesOn(page));
      }

      expect(seen[0]).toContain('Execution engine');
      expect(seen).toEqual([seen[0], seen[0], seen[0]]);
    });
  });
});
