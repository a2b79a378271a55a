/** The launch wizard as people use it, on a real control plane whose hosts are in its store only. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VisitOptions, visit } from '../support/browser.ts';
import { openSeededConsole, type SeededConsole, signIn } from '../support/console-ground.ts';
import { launchable } from '../support/launchable.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';
import { jupyterProfile } from '../support/profiles.ts';

let ground: SeededConsole;
beforeAll(async () => {
  ground = await openSeededConsole({ nodes: 0, instances: 0 }, launchable);
});
afterAll(() => ground?.close());

const steps = jupyterProfile().parameters.ui?.launch_wizard?.steps ?? [];
const jupyter = '/apps/jupyterlab/2026.04-preview/launch';
const vllm = '/apps/vllm-openai/2026.11/launch';

/** Signs in and opens a wizard; with a name, on that allocation. */
async function inWizard(
  path: string,
  allocation: string | undefined,
  work: (page: Page) => Promise<void>,
  options?: VisitOptions,
): Promise<void> {
  await visit(
    ground.url,
    async (page) => {
      await signIn(page, ground.fleet.tokens.member);
      await page.goto(`${ground.url}/#${path}`);
      if (allocation !== undefined) {
        await page.getByRole('radio', { name: new RegExp(allocation) }).check();
        await expect.poll(() => stepButton(page, 'Review').getAttribute('aria-disabled')).toBeNull();
      }
      await work(page);
    },
    options,
  );
}

const next = (page: Page) => page.getByRole('button', { name: 'Next' });
const launch = (page: Page) => page.getByRole('button', { name: 'Launch', exact: true });
const stepButton = (page: Page, title: string) =>
  page.getByRole('navigation', { name: 'Steps of the launch' }).getByRole('button', { name: new RegExp(title) });

async function goTo(page: Page, title: string): Promise<void> {
  await stepButton(page, title).click();
  await page.getByRole('heading', { name: title, level: 2 }).waitFor();
}

const focused = (page: Page) =>
  page.evaluate<string>('(({ type, name, value }) => (type === "radio" ? value : name))(document.activeElement)');

async function instancesNamed(name: string) {
  const { body } = await ground.call('GET', '/api/v1/app-instances?limit=500');
  return (body.items as { id: string; display_name: string }[]).filter((each) => each.display_name === name);
}

describe('the wizard of JupyterLab', () => {
  it('goes from the catalog to an accepted launch with a few presses and no typing, and hands over the credentials', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.member);
      let presses = 0;
      const press = async (what: { click(): Promise<void> }) => {
        presses += 1;
        await what.click();
      };

      await press(page.getByRole('link', { name: 'JupyterLab', exact: true }));
      await press(page.getByRole('link', { name: 'Launch JupyterLab 2026.04-preview' }));
      await press(page.getByRole('radio', { name: /cpu-lab/ }));
      await press(stepButton(page, 'Review'));
      await press(launch(page));

      await page.waitForURL(/#\/instances\/[^/]+$/);
      expect(presses).toBeLessThanOrEqual(8);
      const id = page.url().split('/').at(-1) ?? '';
      await page.goto(`${ground.url}/#/instances/${id}/access`);
      await page.getByRole('heading', { name: 'Token, shown once' }).waitFor();
      const { body } = await ground.call('GET', `/api/v1/app-instances/${id}`);
      expect(body).toMatchObject({
        display_name: 'JupyterLab',
        resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
      });
      const kept = await page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }])');
      expect(kept).not.toMatch(/gpuaas\.(draft|launch-key)/);
    });
  });

  it('walks its steps in order, with the titles and descriptions of the manifest (G-50, G-51, G-52, G-56, G-59)', async () => {
    await inWizard(jupyter, 'h200-lab', async (page) => {
      const seen: (string | null | undefined)[][] = [];
      for (const { description } of steps) {
        const shown = description === undefined ? undefined : await page.getByText(description).textContent();
        seen.push([await page.getByRole('heading', { level: 2 }).first().textContent(), shown]);
        const isLast = seen.length === steps.length;
        expect([await next(page).count(), await launch(page).count()]).toEqual(isLast ? [0, 1] : [1, 0]);
        if (!isLast) await next(page).click();
      }

      expect(seen).toEqual(steps.map(({ title, description }) => [title, description]));
    });
  });

  it('goes on only from a step that is in order, says what is missing, and leads there (G-51)', async () => {
    await inWizard(jupyter, undefined, async (page) => {
      await page.getByText('Allocation is missing.').waitFor();
      expect(await next(page).getAttribute('aria-disabled')).toBe('true');
      expect(await stepButton(page, 'Review').getAttribute('aria-disabled')).toBe('true');
      const old = page.getByRole('radio', { name: /old-lab/ });
      expect([await old.isDisabled(), await page.getByText('It is releasing.').isVisible()]).toEqual([true, true]);

      // What is refused to the mouse as well as to the keyboard.
      await next(page).click({ force: true });

      await page.getByRole('alert').getByText('One thing is in the way').waitFor();
      expect(await focused(page)).toMatch(/^0190b000/);
      await page.keyboard.press('Space');
      await expect.poll(() => next(page).getAttribute('aria-disabled')).toBeNull();
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Runtime', level: 2 }).waitFor();
    });
  });

  it('blocks on every amount that cannot be, with a message at its field (G-53)', async () => {
    await inWizard(jupyter, 'h200-lab', async (page) => {
      await goTo(page, 'Resources');
      for (const [field, text, message] of [
        ['GPU count', '-1', 'GPU count must be >= 0.'],
        ['GPU count', '3', 'GPU count is more than the allocation has left: 2.'],
        ['GPU count', '', 'GPU count must be a whole number.'],
        ['CPU cores', '1', 'CPU cores must be at least 2: this app needs that much.'],
        ['CPU cores', '2.5', 'CPU cores must be a whole number.'],
        ['Memory GiB', 'much', 'Memory GiB must be a whole number.'],
      ] as const) {
        const box = page.getByLabel(field);
        const before = await box.inputValue();
        await box.fill(text);

        await page.locator('.field-error').getByText(message).waitFor();
        expect([field, await box.getAttribute('aria-invalid')]).toEqual([field, 'true']);
        await box.press('Enter');
        await page.getByRole('heading', { name: 'Resources', level: 2 }).waitFor();
        expect(await focused(page)).toBe(await box.getAttribute('name'));
        await box.fill(before);
      }
      await page.getByLabel('Memory GiB').press('Enter');
      await page.getByRole('heading', { name: 'Storage', level: 2 }).waitFor();
    });
  });

  it('offers the image for the cards, and changes it with their number (G-61)', async () => {
    await inWizard(jupyter, 'h200-lab', async (page) => {
      await goTo(page, 'Runtime');
      expect(await page.getByRole('radio').count()).toBe(1);
      await page.getByRole('radio', { name: /runtime-nvidia-h200/, checked: true }).waitFor();

      await goTo(page, 'Resources');
      await page.getByLabel('GPU count').fill('0');

      await page.getByText('The image is runtime-cpu now').first().waitFor();
      await goTo(page, 'Runtime');
      await page.getByRole('radio', { name: /runtime-cpu/, checked: true }).waitFor();
    });
  });

  it('says of every package what is wrong with it (G-172, G-175)', async () => {
    await inWizard(jupyter, 'cpu-lab', async (page) => {
      await goTo(page, 'Runtime');
      const box = page.getByLabel(/Python packages/);

      await box.fill('numpy == 2.4.4 -r x pandas>=2.2');

      const error = page.locator('.field-error');
      await error.getByText('write numpy==2.4.4').waitFor();
      expect((await error.textContent())?.split('\n').length).toBeGreaterThan(1);
      expect(await error.textContent()).toContain('has -r');
      expect(await next(page).getAttribute('aria-disabled')).toBe('true');
      await box.fill('numpy==2.4.4\npandas>=2.2');
      await expect.poll(() => next(page).getAttribute('aria-disabled')).toBeNull();
      expect(await page.locator('.tokens code').allTextContents()).toEqual(['numpy==2.4.4', 'pandas>=2.2']);
    });
  });

  it('shows project storage as what cannot be had, with the reason (G-54, G-220)', async () => {
    await inWizard(jupyter, 'cpu-lab', async (page) => {
      await goTo(page, 'Storage');
      const storage = page.getByRole('radio', { name: /Project storage/ });

      await expect.poll(() => storage.isDisabled()).toBe(true);
      expect(await storage.locator('xpath=ancestor::label').textContent()).toMatch(/storage.*\./s);
      expect(await page.getByRole('radio', { name: /Scratch/ }).isChecked()).toBe(true);
    });
  });

  it('takes a free port where the usual one is taken, and says of a taken one which is free (G-55)', async () => {
    await inWizard(jupyter, 'h200-lab', async (page) => {
      await goTo(page, 'Access');
      const port = page.getByLabel('Host port');
      await expect.poll(() => port.inputValue()).toBe('8889');
      await page.getByText('8888 is taken on this allocation; 8889 is free.').waitFor();

      await port.fill('8888');

      await page.locator('.field-error').getByText('Host port is taken on this allocation: 8889 is free.').waitFor();
      expect(await stepButton(page, 'Review').getAttribute('aria-disabled')).toBe('true');
      await page.getByRole('button', { name: 'Use 8889' }).click();
      await expect.poll(() => port.inputValue()).toBe('8889');
      await next(page).click();
      await page.getByRole('heading', { name: 'Review', level: 2 }).waitFor();
    });
  });

  it('reviews target, digest, amounts and payload, with nothing to fill in (G-64, G-222…G-228)', async () => {
    await inWizard(jupyter, 'h200-lab', async (page) => {
      await goTo(page, 'Runtime');
      await page.getByLabel(/Python packages/).fill('numpy');
      await goTo(page, 'Review');
      const step = page.getByRole('form', { name: 'Review' });
      await step.getByText('Good to know').waitFor();

      const text = await step.textContent();
      for (const part of [
        'h200-lab',
        'JupyterLab 2026.04-preview',
        `@sha256:${'c'.repeat(64)}`,
        '1 GPU · 2 cores · 4 GiB',
        'Scratch at /workspace',
        'on port 8889',
        'installed',
      ]) {
        expect(text).toContain(part);
      }
      expect(await step.locator('input, select, textarea').count()).toBe(0);
      await step.getByText('Request as it is sent').click();
      const payload = JSON.parse((await step.locator('pre').textContent()) ?? '');
      expect(payload).toMatchObject({
        config: { host_port: 8889, python_packages: 'numpy' },
        resource_overrides: { gpu_count: 1 },
      });
      expect(Object.keys(payload).sort()).toEqual([
        'app_slug',
        'app_version',
        'artifact_id',
        'config',
        'display_name',
        'placement_intent',
        'resource_overrides',
      ]);
    });
  });

  it('says what only the control plane knows as soon as it does, with the way to the step (G-115)', async () => {
    await inWizard(jupyter, 'cpu-lab', async (page) => {
      await goTo(page, 'Review');
      await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();
      const drain = (on: boolean) => ground.call('POST', '/api/v1/nodes/node-cpu-lab/drain', { drain: on });

      try {
        await drain(true);
        await page.getByText('It would be refused', { exact: true }).waitFor();
        await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBe('true');
        await page.getByRole('button', { name: 'Change in Target' }).first().click();
        await page.getByRole('heading', { name: 'Target', level: 2 }).waitFor();
        await page.locator('.radio-card.is-chosen').getByText('It is draining').waitFor();
      } finally {
        await drain(false);
      }
      await page.locator('.radio-card.is-chosen').getByText('It is draining').waitFor({ state: 'detached' });
      await goTo(page, 'Review');
      await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();
    });
  });
});

describe('a launch', () => {
  it('is made once, though its answer was lost and the button pressed twice, and still brings its credentials', async () => {
    await inWizard(
      jupyter,
      'cpu-lab',
      async (page) => {
        await page.getByLabel('Name').fill('Asked twice');
        const keys: (string | undefined)[] = [];
        await page.route('**/api/v1/app-instances', async (route) => {
          keys.push(route.request().headers()['idempotency-key']);
          if (keys.length > 1) return route.continue();
          await route.fetch();
          return route.abort('connectionreset');
        });
        await goTo(page, 'Review');
        await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();

        await launch(page).dblclick();

        await page.waitForURL(/#\/instances\//);
        expect(new Set(keys).size).toBe(1);
        expect(keys.length).toBe(2);
        const found = await instancesNamed('Asked twice');
        expect(found.map(({ id }) => id)).toEqual([page.url().split('/').at(-1)]);
        await page.goto(`${page.url()}/access`);
        await page.getByRole('heading', { name: 'Token, shown once' }).waitFor();
      },
      { expects: [/ERR_CONNECTION_RESET/] },
    );
  });

  it('begins where it was when the page is loaded again, but for secrets that were typed', async () => {
    await inWizard(vllm, 'h200-lab', async (page) => {
      await page.getByLabel('Name').fill('Kept');
      await goTo(page, 'Access');
      await page.getByLabel(/Hub token/).fill('hf_topsecret');
      const kept = await page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }])');
      expect(kept).toContain('Kept');
      expect(kept).not.toContain('topsecret');

      await page.reload();

      await page.getByRole('heading', { name: 'Access', level: 2 }).waitFor();
      expect(await page.getByLabel(/Hub token/).inputValue()).toBe('');
      await goTo(page, 'Target');
      expect(await page.getByLabel('Name').inputValue()).toBe('Kept');
      expect(await page.getByRole('radio', { name: /h200-lab/ }).isChecked()).toBe(true);
    });
  });

  it('shows no secret on its review, and sends it', async () => {
    await inWizard(vllm, 'h200-lab', async (page) => {
      await page.getByLabel('Name').fill('With a secret');
      await goTo(page, 'Access');
      await page.getByLabel(/Hub token/).fill('hf_topsecret');
      await goTo(page, 'Review');
      await page.getByText('Request as it is sent').click();
      await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();
      expect(await page.content()).not.toContain('topsecret');
      const sent = page.waitForRequest(
        (request) => request.method() === 'POST' && request.url().endsWith('/app-instances'),
      );

      await launch(page).click();

      expect((await sent).postDataJSON().secrets).toEqual({ hub_token: 'hf_topsecret' });
      await page.waitForURL(/#\/instances\//);
    });
  });

  it('is made with a credential and a service account, which are shown by name and sent by id (G-62, G-63)', async () => {
    const made: { readonly id: string }[] = [];
    for (const name of ['bootstrap-key', 'other-key']) {
      const credential = { name, kind: 'token', value: `value-of-${name}`, project_id: 'p1' };
      made.push((await ground.call('POST', '/api/v1/access-credentials', credential)).body);
    }
    const account = (
      await ground.call('POST', '/api/v1/service-accounts', { name: 'bot', role: 'viewer', project_id: 'p1' })
    ).body;
    await inWizard('/apps/jupyterlab/with-identity/launch', undefined, async (page) => {
      await page.getByRole('radio', { name: /cpu-lab/ }).check();
      await page.getByText('Access credential is missing.').waitFor();
      const credentials = page.getByLabel('Access credential');
      expect(await credentials.locator('option').allTextContents()).toEqual([
        'Choose one of 2 access credentials',
        'bootstrap-key (token)',
        'other-key (token)',
      ]);
      // There is one account only, so it is chosen.
      expect(await page.getByLabel('Service account').inputValue()).toBe(account.id);

      await credentials.selectOption({ label: 'other-key (token)' });

      await goTo(page, 'Review');
      await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();
      expect(await page.content()).not.toContain('value-of');
      const sent = page.waitForRequest(
        (request) => request.method() === 'POST' && request.url().endsWith('/app-instances'),
      );
      await launch(page).click();
      expect((await sent).postDataJSON()).toMatchObject({
        access_credential_id: made[1]?.id,
        service_account_id: account.id,
      });
      await page.waitForURL(/#\/instances\//);
    });
  });

  it('is not for viewers: they see the form, and why it is not theirs to send', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.viewer);
      await page.goto(`${ground.url}/#${jupyter}`);
      await page.getByRole('radio', { name: /cpu-lab/ }).check();
      await stepButton(page, 'Review').click();

      await page.getByText('Your role is viewer').first().waitFor();
      expect(await launch(page).getAttribute('aria-disabled')).toBe('true');
    });
  });

  it('asks people of the platform for which project it is', async () => {
    await visit(ground.url, async (page) => {
      await signIn(page, ground.fleet.tokens.admin);
      await page.goto(`${ground.url}/#${jupyter}`);

      await page.getByLabel('Project').selectOption({ label: 'Research' });

      await page.getByRole('radio', { name: /cpu-lab/ }).check();
      await goTo(page, 'Review');
      await expect.poll(() => launch(page).getAttribute('aria-disabled')).toBeNull();
    });
  });
});

describe.each(['light', 'dark'] as const)('in %s colours and at the width of a phone', (scheme) => {
  it.each([jupyter, vllm])('no step of %s breaks a rule of WCAG 2.1 AA or is wider than the screen', async (path) => {
    await inWizard(
      path,
      'h200-lab',
      async (page) => {
        for (let index = 0; index < steps.length; index += 1) {
          if (index === steps.length - 1) await page.getByText('What runs').waitFor();
          expect([index, await accessibilityFaults(page), await beyondTheEdge(page)]).toEqual([index, [], []]);
          if (index < steps.length - 1) await next(page).click();
        }
      },
      { width: 360, height: 760, scheme },
    );
  });
});

it('the form does not open where there is no image to launch from, and says so (G-146)', async () => {
  const { status } = await ground.call('POST', '/api/v1/artifacts/launchable-vllm-openai-cuda/retire', {
    reason: 'Old.',
  });
  expect(status).toBe(200);
  await inWizard(vllm, undefined, async (page) => {
    await page.getByText('vLLM 2026.11 cannot be launched now.').waitFor();
    expect(await page.getByRole('form').count()).toBe(0);
  });
});
