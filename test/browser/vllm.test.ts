/**
 * A stack with cards from its form to its drawing: the seeded vLLM on the stand-in of the ground, on a host whose engine and
 * driver's tool take themselves for NVIDIA's; all else is real.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { visit } from '../support/browser.ts';
import { signIn } from '../support/console-ground.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { formStep } from '../support/launch-form.ts';
import { nvidiaSmi } from '../support/nvidia-smi.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';
import { model, offerImage, publishVllm } from '../support/wire-vllm.ts';

const version = 'small';
let folder: string;
let engine: PrivateEngine;
let wire: Wire;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-vllm-page-'));
  const smi = nvidiaSmi(join(folder, 'bin'), [{ uuid: 'GPU-0000000a' }]);
  engine = await engineWithCards();
  wire = await openWire({
    engineSocket: engine.socketPath,
    allocation: { shape: { gpu_count: 1, cpu_cores: 400, memory_gib: 400 } },
    environment: { agent: { PATH: `${smi.folder}:${process.env['PATH']}` } },
  });
  await offerImage(wire.admin, engine.socketPath, 'openai', 'vllm-openai-cuda');
  await publishVllm(wire.admin, version);
});
afterAll(async () => {
  await wire?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('is launched by a form, drawn with its services and its card, and never shown as a document (G-185, G-230)', async () => {
  const path = `/api/v1/catalog/apps/vllm-openai/versions/${version}`;
  const { steps } = ok(await wire.member.call('GET', path)).manifest.parameters.ui.launch_wizard;
  const documents: string[] = [];
  await visit(wire.url, async (page) => {
    page.on('response', async (response) => {
      const isStream = response.headers()['content-type']?.startsWith('text/event-stream');
      if (!isStream && response.url().includes('/app-instances')) documents.push(await response.text());
    });
    await signIn(page, wire.member.token);

    await page.getByRole('link', { name: `Launch vLLM ${version}` }).click();
    for (const { title } of steps) {
      const step = await formStep(page, title);
      if (title === 'Model') await step.getByText(model, { exact: true }).click();
      await step.getByRole('button', { name: title === steps.at(-1)?.title ? 'Launch' : 'Next' }).click();
    }
    await page.getByRole('main').getByText('running', { exact: true }).first().waitFor();
    await page.getByRole('tab', { name: 'Topology' }).click();
    const drawing = page.getByRole('img', { name: /^Drawing of what it consists of/ });
    await drawing.waitFor();

    for (const part of ['vllm', 'openai', 'workspace', 'NVIDIA H100 80GB HBM3']) {
      expect(await drawing.textContent()).toContain(part);
    }
    documents.push(await page.content());
    expect(documents.join('\n')).not.toMatch(/^\s*services:/m);
    expect(documents.join('\n')).not.toMatch(/"?(cap_add|deploy|x-gpuaas|sealed_env|sealed_files)"?:/);
  });
});
