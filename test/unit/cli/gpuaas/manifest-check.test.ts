/** `gpuaas manifest check`: what a manifest says of a batch of commands. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { gpuaas } from '../../../../src/cli/gpuaas-main.ts';
import { payloadManifest, withScript } from '../../../support/payload-manifests.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const fixtures = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/golem');
const own = temporaryFolder('manifest-check');
let printed: string[];
let told: string[];

beforeEach(() => {
  printed = [];
  told = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => told.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

function file(name: string, content: unknown): string {
  writeFileSync(join(own, name), typeof content === 'string' ? content : JSON.stringify(content));
  return join(own, name);
}
const check = (manifest: unknown, script: unknown, ...more: string[]) =>
  gpuaas(['manifest', 'check', file('manifest.json', manifest), '--script', file('batch.json', script), ...more]);

const date = { run: { entry_point: '/bin/date', args: ['-R'] } };
const rules = withScript(['run /bin/cat /etc/motd', 'run /bin/date -R']);

it('says of each command whether it is allowed, and by which rule, or the nearest (M-18, M-29)', async () => {
  const cat = { run: { entry_point: '/bin/cat', args: ['/etc/passwd'] } };

  expect(await check(rules, [{ deploy: {} }, date, cat, { sign: {} }, { terminate: {} }], '--json')).toBe(1);

  expect(JSON.parse(printed.join(''))).toEqual({
    allowed: false,
    commands: [
      { index: 0, allowed: true, rule: null, reason: 'deploy is always allowed' },
      { index: 1, allowed: true, rule: 'run /bin/date -R', reason: 'a rule allows it' },
      {
        ...{ index: 2, allowed: false, rule: 'run /bin/cat /etc/motd' },
        reason: 'its argument 1 is /etc/passwd, and /etc/motd in the rule',
      },
      { index: 3, allowed: true, rule: null, reason: 'sign is always allowed' },
      { index: 4, allowed: true, rule: null, reason: 'terminate is always allowed' },
    ],
  });
});

it('is a line for each command, for people, and ends with 0 where all are allowed', async () => {
  expect(await check(rules, [date])).toBe(0);
  expect(await check(rules, [{ run: { entry_point: 'sh', args: ['-c', 'a\u001b[31m b'] } }])).toBe(1);

  expect(printed.join('')).toBe(
    '0 allowed  run /bin/date -R\n' +
      '0 refused  run sh -c "a\\u001b[31m b": its program is sh, and /bin/cat in the rule; nearest rule: run /bin/cat /etc/motd\n',
  );
});

it('compares as the programs of Golem do where it is told to, and only then (M-33)', async () => {
  const hidden = [{ run: { entry_point: 'sh', args: ['-c', 'run curl x'] } }];
  const curl = withScript(['run curl.*'], 'regex');

  expect([await check(curl, hidden), await check(curl, hidden, '--compat', 'yagna')]).toEqual([1, 0]);
  expect(await check(curl, hidden, '--compat', 'other')).toBe(2);
});

it('takes the manifests and batches of the fixtures, in base64 too', async () => {
  for (const name of ['commands', 'transfers']) {
    const script = join(fixtures, `${name}.script.json`);
    expect(await gpuaas(['manifest', 'check', join(fixtures, `${name}.in.json`), '--script', script])).toBe(0);
    const base64 = readFileSync(join(fixtures, `${name}.in.json`)).toString('base64');
    expect(await gpuaas(['manifest', 'check', file('base64', base64), '--script', script])).toBe(0);
  }
});

it('warns of an order in which no host carries commands out', async () => {
  const run = { run: { entry_point: '/bin/date' } };

  expect(await check(withScript(['run /bin/date']), [run, { deploy: {} }])).toBe(0);
  expect(told.join('')).toContain('warning: /1 deploy must be the first command; hosts refuse the batch');
});

it('warns of a transfer that a rule allows and that no host carries out', async () => {
  const transfer = { from: 'https://a.example/x', to: 'container:/golem/input/x' };

  expect(await check(withScript(['transfer .*'], 'regex'), [{ transfer }])).toBe(0);
  expect(told.join('')).toContain(
    'warning: /0/transfer/from https://a.example is none of the addresses that the job may reach: list it in compManifest.net',
  );
});

it.each([
  ['a manifest that is none', { version: 1 }, [date]],
  ['an expression that nobody understands (M-31)', withScript(['run (?=a)'], 'regex'), [date]],
  ['a manifest that has expired (M-4)', payloadManifest({ expiresAt: '2023-01-01T00:00:00Z' }), [date]],
  ['a batch that is no list', rules, date],
  ['a command that nobody knows', rules, [{ exec: {} }]],
  ['a command of two', rules, [{ deploy: {}, start: {} }]],
  ['a batch that is no JSON', rules, '[{"run":'],
  ['an empty batch', rules, []],
])('cannot say anything of %s, and ends with 2', async (_what, manifest, script) => {
  expect(await check(manifest, script)).toBe(2);
  expect(printed).toEqual([]);
  expect(told.join('')).not.toBe('');
  expect(await check(manifest, script, '--json')).toBe(2);
  expect(JSON.parse(printed.join('')).failure.code).toMatch(/^(manifest\.invalid|file\.unusable)$/);
});

it('needs both files', async () => {
  expect(await gpuaas(['manifest', 'check', file('manifest.json', rules)])).toBe(2);
  expect(await gpuaas(['manifest', 'check', join(own, 'none.json'), '--script', file('batch.json', [date])])).toBe(2);
  expect(await gpuaas(['manifest', 'check', file('manifest.json', rules), '--script', join(own, 'none.json')])).toBe(2);
});

it('renders a manifest with its batch as the plan that a submission becomes, and none that breaks its promise', async () => {
  const render = (script: unknown) =>
    gpuaas(['manifest', 'render', file('manifest.json', rules), '--script', file('batch.json', script)]);

  expect(await render([date])).toBe(0);
  expect(JSON.parse(printed.join(''))).toMatchObject({
    plan: { sandbox: 'gvisor', network: 'none', steps: [{ script: [date] }], resources: { gpu_count: 0 } },
    unresolved: [],
  });
  printed = [];
  expect(await render([{ run: { entry_point: 'sh' } }, { deploy: {} }])).toBe(1);
  expect(printed).toEqual([]);
  expect(told.join('')).toMatch(/batch.json: \/1 deploy must be the first[\s\S]*batch.json: \/0 is not allowed/);
});
