import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type ClockChecks, clockChecks } from '../../../../src/host/doctor/clock-checks.ts';
import { patience, pretendRoot, standIn, testFolder } from '../stand-ins.ts';

it('fails a clock that shows a time before this program was written', async () => {
  const { 'host.clock': found } = await diagnose({ now: () => Date.UTC(1970, 0, 2) });

  expect(found).toMatchObject({ status: 'fail', found: expect.stringContaining('1970-01-02') });
});

it.each([
  [0, 'ok', 'agrees'],
  [-4900, 'ok', 'agrees'],
  [40_000, 'warn', '40 s ahead of'],
  [-86_400_000, 'fail', '86400 s behind'],
])('judges a clock that is %i ms ahead of the control plane', async (ahead, status, words) => {
  const { 'host.clock': found } = await diagnose({ aheadMs: () => ahead });

  expect(found).toMatchObject({ status, found: expect.stringContaining(words) });
});

it('warns of a clock that somebody has set while the agent ran', async () => {
  const { 'host.clock': found } = await diagnose({ setMs: () => -3_600_000 });

  expect(found).toMatchObject({ status: 'warn', found: expect.stringContaining('set back by 3600 s') });
});

it('knows who keeps the time, and says when nothing can tell', async () => {
  const timesyncd = pretendRoot({ 'run/systemd/system/x': '', 'run/systemd/timesync/synchronized': '' });

  const kept = await diagnose({ root: timesyncd });
  const unknown = await diagnose({ root: testFolder() });

  expect(kept['host.time_sync']).toMatchObject({ status: 'ok', found: expect.stringContaining('timesyncd') });
  expect(unknown['host.time_sync']).toMatchObject({ status: 'skipped' });
});

it('asks the kernel through systemd where another program keeps the time', async () => {
  const ask = async (answer: string, files: Record<string, string> = {}) => {
    const [root, folder] = [pretendRoot({ 'run/systemd/system/x': '', ...files }), testFolder()];
    standIn(folder, 'timedatectl', `[ "$*" = "show --property=NTPSynchronized --value" ] && ${answer}`);
    return (await diagnose({ root, path: folder }))['host.time_sync'];
  };

  expect(await ask('echo yes', { 'run/chrony/chronyd.pid': '7' })).toMatchObject({
    status: 'ok',
    found: 'The clock is synchronised (chrony).',
  });
  expect(await ask('echo no')).toMatchObject({
    ...{ status: 'warn', found: expect.stringContaining('no program keeps it') },
    fix: expect.stringContaining('apt-get install systemd-timesyncd'),
  });
  expect(await ask('echo no', { 'run/ntpd.pid': '7' })).toMatchObject({
    ...{ status: 'warn', found: expect.stringContaining('ntpd runs, and has not set it yet') },
    fix: expect.stringContaining('whether ntpd reaches'),
  });
  expect(await ask('exit 1')).toMatchObject({ status: 'skipped' });
});

async function diagnose(changes: Partial<ClockChecks>) {
  const usual = { root: testFolder(), path: '', aheadMs: () => null, setMs: () => null };
  const results = await runChecks(clockChecks({ ...usual, ...changes }), { signal: patience });
  return Object.fromEntries(results.map((result) => [result.name, result]));
}
