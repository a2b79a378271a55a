/** The table of settings in docs/operators.md, compared with the configuration itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { AgentConfig, loadConfig } from '../../../src/agent/config.ts';
import { cheapOnes, healthOf } from '../../../src/host/doctor/beside-inventory.ts';
import { hostChecks } from '../../../src/host/doctor.ts';
import { hostPolicy } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('operators-page');
const page = readFileSync(resolve(import.meta.dirname, '../../../docs/operators.md'), 'utf8');
const table = page.slice(page.indexOf('| key | default | meaning |')).split('\n\n')[0] ?? '';
const rows = [...table.matchAll(/^\| `([a-z_.]+)` \| (.*?) \|/gm)].map(([, key = '', shown = '']) => ({ key, shown }));

it('has a row for every key, and for nothing else', () => {
  const { allocation, gate, control_plane, tasks, stacks, ...others } = AgentConfig.properties;

  expect(rows.map(({ key }) => key).sort()).toEqual(
    [
      ...Object.keys(others),
      ...Object.keys(allocation.properties).map((key) => `allocation.${key}`),
      ...Object.keys(gate.properties).map((key) => `gate.${key}`),
      ...Object.keys(control_plane.properties).map((key) => `control_plane.${key}`),
      ...Object.keys(stacks.properties).map((key) => `stacks.${key}`),
      ...Object.keys(tasks.properties).map((key) => `tasks.${key}`),
    ].sort(),
  );
});

it('tells the defaults that are one word as they are', async () => {
  const file = join(folder, 'agent.json');
  writeFileSync(file, '{"allocation": {"id": "a", "user": "u"}}');
  const { config } = await loadConfig(file, {});
  const quoted = rows.filter(({ shown }) => shown.startsWith('`'));

  expect(quoted.length).toBeGreaterThan(5);
  for (const { key, shown } of quoted) {
    const value = key.split('.').reduce<unknown>((inner, part) => (inner as Record<string, unknown>)[part], config);
    const text = shown.slice(1, -1);
    expect([key, text.startsWith('[') || text.startsWith('{') ? JSON.parse(text) : text]).toEqual([key, value]);
  }
});

it('lists the checks of the doctor, with those beside the inventory and those that let no launch through', () => {
  const all = hostChecks({ policy: hostPolicy, stateDir: '/', askEngine: () => Promise.reject(), path: '' });
  const failed = all.map(({ name }) => ({ name, status: 'fail', found: '', why: '', fix: '' }) as const);
  const blocking = new Set([0, 1].flatMap((half) => blocked(failed.filter((_, index) => index % 2 === half))));
  const cheap = new Set(cheapOnes(all).map(({ name }) => name));
  const mark = (name: string) => (blocking.has(name) ? '◆' : cheap.has(name) ? '●' : '');
  const listed = [...page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| ?([●◆]?) ?\|/gm)].map(([, name, sign]) => [name, sign]);

  expect(listed.filter(([name]) => all.some((check) => check.name === name))).toEqual(
    all.map(({ name }) => [name, mark(name)]),
  );
});

/** A summary has room for 32 findings, so half of them are asked at a time. */
function blocked(results: Parameters<typeof healthOf>[0]): string[] {
  return healthOf(results)
    .findings.filter(({ blocks }) => blocks)
    .map(({ name }) => name);
}
