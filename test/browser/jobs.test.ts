/** The pages of jobs, with a node that says what a test makes it say. */
import { createHash } from 'node:crypto';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CommandReport } from '../../src/contract/exe-script.ts';
import { jobOutputsPath } from '../../src/contract/signing.ts';
import { visit } from '../support/browser.ts';
import { signIn } from '../support/console-ground.ts';
import { failedJob, runningJob, unsignedReceipt } from '../support/console-jobs.ts';
import { type JobGround, openJobGround } from '../support/job-ground.ts';
import { aJob, aStepReport, checksOfAll, nodeWithSession, secondOf } from '../support/job-samples.ts';
import { hasFocus, pressOn, tabTo } from '../support/keyboard.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';

let ground: JobGround;
beforeAll(async () => {
  ground = await openJobGround();
});

const main = (page: Page) => page.getByRole('main');
const panel = (page: Page) => page.getByRole('tabpanel');
const hostile = '<img src=x onerror=alert(1)>\u202etxt.exe';
const harmless = '<img src=x onerror=alert(1)>\\u202etxt.exe';

async function open(page: Page, path: string, as = 'member'): Promise<void> {
  await signIn(page, ground.server.tokens[as] ?? '');
  await page.goto(`${ground.url}/#/jobs${path}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
}

describe('the list', () => {
  it('says what to do where there is no job, and shows one as soon as it is there', async () => {
    await visit(ground.url, async (page) => {
      await open(page, '?state=expired');
      await page.getByText('No job is like this.').waitFor();
      await page.goto(`${ground.url}/#/jobs`);
      await page.getByText('No job was submitted yet.').waitFor();
      expect(await page.getByRole('link', { name: 'Submit a job definition' }).getAttribute('href')).toBe('#/jobs/new');
      await ground.addJob(aJob({ id: 'first', name: hostile, state: 'preparing', attempts: [] }));

      const row = page.getByRole('row').filter({ hasText: harmless });
      await row.getByText('preparing').waitFor();
      expect(await row.innerText()).toContain('none yet');
      expect(await main(page).locator('img').count()).toBe(0);
    });
  });

  it('follows what becomes of jobs, and is filtered by state and project', async () => {
    const { job, news } = runningJob({ id: 'followed', name: 'Followed' });
    await ground.addJob(job, news);
    await ground.addJob(aJob({ id: 'of-others', project_id: 'p2', name: 'Of others' }));

    await visit(ground.url, async (page) => {
      await open(page, '', 'admin');
      const row = page.getByRole('row').filter({ hasText: 'Followed' });
      await row.getByText('3 of 8').waitFor();
      await page.getByText('Of others').waitFor();
      await page.getByRole('combobox', { name: 'All projects' }).selectOption('p1');
      await page.getByText('Of others').waitFor({ state: 'detached' });
      await page.getByRole('combobox', { name: 'All states' }).selectOption('failed');
      await row.waitFor({ state: 'detached' });
      const failed = failedJob({ id: job.id, name: job.name });
      await ground.jobBecomes(failed.job, failed.news, 'It failed.');

      await row.getByText('failed').waitFor();
      expect(page.url()).toContain('state=failed');
    });
  });
});

describe('the page of a job', () => {
  it('has every step in its drawing, reached by keyboard alone, with state, end and time in words', async () => {
    const { job, news } = failedJob({ id: 'drawn' });
    await ground.addJob(job, news);

    await visit(ground.url, async (page) => {
      await open(page, '/drawn');
      const steps = page.getByRole('group', { name: 'Steps, and what each waits for' }).getByRole('link');
      await steps.first().waitFor();

      expect(await steps.evaluateAll((all) => all.map((each) => each.querySelector('title')?.textContent))).toEqual([
        'Step fetch: succeeded · exit code 0 · 12 s',
        'Step clean: succeeded · exit code 0 · 6 s',
        'Step label: succeeded · exit code 0 · 5 s',
        'Step vector-store: cancelled · exit code 143 · 1 min 15 s',
        'Step train: failed · exit code 137, out of memory · 1 min 15 s · 2 starts',
        'Step watch: timed out · SIGKILL',
        'Step compare: skipped',
        'Step publish: skipped',
      ]);
      for (const at of Array.from({ length: 8 }, (_, index) => index)) await tabTo(page, steps.nth(at));
      await pressOn(page, page.getByRole('link', { name: /^Step clean:/ }));
      await panel(page).getByRole('heading', { name: 'Step clean' }).waitFor();
      expect(await hasFocus(page.getByRole('link', { name: /^Step clean:/ }))).toBe(true);
      expect(await panel(page).innerText()).toContain('18,204');
      expect(page.url()).toContain('step=clean');
    });
  });

  it.each(['light', 'dark'] as const)(
    'has every command of a script, with what it has written behind it (%s)',
    async (scheme) => {
      const { job, news } = failedJob({ id: `scripted-${scheme}` });
      const none = { exit_code: null, message: null, duration_ms: null };
      const commands: CommandReport[] = [
        {
          ...{
            index: 0,
            command: `run /bin/show ${hostile}`,
            state: 'succeeded',
            exit_code: 0,
            duration_ms: 1500,
            message: null,
          },
          stdout: { text: `first ${hostile}\n`, truncated: true },
        },
        {
          ...{
            index: 1,
            command: 'run /bin/false',
            state: 'failed',
            exit_code: 3,
            duration_ms: 10,
            message: 'It ended with 3.',
          },
          stderr: { text: 'why it failed\n', truncated: false },
        },
        { ...none, index: 2, command: 'terminate', state: 'skipped' },
      ];
      const steps = news.report.steps.map((each) => (each.id === 'train' ? { ...each, commands } : each));
      await ground.addJob(job, { ...news, report: { ...news.report, steps } });

      const look = { scheme, width: 360, height: 740 } as const;
      await visit(
        ground.url,
        async (page) => {
          await open(page, `/${job.id}?step=train`);
          const table = panel(page).getByRole('region', { name: 'Commands' });
          const rows = table.getByRole('row');
          await rows.nth(3).waitFor();
          expect(await rows.nth(2).innerText()).toMatch(/run \/bin\/false[\s\S]*It ended with 3\.[\s\S]*why it failed/);
          expect(await table.getByText('first <img').isVisible()).toBe(false);
          await pressOn(page, table.getByText('Output of command 0, its end'));
          await table.getByText(`first ${harmless}`).waitFor();

          expect(await main(page).locator('img').count()).toBe(0);
          expect(await accessibilityFaults(page)).toEqual([]);
          expect(await beyondTheEdge(page)).toEqual([]);
        },
        look,
      );
    },
  );

  it('has every check before it with its outcome, and what a failing one has written (C-21, X-19)', async () => {
    const { job, news } = failedJob({ id: 'checked' });
    await ground.addJob(job, { ...news, report: { ...news.report, checks: checksOfAll } });

    await visit(ground.url, async (page) => {
      await open(page, '/checked');
      const section = page.getByRole('list', { name: 'Checks' });
      const checks = section.getByRole('listitem');
      await checks.first().waitFor();

      expect((await checks.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' ').trim())).toEqual([
        'passed python program, 0.01 s',
        'failed job.py file, 0.01 s is not there: nothing is at /workspace/job.py',
        'failed numpy import command, 0.01 s It ended with 1. no numpy',
      ]);
      expect(await accessibilityFaults(page)).toEqual([]);
    });
  });

  it('says why it failed and what to do, and shows the step that did first', async () => {
    const { job, news } = failedJob({ id: 'failed-first' });
    await ground.addJob(job, news);

    await visit(ground.url, async (page) => {
      await open(page, '/failed-first');
      await panel(page).getByRole('heading', { name: 'Step train' }).waitFor();

      const alert = await page.getByRole('alert').first().innerText();
      for (const words of ['A step of the job failed.', 'Look at its log.', 'step.failed', 'What to do:']) {
        expect(alert).toContain(words);
      }
      await page.getByText('1 warning about its document.').waitFor();
      await page.getByRole('link', { name: 'Look at it' }).click();
      await panel(page).getByText('/ops/3/args/cmd').waitFor();
    });
  });

  it('follows its steps as they go, and says what it has become', async () => {
    const { job, news } = runningJob({ id: 'going' });
    await ground.addJob(job, news);

    await visit(ground.url, async (page) => {
      await open(page, '/going');
      await page.getByRole('link', { name: /^Step watch: waiting$/ }).waitFor();
      const watching = news.report.steps.map((step) =>
        step.id === 'watch' ? aStepReport('watch', { started_at: secondOf(30), ended_at: secondOf(32) }) : step,
      );
      await ground.jobBecomes(job, { ...news, report: { ...news.report, steps: watching } }, 'Step watch ended.');
      await page.getByRole('link', { name: 'Step watch: succeeded · exit code 0 · 2 s' }).waitFor();
      const failed = failedJob({ id: 'going' });
      await ground.jobBecomes(failed.job, failed.news, 'It failed.');

      await page.locator('.status-region').getByText('Train a model is failed.').waitFor();
      await page.getByRole('tab', { name: 'Events' }).click();
      expect(await panel(page).getByRole('listitem').last().innerText()).toContain('It failed.');
    });
  });

  it('has the way to each endpoint of a step that runs', async () => {
    const { job, news } = runningJob({ id: 'answering' });
    await ground.addJob(job, news);

    await visit(ground.url, async (page) => {
      await open(page, '/answering/steps?step=train');
      await panel(page).getByText('ssh -N -L 41007:127.0.0.1:41007 tenant@gpu-1.example.com').waitFor();

      const link = panel(page).getByRole('link', { name: 'open board in a new tab' });
      expect(await link.getAttribute('href')).toBe('http://127.0.0.1:41007/');
      expect(await link.getAttribute('rel')).toBe('noopener noreferrer');
    });
  });

  it('shows hostile names, reasons and results as text', async () => {
    const { job, news } = runningJob({ id: 'hostile', name: hostile, reason: hostile });
    const steps = news.report.steps.map((step) =>
      step.id === 'fetch' ? { ...step, results: { [hostile]: [hostile] } } : step,
    );
    const named = job.steps.map((step) => (step.id === 'fetch' ? { ...step, name: hostile, group: hostile } : step));
    await ground.addJob({ ...job, steps: named }, { ...news, report: { ...news.report, steps } }, { note: hostile });

    await visit(ground.url, async (page) => {
      await open(page, '/hostile/steps?step=fetch');
      await panel(page)
        .getByRole('heading', { name: `Step ${harmless}` })
        .waitFor();

      expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe(harmless);
      expect(await panel(page).locator('.results').innerText()).toBe(`${harmless}\n${harmless}`);
      await page.getByRole('tab', { name: 'Document' }).click();
      await panel(page).locator('.json').waitFor();
      expect(await panel(page).locator('.json').innerText()).not.toContain('\u202e');
      expect(await main(page).locator('img').count()).toBe(0);
    });
  });

  it('gives what was kept of it as files, with their hashes, and says what is still on its way', async () => {
    const bearer = await nodeWithSession(ground.server.store, 'node-of-outputs');
    const { job, news } = failedJob({ id: 'kept' });
    const attempts = job.attempts.map((each) => ({ ...each, node_id: 'node-of-outputs' }));
    const bytes = Buffer.from('what was trained');
    const output = {
      ...({ name: 'model', kind: 'artifact', media_type: 'application/octet-stream' } as const),
      ...{
        sha256: createHash('sha256').update(bytes).digest('hex'),
        bytes: bytes.length,
        file_name: '..\\..\\.profile',
      },
    };
    const late = { ...output, name: 'late', sha256: '1'.repeat(64), file_name: 'late.bin' };
    const image_id = `sha256:${'d'.repeat(64)}`;
    const base = `registry.test/python@sha256:${'e'.repeat(64)}`;
    const provenance = { bases: [base], builder: 'docker-classic', engine: '20.10.24' };
    const images = [{ id: 'project', image_id, reference: 'revision@sha256:1', provenance }];
    const receipt = unsignedReceipt({ number: 12, node_id: 'node-of-outputs', images });
    await ground.addJob({ ...job, attempts }, { ...news, outputs: [output, late], receipt });
    const headers = { authorization: `Bearer ${bearer}` };
    await ground.server.call('POST', jobOutputsPath, { as: null, headers, body: { job_id: 'kept', output } });
    const piece = `${ground.server.url}${jobOutputsPath}/kept/${output.sha256}?offset=0`;
    const type = { 'content-type': 'application/octet-stream' };
    await fetch(piece, { method: 'PUT', headers: { ...headers, ...type }, body: new Uint8Array(bytes) });

    await visit(ground.url, async (page) => {
      await open(page, '/kept/outputs');
      const row = (name: string) => panel(page).getByRole('listitem').filter({ hasText: name });
      await row('late').getByText('on its way from the node').waitFor();
      expect(await row('late').getByRole('button', { name: 'Download' }).count()).toBe(0);
      expect(await row('model').locator('code').first().getAttribute('title')).toBe(output.sha256);
      expect(await savedBy(page, 'Download model')).toEqual({ name: '__.._.profile', text: 'what was trained' });

      expect(await savedBy(page, 'Download the receipt')).toEqual({ name: 'kept.receipt', text: `${receipt}\n` });
      expect(await panel(page).innerText()).toContain('12 in the chain of its node');
      for (const name of [image_id, base]) await panel(page).getByTitle(name, { exact: true }).waitFor();
      await panel(page).getByText('built by docker-classic of engine 20.10.24').waitFor();
      await panel(page).getByText('gpuaas jobs verify kept.receipt --key node-keys.json').waitFor();
    });
  });

  it('has what its steps write, live, of all or of one', async () => {
    const { job, news } = runningJob({ id: 'writing' });
    await ground.addJob({ ...job, needs: { ...job.needs, builds: true } }, news);
    ground.log.clear();
    ground.log.write(['first', hostile]);

    await visit(ground.url, async (page) => {
      await open(page, '/writing/logs');
      await panel(page).getByText('first', { exact: true }).waitFor();
      ground.log.write(['written meanwhile']);
      await panel(page).getByText('written meanwhile').waitFor();
      expect(await page.locator('.log-text').allInnerTexts()).toEqual(['first', harmless, 'written meanwhile']);

      await page.getByLabel('Which log').selectOption('Step vector-store');
      await page.waitForURL('**/logs?step=store');
      await panel(page).getByText('written meanwhile').waitFor();
      await page.getByLabel('Which log').selectOption('Build of its image');
      await page.waitForURL('**/logs?step=build');
      await panel(page).getByText('There is no log of a build').waitFor();
      await page.getByLabel('Which log').selectOption('Step vector-store');
      await page.getByRole('tab', { name: 'Steps' }).click();
      await panel(page).getByRole('heading', { name: 'Step vector-store' }).waitFor();
    });
  });

  it('has what it asks for itself, and the job as the tools of its network read it', async () => {
    const ops = [{ id: 'fetch', type: 'container/run', args: { image: 'debian' } }];
    const { job, news } = runningJob({ id: 'flowing' });
    const document = { version: '0.1', type: 'container', ops };
    await ground.addJob(job, news, document);
    const asking = { id: 'flowing', document, sealed_secrets: null, requirements: { memory_mb: 4096 } };
    await ground.server.store.write((tx) => tx.job_documents.put(asking));

    await visit(ground.url, async (page) => {
      await open(page, '/flowing/document');
      await panel(page).getByText('"memory_mb": 4096').waitFor();
      await page.getByRole('button', { name: 'Flow state' }).click();
      const text = await page.getByRole('dialog').locator('pre').innerText();

      expect(JSON.parse(text)).toMatchObject({
        status: 'running',
        opStates: [{ operationId: 'fetch', status: 'success' }],
      });
      expect(await accessibilityFaults(page)).toEqual([]);
    });
  });

  it('is cancelled and removed, each after a question', async () => {
    await ground.addJob(aJob({ id: 'unwanted', name: 'Unwanted', attempts: [] }));

    await visit(ground.url, async (page) => {
      await open(page, '/unwanted');
      const dialog = page.getByRole('dialog');
      await page.getByRole('button', { name: 'Cancel the job' }).click();
      await dialog.getByRole('button', { name: 'Cancel the job' }).click();
      await page.locator('.page-head').getByText('cancelled', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Remove' }).click();
      await dialog.getByRole('button', { name: 'Remove' }).click();

      await page.waitForURL('**/#/jobs');
      await page.locator('.status-region').getByText('Unwanted is removed.').waitFor();
      expect(await ground.server.store.read((tx) => tx.jobs.get('unwanted'))).toBeUndefined();
    });
  });

  it('is only looked at by who may only look', async () => {
    const { job, news } = runningJob({ id: 'looked-at' });
    await ground.addJob(job, news);

    await visit(ground.url, async (page) => {
      await open(page, '/looked-at', 'viewer');
      const cancel = page.getByRole('button', { name: 'Cancel the job' });
      expect(await cancel.getAttribute('title')).toContain('viewer');
      await page.goto(`${ground.url}/#/jobs/new`);
      expect(await page.getByRole('button', { name: 'Submit the job' }).getAttribute('title')).toContain('viewer');
    });
  });

  it('is honest about a job that is not there', async () => {
    await visit(
      ground.url,
      async (page) => {
        await open(page, '/nobody');
        await page.getByText('There is no such job.').waitFor();
      },
      { expects: [/404/] },
    );
  });

  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 360],
  ] as const)('breaks no rule of WCAG 2.1 AA in %s colours, %d pixels wide, and fits', async (scheme, width) => {
    const { job, news } = failedJob({ id: `looked-at-${scheme}-${width}`, name: 'a-name-without-end-'.repeat(6) });
    await ground.addJob(job, news);

    await visit(
      ground.url,
      async (page) => {
        await open(page, `/${job.id}`);
        for (const name of ['Steps', 'Outputs', 'Events', 'Document']) {
          await page.getByRole('tab', { name }).click();
          await panel(page).getByText('Loading').waitFor({ state: 'detached' });
          expect(await accessibilityFaults(page), name).toEqual([]);
          expect(await beyondTheEdge(page), name).toEqual([]);
        }
      },
      { scheme, width },
    );
  });
});

async function savedBy(page: Page, button: string): Promise<{ name: string; text: string }> {
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: button }).click();
  const file = await download;
  let text = '';
  for await (const piece of await file.createReadStream()) text += piece;
  return { name: file.suggestedFilename(), text };
}

const definitionOf = (image: string, cmd: string | number = 'ls') =>
  [
    ...['version: "0.1"', 'type: container', 'ops:', '  - id: one', '    type: container/run', '    args:'],
    ...[`      image: ${image}`, `      cmd: ${cmd}`],
  ].join('\n');
const foreign = 'registry.example.com/tool:1';
const faults = (page: Page, label = 'Errors') =>
  page.getByRole('list', { name: label }).getByRole('listitem').allInnerTexts();
const submit = (page: Page) => page.getByRole('button', { name: 'Submit the job' });
const jobsCalled = (name: string) =>
  ground.server.store.read((tx) => tx.jobs.list()).then((jobs) => jobs.filter((job) => job.name === name));

describe('the form that submits a job', () => {
  it('judges what is written, leads to each fault, and sends nothing before it is right', async () => {
    await visit(ground.url, async (page) => {
      await open(page, '/new');
      expect(await submit(page).getAttribute('title')).toBe('Paste a job definition first.');
      await page.getByLabel('Document').fill(definitionOf(ground.image, 7));
      await page.getByText('It has 1 error.').waitFor();

      expect(await faults(page)).toEqual([expect.stringMatching(/^line 8\s+\/ops\/0\/args\/cmd must be/)]);
      expect(await submit(page).getAttribute('title')).toBe('Correct the errors of the document first.');
      await page.getByRole('button', { name: 'line 8' }).click();
      expect(await hasFocus(page.getByLabel('Document'))).toBe(true);
      expect(await page.evaluate('getSelection().toString()')).toBe('cmd: 7');
      await page.getByLabel('Document').fill(definitionOf(ground.image, '[sh, -c, ls, x]'));
      await page.getByText('It is valid, with 1 warning.').waitFor();
      expect(await faults(page, 'Warnings')).toEqual([expect.stringContaining('/ops/0/args/cmd')]);
      await page.getByText('More options').click();
      await page.getByLabel('Retries').fill('11');
      await page.getByText('must be from 0 to 10', { exact: true }).waitFor();
      expect(await submit(page).getAttribute('title')).toBe('Retries: must be from 0 to 10.');
      expect(await page.locator('.graph-name').allTextContents()).toEqual(['one']);
    });
  });

  it('shows what is refused at its place, and submits what was put right, with its options', async () => {
    await visit(
      ground.url,
      async (page) => {
        await open(page, '/new');
        await page.getByLabel('Document').fill(definitionOf(foreign));
        await page.getByLabel('Name').fill('Put right');
        await page.getByLabel('Deadline in seconds').fill('600');
        await page.getByText('It is valid').waitFor();
        await submit(page).click();
        await page.getByRole('alert').getByText('It was not submitted.').waitFor();

        expect(await faults(page)).toEqual([expect.stringMatching(/^line 7\s+\/ops\/0\/args\/image /)]);
        expect(await jobsCalled('Put right')).toEqual([]);
        await page.getByLabel('Document').fill(definitionOf(ground.image));
        await page.getByText('It is valid').waitFor();
        await submit(page).click();
        await page.getByRole('heading', { name: 'Put right', level: 1 }).waitFor();
        await page.getByRole('link', { name: /^Step one:/ }).waitFor();
      },
      { expects: [/422/] },
    );

    const [job] = await jobsCalled('Put right');
    expect(job).toMatchObject({ options: { deadline_seconds: 600 }, images: [{ reference: ground.image }] });
  });

  it('is filled in and sent by keyboard alone', async () => {
    await visit(ground.url, async (page) => {
      await open(page, '/new');
      await tabTo(page, page.getByLabel('Document'));
      await page.keyboard.insertText(definitionOf(ground.image));
      await page.getByText('It is valid').waitFor();
      await tabTo(page, page.getByLabel('Name'));
      await page.keyboard.insertText('By keyboard');
      await pressOn(page, submit(page));

      await page.getByRole('heading', { name: 'By keyboard', level: 1 }).waitFor();
    });
  });

  it('takes a file that is chosen or dropped, and none that is too large', async () => {
    await visit(ground.url, async (page) => {
      await open(page, '/new');
      const chooser = page.getByLabel('File of a job definition');
      const file = (text: string) => ({ name: 'job.yaml', mimeType: 'text/plain', buffer: Buffer.from(text) });
      await chooser.setInputFiles(file(definitionOf('chosen')));
      await expect.poll(() => page.getByLabel('Document').inputValue()).toContain('image: chosen');
      await chooser.setInputFiles(file(' '.repeat(300_000)));
      await page.getByText('job.yaml has 293 KiB; a document has at most 256 KiB.').waitFor();
      await page.evaluate(`(() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([${JSON.stringify(definitionOf('dropped'))}], 'dropped.yaml'));
        const area = document.querySelector('textarea.document');
        area.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
      })()`);

      await expect.poll(() => page.getByLabel('Document').inputValue()).toContain('image: dropped');
      expect(await page.getByText('a document has at most').count()).toBe(0);
    });
  });

  it('submits once where the answer is lost, and keeps nothing of the document in the browser', async () => {
    await visit(
      ground.url,
      async (page) => {
        await open(page, '/new');
        await page.getByLabel('Document').fill(definitionOf(ground.image, 'echo canary'));
        await page.getByLabel('Name').fill('Once');
        await page.getByText('It is valid').waitFor();
        await page.route(
          '**/api/v1/jobs',
          async (route) => {
            // The control plane has taken it, and nobody hears of that.
            await route.fetch();
            await route.abort();
          },
          { times: 1 },
        );
        await submit(page).click();
        await page.getByRole('heading', { name: 'Once', level: 1 }).waitFor();

        const kept = await page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }])');
        expect(kept).not.toContain('canary');
      },
      { expects: [/ERR_FAILED/] },
    );

    expect(await jobsCalled('Once')).toHaveLength(1);
  });
});
