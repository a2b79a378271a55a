import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { homeCheck } from '../../../../src/host/doctor/home-check.ts';
import { patience, testFolder } from '../stand-ins.ts';

const me = process.getuid?.() ?? 0;

it('passes a home that belongs to the user and is reached through no link', async () => {
  const home = join(testFolder(), 'alloc');
  mkdirSync(home, { mode: 0o750 });

  expect(await diagnose(home, me)).toMatchObject({ status: 'ok', fix: null });
});

it('fails when the home does not exist', async () => {
  const home = join(testFolder(), 'nobody');

  expect(await diagnose(home, me)).toMatchObject({ status: 'fail', found: `${home} does not exist.` });
});

it('fails when the home belongs to another user', async () => {
  const home = testFolder();

  expect(await diagnose(home, me + 4242)).toMatchObject({
    status: 'fail',
    found: `${home} belongs to user ${me}, not to user ${me + 4242}.`,
  });
});

it('fails when the way to the home leads through a link, and names the real path', async () => {
  const folder = testFolder();
  mkdirSync(join(folder, 'real/alloc'), { recursive: true });
  symlinkSync(join(folder, 'real'), join(folder, 'home'));
  symlinkSync(join(folder, 'real/alloc'), join(folder, 'alloc'));

  const above = await diagnose(join(folder, 'home/alloc'), me);
  const itself = await diagnose(join(folder, 'alloc'), me);

  expect(above).toMatchObject({ status: 'fail', found: `${folder}/home is a link.` });
  expect(above?.fix).toContain(join(folder, 'real/alloc'));
  expect(itself).toMatchObject({ status: 'fail', found: `${folder}/alloc is a link.` });
});

it('fails when others may replace the home or a folder above it', async () => {
  const folder = testFolder();
  mkdirSync(join(folder, 'open/alloc'), { recursive: true });
  mkdirSync(join(folder, 'shut/alloc'), { recursive: true });
  chmodSync(join(folder, 'open'), 0o777);
  chmodSync(join(folder, 'shut/alloc'), 0o777);

  const above = await diagnose(join(folder, 'open/alloc'), me);
  const itself = await diagnose(join(folder, 'shut/alloc'), me);

  expect(above).toMatchObject({ status: 'fail', fix: `Take the right away: chmod go-w ${folder}/open` });
  expect(itself).toMatchObject({ status: 'fail', fix: `Take the right away: chmod o-w ${folder}/shut/alloc` });
});

it('accepts a shared folder above that only lets people replace what is theirs', async () => {
  const folder = testFolder();
  mkdirSync(join(folder, 'shared/alloc'), { recursive: true });
  chmodSync(join(folder, 'shared'), 0o1777);

  expect(statSync(join(folder, 'shared')).mode & 0o1777).toBe(0o1777);
  expect(await diagnose(join(folder, 'shared/alloc'), me)).toMatchObject({ status: 'ok' });
});

it('fails when the home is a file', async () => {
  const home = join(testFolder(), 'alloc');
  writeFileSync(home, '');

  expect(await diagnose(home, me)).toMatchObject({ status: 'fail', found: `${home} is not a folder.` });
});

async function diagnose(home: string, uid: number) {
  const [result] = await runChecks([homeCheck({ home, uid })], { signal: patience });
  return result;
}
