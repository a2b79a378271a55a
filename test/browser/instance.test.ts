/** The page of an instance, with a node that says what a test makes it say. */
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { visit } from '../support/browser.ts';
import { type InstanceGround, memberOf, openInstanceGround } from '../support/instance-ground.ts';
import { workloadOutput } from '../support/launch-bench.ts';
import { accessibilityFaults, beyondTheEdge } from '../support/page-faults.ts';

let ground: InstanceGround;
beforeAll(async () => {
  ground = await openInstanceGround();
});

const at = (second: number) => new Date(Date.parse('2026-11-25T10:00:00Z') + second * 1000).toISOString();

/** A launch of an instance as its events tell it, up to `second`. */
async function tellLaunch(id: string): Promise<void> {
  const data = { type: 'phase.entered', task_id: 'task-1' };
  const phase = (to: string, second: number) =>
    ground.happens(id, {
      ...{ type: 'apps.instance.phase', time: at(second), message: `The workload is ${to}.` },
      data: { ...data, phase: to, to },
    });
  await ground.happens(id, { type: 'apps.instance.requested', message: 'It was asked for.', actor: 'token:t1' });
  await phase('pulling', 1);
  await phase('installing_packages', 21);
  await ground.happens(id, {
    ...{ type: 'apps.instance.packages', time: at(30), message: 'Packages were installed.' },
    data: { task_id: 'task-1', excerpt: 'Collecting numpy\n\u001b[31m<img src=x onerror=alert(1)>\u001b[0m' },
  });
  await ground.happens(id, {
    ...{ type: 'apps.instance.running', time: at(31), message: 'It answers.' },
    data: { from: 'deploying', to: 'running', failure: null },
  });
}

/** The node carries out the newest task of the instance. */
async function carryOut(id: string, state: 'running' | 'stopped' | 'removed'): Promise<void> {
  await ground.server.store.write(async (tx) => {
    const instance = await tx.app_instances.get(id);
    const task = instance?.current_task_id ? await tx.tasks.get(instance.current_task_id) : undefined;
    if (!instance || !task) throw new Error('nothing is at work');
    await ground.server.context.queue.finish(tx, task, {
      ...{ task_id: task.id, status: 'succeeded', failure: null, started_at: at(1), finished_at: at(1) },
      output: workloadOutput(instance, state),
    });
  });
}

const main = (page: Page) => page.getByRole('main');
const panel = (page: Page) => page.getByRole('tabpanel');

describe('the head of an instance', () => {
  it('shows what it is, where it runs and what stands behind it (G-222 to G-227)', async () => {
    const id = await ground.add();

    await visit(ground.url, async (page) => {
      await ground.open(page, id);

      const text = await main(page).innerText();
      for (const fact of ['JupyterLab', '2026.04-preview', 'Platform curated', 'runtime-cpu', 'lab one', 'gpu-1']) {
        expect(text).toContain(fact);
      }
      expect(text).toContain('workspace: scratch');
      expect(text).toContain('private, by SSH tunnel');
      expect(text).toContain('2 cores · 4 GiB memory');
    });
  });

  it('says how a launch went, step by step, with the time each took (G-5)', async () => {
    const id = await ground.add();
    await tellLaunch(id);

    await visit(ground.url, async (page) => {
      await ground.open(page, id);
      await page.getByText('Launch took 31 s').click();

      const steps = page.getByRole('list', { name: /^Launch took/ });
      expect(await steps.getByRole('listitem').allInnerTexts()).toEqual(
        [...[/^Accepted/, /^Pulling the image.*20 s$/s, /^Installing packages.*10 s$/s, /^Running/]].map((words) =>
          expect.stringMatching(words),
        ),
      );
    });
  });

  it('says why it failed, what to do and what can be done about it (X-11, X-12)', async () => {
    const history = (['requested', 'failed'] as const).map((state) => ({ state, at: at(0), reason: '' }));
    const detail = { exit_code: 1, excerpt: 'No matching <b>distribution</b>' };
    const failure = { code: 'packages.failed', kind: 'invalid', message: 'Packages.', hint: 'Correct them.' } as const;
    const id = await ground.add({
      ...{ state: 'failed', history, endpoints: [], members: [], failure: { ...failure, detail, retryable: false } },
    });

    await visit(ground.url, async (page) => {
      await ground.open(page, id);

      const alert = await page.getByRole('alert').innerText();
      for (const words of ['Packages.', 'Correct them.', 'packages.failed', 'Needs a correction', detail.excerpt]) {
        expect(alert).toContain(words);
      }
      await page.getByRole('button', { name: 'Launch again' }).waitFor();
      expect(await page.getByRole('button', { name: 'Stop', exact: true }).count()).toBe(0);
    });
  });

  it('shows a hostile name as text, and nothing of it runs', async () => {
    const name = '<img src=x onerror=alert(1)>\u202etxt.exe';
    const id = await ground.add({ display_name: name });

    await visit(ground.url, async (page) => {
      await ground.open(page, id);

      expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe(
        '<img src=x onerror=alert(1)>\\u202etxt.exe',
      );
      expect(await main(page).locator('img').count()).toBe(0);
    });
  });

  it('is honest about an instance that is not there', async () => {
    await visit(
      ground.url,
      async (page) => {
        await ground.open(page, await ground.add());
        await page.goto(`${ground.url}/#/instances/nobody`);

        await page.getByText('There is no such instance.').waitFor();
      },
      { expects: [/404/] },
    );
  });
});

describe('an action', () => {
  it('is asked about, done, and its state followed without a reload, until the end (G-20)', async () => {
    const id = await ground.add();

    await visit(ground.url, async (page) => {
      await ground.open(page, id);
      const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
      const dialog = page.getByRole('dialog');
      await press('Stop');
      await dialog.getByRole('button', { name: 'Stop' }).click();
      await page.locator('.page-head').getByText('stopping').waitFor();
      await carryOut(id, 'stopped');
      await page.locator('.page-head').getByText('stopped', { exact: true }).waitFor();
      await page.getByText('My notebook is stopped.').waitFor();

      await press('Start');
      await page.locator('.page-head').getByText('starting').waitFor();
      await carryOut(id, 'running');
      await page.locator('.page-head').getByText('running', { exact: true }).waitFor();

      await press('Decommission');
      await dialog.getByLabel('Keep its scratch folders').check();
      await dialog.getByRole('button', { name: 'Decommission' }).click();
      await page.locator('.page-head').getByText('decommissioning').waitFor();
    });

    const tasks = await ground.server.store.read((tx) => tx.tasks.list({ where: { instance_id: id } }));
    expect(tasks.map(({ purpose }) => purpose)).toEqual(['stop', 'start', 'decommission']);
    expect(tasks.at(-1)?.params).toMatchObject({ keep_data: true });
  });

  it('that is refused says why, where it was asked for', async () => {
    const id = await ground.add();

    await visit(
      ground.url,
      async (page) => {
        await ground.open(page, id);
        await page.getByRole('button', { name: 'Restart', exact: true }).click();
        await ground.becomes(id, 'unknown');
        await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click();

        await page.getByRole('dialog').getByText('instance.wrong_state').waitFor();
      },
      { expects: [/409/] },
    );
  });

  it('is not for who may only look', async () => {
    const id = await ground.add();

    await visit(ground.url, async (page) => {
      await ground.open(page, id, undefined, 'viewer');
      const stop = page.getByRole('button', { name: 'Stop', exact: true });

      expect(await stop.getAttribute('aria-disabled')).toBe('true');
      expect(await stop.getAttribute('title')).toContain('viewer');
    });
  });
});

describe('the tabs', () => {
  it('are walked by keyboard, and their address leads back to them', async () => {
    const id = await ground.add();

    await visit(ground.url, async (page) => {
      await ground.open(page, id);
      await page.getByRole('tab', { name: 'Access' }).focus();
      await page.keyboard.press('ArrowRight');

      await page.getByRole('tab', { name: 'Events', selected: true }).waitFor();
      await expect.poll(() => page.locator(':focus').innerText()).toBe('Events');
      await page.keyboard.press('End');
      await page.waitForURL(`**/#/instances/${id}/metrics`);
      await page.reload();
      await page.getByRole('tab', { name: 'Metrics', selected: true }).waitFor();
    });
  });

  it.each(['light', 'dark'] as const)('break no rule of WCAG 2.1 AA in %s colours', async (scheme) => {
    const id = await ground.add();
    await tellLaunch(id);
    ground.log.clear();
    ground.log.write(['a line', 'trouble']);
    ground.log.write(['more of it'], { channel: 'stderr' });

    await visit(
      ground.url,
      (page) => onEachTab(page, id, async (name) => expect(await accessibilityFaults(page), name).toEqual([])),
      { scheme },
    );
  });

  it('fit on a phone, also with a log of long lines', async () => {
    const id = await ground.add();
    await tellLaunch(id);
    const line = 'a line that is longer than a phone is wide '.repeat(5);
    ground.log.clear();
    ground.log.write([line, 'x'.repeat(300)]);

    await visit(
      ground.url,
      (page) =>
        onEachTab(page, id, async (name) => {
          if (name === 'Logs') await panel(page).getByText(line.trim()).waitFor();
          expect(await beyondTheEdge(page), name).toEqual([]);
        }),
      { width: 360 },
    );
  });
});

/** Opens one tab after the other, and looks when each is there. */
async function onEachTab(page: Page, id: string, look: (name: string) => Promise<void>): Promise<void> {
  await ground.open(page, id);
  for (const name of ['Access', 'Events', 'Logs', 'Topology', 'Metrics']) {
    await page.getByRole('tab', { name }).click();
    await panel(page).getByText('Loading').waitFor({ state: 'detached' });
    await look(name);
  }
}

describe('the events tab', () => {
  it('shows what happens as it happens, newest last (G-143)', async () => {
    const id = await ground.add();
    await tellLaunch(id);

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'events');
      await panel(page).getByText('It answers.').waitFor();
      await ground.happens(id, { type: 'apps.instance.reported', time: at(40), message: 'The container ended.' });

      await panel(page).getByText('The container ended.').waitFor();
      expect(await panel(page).getByRole('listitem').last().innerText()).toContain('The container ended.');
      await panel(page).getByLabel('Kind of event').selectOption('phase');
      expect(await panel(page).getByRole('listitem').count()).toBe(2);
    });
  });

  it('has the end of what the installer said, as harmless text, and the way to the log of the task (G-237)', async () => {
    const id = await ground.add();
    await tellLaunch(id);

    await visit(
      ground.url,
      async (page) => {
        await ground.open(page, id, 'events');
        await page.getByText('End of what the installer said').click();

        expect(await page.locator('.excerpt pre').innerText()).toBe('Collecting numpy\n<img src=x onerror=alert(1)>');
        await panel(page)
          .getByRole('listitem')
          .filter({ hasText: 'Packages were installed.' })
          .getByRole('link')
          .click();
        expect(await page.getByLabel('Which log').inputValue()).toBe('task task-1');
      },
      { expects: [/404/] },
    );
  });
});

const rows = (page: Page) => page.locator('.log-text').allInnerTexts();
/** The line itself: the page has words of its own for a log without any. */
const lineOf = (page: Page, text: string) => page.locator('.log-text').getByText(text, { exact: true });
const numbered = (from: number, count: number) => Array.from({ length: count }, (_, index) => `line ${from + index}`);

describe('the log', () => {
  it('stays a few rows of the page however long it is, and finds what is far up', async () => {
    const id = await ground.add();
    ground.log.clear();
    ground.log.write(numbered(0, 20_000));

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'logs');
      await page.getByRole('button', { name: /^Read up to/ }).click();
      await page.getByText('20000 lines').waitFor();
      for (let from = 20_000; from < 105_000; from += 5000) ground.log.write(numbered(from, 5000));
      await page.getByText('100000 lines, the last of 105000 lines').waitFor();

      expect((await rows(page)).at(-1)).toBe('line 104999');
      expect((await rows(page)).length).toBeLessThan(100);
      await page.getByLabel('Search the log').fill('LINE 77777');
      await page.getByText('1 line', { exact: true }).waitFor();
      await page.keyboard.press('Enter');
      await page.locator('mark').waitFor();
      expect(await page.locator('mark').allInnerTexts()).toEqual(['line 77777']);
    });
  });

  it('holds what comes while it is paused, and shows it after', async () => {
    const id = await ground.add();
    ground.log.clear();
    ground.log.write(['first']);

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'logs');
      await lineOf(page, 'first').waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      ground.log.write(['second', 'third']);
      const resume = page.getByRole('button', { name: 'Resume (2 new lines)' });
      await resume.waitFor();
      expect(await rows(page)).toEqual(['first']);

      await resume.click();
      await lineOf(page, 'third').waitFor();
      expect(await rows(page)).toEqual(['first', 'second', 'third']);
    });
  });

  it('goes on behind its last line after a lost connection, and after the workload ran again', async () => {
    const id = await ground.add();
    ground.log.clear();
    ground.log.write(['first']);

    await visit(
      ground.url,
      async (page) => {
        await ground.open(page, id, 'logs');
        await lineOf(page, 'first').waitFor();
        ground.proxy.cut();
        await panel(page).getByText('connection lost, trying again').waitFor();
        await lineOf(page, 'first').waitFor();
        ground.log.write(['second']);
        ground.proxy.mend();
        await lineOf(page, 'second').waitFor();
        expect(await rows(page)).toEqual(['first', 'second']);

        await ground.becomes(id, 'stopping');
        await ground.becomes(id, 'stopped');
        ground.log.end();
        await panel(page).getByText('end of the log').waitFor();
        ground.log.begin();
        ground.log.write(['third']);
        await ground.becomes(id, 'starting');
        await ground.becomes(id, 'running');
        await lineOf(page, 'third').waitFor();
        expect(await rows(page)).toEqual(['first', 'second', 'third']);
      },
      { expects: [/./] },
    );
  });

  it('shows what is written as harmless text, errors as such, and saves it as it was', async () => {
    const id = await ground.add();
    const hostile = '\u001b[2J\u001b[31m<script>alert(1)</script>\u202e';
    ground.log.clear();
    ground.log.write([hostile]);
    ground.log.write(['on stderr'], { channel: 'stderr' });

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'logs');
      await lineOf(page, 'on stderr').waitFor();
      expect(await rows(page)).toEqual(['<script>alert(1)</script>\\u202e', 'on stderr']);
      expect(await page.getByRole('img', { name: 'stderr:' }).count()).toBe(1);

      await page.getByRole('button', { name: 'Download' }).click();
      const whole = page.waitForEvent('download');
      await page.getByRole('button', { name: 'All that its host has kept' }).click();
      const stream = await (await whole).createReadStream();
      let text = '';
      for await (const piece of stream) text += piece;
      expect(text).toBe(`${hostile}\non stderr\n`);
    });
  });
});

describe('the access tab', () => {
  it('has the exact tunnel command, the address, and says what is not wired yet (G-86, G-229, G-239)', async () => {
    const id = await ground.add();
    const instance = await ground.server.store.read((tx) => tx.app_instances.get(id));
    const port = instance?.host_ports['web'];

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'access');

      const text = await panel(page).innerText();
      expect(text).toContain(`ssh -N -L ${port}:127.0.0.1:${port} tenant@gpu-1.example.com`);
      expect(text).toContain(`http://127.0.0.1:${port}/`);
      expect(text).toContain('Platform-proxy routing is not wired yet.');
      const link = panel(page).getByRole('link', { name: 'open web in a new tab' });
      expect(await link.getAttribute('rel')).toBe('noopener noreferrer');
    });
  });

  it('says that nothing can be reached while it is stopped', async () => {
    const id = await ground.add({ state: 'stopped', desired: 'stopped' });

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'access');

      await page.getByText('It cannot be reached just now.').waitFor();
      expect(await panel(page).innerText()).not.toContain('ssh -N');
    });
  });
});

describe('the topology tab', () => {
  it('draws every part and says the same in words, without the words of an engine (G-185, G-230)', async () => {
    const id = await ground.add({
      ...{ app_slug: 'vllm-openai', app_version: '2026.11', artifact_id: 'artifact-vllm', engine: 'docker_compose' },
      ...{ members: [memberOf('vllm', undefined, { state: 'probing' })], host_ports: { openai: 8001 }, endpoints: [] },
      config: {},
    });

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'topology');
      await panel(page).locator('svg text').filter({ hasText: 'probing' }).waitFor();
      await page.getByText('The same in words').click();

      const words = await panel(page).getByRole('list').first().innerText();
      for (const part of ['vllm', 'is probing', 'serves endpoint openai (127.0.0.1:8001)', 'uses folder workspace']) {
        expect(words).toContain(part);
      }
      expect(await page.content()).not.toMatch(/services:|image:|volumes:/);
    });
  });
});

describe('the metrics tab', () => {
  it('says what is used of what, and follows (G-128)', async () => {
    const id = await ground.add();
    const gib = 2 ** 30;
    const sample = (second: number) =>
      ground.server.context.samples.keep(
        'node-1',
        {
          ...{ at: at(second), interval_seconds: 10, gpus: [] },
          host: {
            cpu_cores_used: 1,
            memory_used_bytes: 1,
            memory_total_bytes: 2,
            disk_free_bytes: 1,
            disk_total_bytes: 2,
          },
          workloads: [
            {
              ...{
                workload_id: id,
                cpu_seconds: second,
                cpu_cores: 0.5,
                memory_bytes: gib,
                memory_limit_bytes: 4 * gib,
              },
              ...{ network_received_bytes: second * 1024, network_sent_bytes: 0, pids: 1 },
            },
          ],
        },
        Date.now(),
      );
    sample(0);
    sample(10);

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'metrics');

      await page.getByRole('img', { name: 'CPU: 0.5 cores of 2, 25 % of its limit' }).waitFor();
      await page.getByRole('img', { name: 'Memory: 1 GiB of 4 GiB, 25 %' }).waitFor();
      await page.getByRole('img', { name: 'Network: 1 KiB/s received, 0 B/s sent' }).waitFor();
      expect(await panel(page).getByText('GPU').count()).toBe(0);
    });
  });

  it('is honest where nothing was measured', async () => {
    const id = await ground.add({ state: 'stopped', desired: 'stopped' });

    await visit(ground.url, async (page) => {
      await ground.open(page, id, 'metrics');

      await page.getByText('Nothing was measured yet.').waitFor();
      await page.getByText('It is stopped.').waitFor();
    });
  });
});
