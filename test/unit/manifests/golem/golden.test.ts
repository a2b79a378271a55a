/**
 * Manifests as their authors write them, and the plans that they become with a batch of commands:
 * `fixtures/manifests/golem/NAME.{in,script,out}.json`. The two of the reference document are `hello-world` and `curl` (M-45).
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { readGolemJob } from '../../../../src/manifests/golem/read-job.ts';
import { sketchWish } from '../../../../src/manifests/sketch-wish.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import { checkPromises } from '../../../../src/policy/promises/check-promises.ts';
import { readManifest } from '../../../../src/policy/promises/read-manifest.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/golem');
const names = globSync('*.in.json', { cwd: folder }).map((file) => file.replace('.in.json', ''));
const json = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
const now = Date.parse('2026-01-01T00:00:00Z');

it('is shown by both examples of the reference document, and more (M-45)', () => {
  expect(names).toEqual(expect.arrayContaining(['hello-world', 'curl']));
  expect(names.length).toBeGreaterThanOrEqual(8);
});

it.each(names)('%s becomes a plan that keeps what its manifest promises (M-1, M-9)', async (name) => {
  const read = readGolemJob(json(`${name}.in.json`), { now });
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const script = existsSync(join(folder, `${name}.script.json`)) ? json(`${name}.script.json`) : undefined;
  const wish = { ...sketchWish('golem'), ...read.usual, resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 } };
  const { plan, unresolved } = read.plan({ ...wish, ...(script && { batch: { script } }) });

  const written = {
    warnings: read.warnings.map(({ path, code }) => `${path} ${code}`),
    ...{ architectures: read.architectures ?? null, unresolved, plan },
  };
  await expect(`${JSON.stringify(written, null, 2)}\n`).toMatchFileSnapshot(join(folder, `${name}.out.json`));
  const manifest = readManifest(plan.signed_manifest?.manifest ?? '');
  expect(manifest).toEqual({ ok: true, value: json(`${name}.in.json`) });
  expect(errorsOfPlan(plan)).toEqual([]);
  expect(script === undefined ? [] : read.checkScript?.(script)).toEqual([]);
  if (!manifest.ok) return;
  const findings = checkPromises(plan, manifest.value, { compat: false, now });
  expect(findings.flatMap(({ errors }) => errors)).toEqual([]);
});
