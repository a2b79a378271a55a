import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { nvidiaChecks } from '../../../../src/host/doctor/nvidia-checks.ts';
import { findProgram } from '../../../../src/host/programs.ts';
import { patience, pretendRoot, standIn, testFolder } from '../stand-ins.ts';

const nvswitch = {
  'sys/bus/pci/devices/0000:07:00.0/vendor': '0x10de\n',
  'sys/bus/pci/devices/0000:07:00.0/class': '0x068000\n',
};

it('says nothing of a host without cards', async () => {
  const results = await diagnose({}, {}, false);

  expect(Object.values(results).map(({ status }) => status)).toEqual(['skipped', 'skipped', 'skipped']);
});

it.each([
  ['NVIDIA Container Toolkit CLI version 1.17.7', 'fail'],
  ['NVIDIA Container Toolkit CLI version 1.9.0', 'fail'],
  ['NVIDIA Container Toolkit CLI version 1.17.8', 'ok'],
  ['NVIDIA Container Toolkit CLI version 1.18.0-rc.1', 'ok'],
  ['command not found', 'warn'],
])('judges the toolkit by the floor of its last hole: %s', async (line, status) => {
  const { 'gpu.toolkit': found } = await diagnose({ 'nvidia-ctk': `[ "$1" = --version ] && echo "${line}"` });

  expect(found).toMatchObject({ status });
});

it('wants a driver that stays loaded', async () => {
  const ask = async (answer: string) => (await diagnose({ 'nvidia-smi': answer }))['gpu.persistence'];

  expect(await ask('printf "Enabled\\nEnabled\\n"')).toMatchObject({ status: 'ok' });
  expect(await ask('printf "Enabled\\nDisabled\\n"')).toMatchObject({ status: 'warn' });
  expect(await ask('printf "[N/A]\\n"')).toMatchObject({ status: 'skipped' });
});

it('wants a fabric manager where there are switches', async () => {
  const ask = async (answer: string) => (await diagnose({ systemctl: answer }, nvswitch))['gpu.fabric_manager'];

  expect(await ask('echo active')).toMatchObject({ status: 'ok', found: expect.stringContaining('1 NVSwitches') });
  expect(await ask('echo inactive; exit 3')).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('inactive'),
  });
  expect((await diagnose({ systemctl: 'echo active' }))['gpu.fabric_manager']).toMatchObject({ status: 'skipped' });
});

async function diagnose(programs: Record<string, string>, files: Record<string, string> = {}, hasCards = true) {
  const folder = testFolder();
  for (const [name, script] of Object.entries(programs)) standIn(folder, name, script);
  const checks = nvidiaChecks({
    root: pretendRoot(files),
    findProgram: (name) => findProgram(name, [folder]),
    hasCards: async () => hasCards,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}
