import { chmodSync, chownSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type MachineChecks, machineChecks } from '../../../../src/host/doctor/machine-checks.ts';
import { patience, pretendRoot, testFolder } from '../stand-ins.ts';
import { report } from './reports.ts';

const gib = 2 ** 30;

it('judges the disk of the engine by the reserve of host policy', async () => {
  const folder = testFolder();
  const { bavail, bsize } = statfsSync(folder);
  const free = (bavail * bsize) / gib;
  const askEngine = () => Promise.resolve(report({ rootDir: folder }));
  const withReserve = (disk_gib: number) =>
    diagnose({ askEngine, reserves: { cpu_cores: 0, memory_gib: 0, disk_gib } });

  const full = await withReserve(free + 100);
  const nearly = await withReserve(Math.max(0, free - 5));

  expect(full['disk.engine']).toMatchObject({ status: 'fail', found: expect.stringContaining(folder) });
  expect(nearly['disk.engine']).toMatchObject({ status: 'warn', fix: expect.stringContaining('prune') });
});

it('leaves the disk of the engine open while the engine is away', async () => {
  const { 'disk.engine': found } = await diagnose({
    askEngine: () => Promise.reject(new AgentError('engine.unavailable')),
  });

  expect(found).toMatchObject({ status: 'skipped' });
});

it('fails when the reserves leave nothing for workloads', async () => {
  const root = pretendRoot({ 'sys/devices/system/cpu/online': '0-3' });
  const cpu = await diagnose({ root, reserves: { cpu_cores: 4, memory_gib: 0, disk_gib: 0 } });
  const memory = await diagnose({ root, reserves: { cpu_cores: 1, memory_gib: totalmem() / gib, disk_gib: 0 } });
  const fine = await diagnose({ root, reserves: { cpu_cores: 1, memory_gib: 0.001, disk_gib: 0 } });

  expect(cpu['host.reserves']).toMatchObject({ status: 'fail', found: expect.stringContaining('4 of 4 cores') });
  expect(memory['host.reserves']).toMatchObject({ status: 'fail' });
  expect(fine['host.reserves']).toMatchObject({ status: 'ok' });
});

it('warns when the system itself uses more memory than is kept for it', async () => {
  const { 'host.reserves': found } = await diagnose({
    reserves: { cpu_cores: 0, memory_gib: (totalmem() / gib) * 0.99999, disk_gib: 0 },
  });

  expect(found).toMatchObject({ status: 'warn', found: expect.stringContaining('only') });
});

it('passes a folder for secrets in memory, made or not, and fails one on a disk', async () => {
  const inMemory = await diagnose({ secretsDir: '/dev/shm/gpuaas-not-made/secrets' });
  const onDisk = await diagnose({ secretsDir: '/proc/self/secrets' });

  expect(inMemory['host.secrets_dir']).toMatchObject({
    status: 'ok',
    found: expect.stringContaining('below /dev/shm'),
  });
  expect(onDisk['host.secrets_dir']).toMatchObject({ status: 'fail', fix: expect.stringContaining('secrets_dir') });
});

it('fails when others may get into the folder of the agent', async () => {
  const stateDir = join(testFolder(), 'state');
  mkdirSync(stateDir);
  const ask = async (mode: number) => {
    chmodSync(stateDir, mode);
    return (await diagnose({ stateDir }))['host.state_dir'];
  };

  expect(await ask(0o700)).toMatchObject({ status: 'ok' });
  expect(await ask(0o750)).toMatchObject({ status: 'fail', fix: `Close it: chmod 0700 ${stateDir}` });
  expect(await ask(0o701)).toMatchObject({ status: 'fail' });
});

it('names what in the folder of the agent is of somebody else, and keys that others may read', async () => {
  const stateDir = join(testFolder(), 'state');
  const key = join(stateDir, 'identity/identity.key');
  mkdirSync(join(stateDir, 'identity'), { recursive: true, mode: 0o700 });
  writeFileSync(key, 'k', { mode: 0o644 });
  writeFileSync(join(stateDir, 'agent.db'), '', { mode: 0o600 });
  const open = (await diagnose({ stateDir }))['host.state_dir'];
  chmodSync(key, 0o600);
  const closed = (await diagnose({ stateDir }))['host.state_dir'];
  chownSync(join(stateDir, 'agent.db'), 4242, 4242);
  const foreign = (await diagnose({ stateDir }))['host.state_dir'];

  expect(open).toMatchObject({ status: 'fail', found: `Others may read ${key}.` });
  expect(closed).toMatchObject({ status: 'ok' });
  expect(foreign).toMatchObject({ status: 'fail', found: expect.stringContaining('agent.db') });
});

it('warns when there is no more room for inputs than the reserve, wherever their folder will be', async () => {
  const inputsDir = join(testFolder(), 'not/yet');
  const scarce = await diagnose({ inputsDir, reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 2 ** 30 } });
  const enough = await diagnose({ inputsDir });

  expect(scarce['disk.inputs']).toMatchObject({ status: 'warn', fix: expect.stringContaining('inputs.dir') });
  expect(enough['disk.inputs']).toMatchObject({ status: 'ok' });
});

it('passes over a state folder that is not made yet, but measures its disk', async () => {
  const results = await diagnose({ stateDir: join(testFolder(), 'not/yet') });

  expect(results['host.state_dir']).toMatchObject({ status: 'skipped' });
  expect(results['disk.state']).toMatchObject({ status: 'ok' });
});

async function diagnose(changes: Partial<MachineChecks>) {
  const checks = machineChecks({
    askEngine: () => Promise.resolve(report()),
    reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
    stateDir: testFolder(),
    secretsDir: '/dev/shm',
    inputsDir: testFolder(),
    root: testFolder(),
    ...changes,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}
