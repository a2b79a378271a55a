/** What a running agent tells its doctor, on a real journal. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../../src/agent/config.ts';
import { HostDoctor } from '../../../src/agent/host-doctor.ts';
import { openJournal } from '../../../src/agent/journal/open-journal.ts';
import { HostHealth } from '../../../src/contract/host-health.ts';
import { judge } from '../../../src/contract/validate.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { hostPolicy } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('host-doctor');
const patience = new AbortController().signal;

async function bench({ ahead = null as number | null, full = false } = {}) {
  const stateDir = join(folder, crypto.randomUUID());
  const loaded = await loadConfig(undefined, {
    GPUAAS_AGENT_STATE_DIR: stateDir,
    GPUAAS_AGENT_UPDATES: JSON.stringify({ install_dir: join(stateDir, 'opt'), guard_dir: join(stateDir, 'guard') }),
    GPUAAS_AGENT_ALLOCATION: JSON.stringify({ id: 'alloc-1', user: { uid: 1001, gid: 1002, home: '/home/tenant' } }),
  });
  const journal = openJournal({ stateDir });
  onTestFinished(() => journal.close());
  const clock = manualClock();
  const wall = { setMs: 0 };
  const doctor = new HostDoctor({
    ...{ loaded, policy: hostPolicy, engine: recordingEngine().engine },
    living: {
      clock: { ...clock, wallMs: () => clock.wallMs() + wall.setMs },
      uplink: { clockAheadMs: () => ahead },
      journal: { depth: () => ({ ...journal.depth(), full }), fault: () => journal.fault() },
    },
  });
  const look = async (name: string) => (await doctor.examine(patience, new Set([name])))[0];
  return { doctor, look, clock, wall, stateDir };
}

it('knows how far the clock is off, and when somebody has set it', async () => {
  const { look } = await bench({ ahead: 60_000 });
  expect(await look('host.clock')).toMatchObject({ status: 'warn', found: expect.stringContaining('60 s ahead of') });

  const other = await bench({ ahead: 0 });
  await other.clock.advance(3_600_000);
  expect(await other.look('host.clock')).toMatchObject({ status: 'ok' });
  other.wall.setMs = -7_200_000;
  expect(await other.look('host.clock')).toMatchObject({
    found: 'The clock was set back by 7200 s since the agent started.',
  });
});

it('knows how its journal is', async () => {
  expect(await (await bench()).look('state.journal')).toMatchObject({
    status: 'ok',
    found: expect.stringContaining('sound'),
  });
  expect(await (await bench({ full: true })).look('state.journal')).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('no room'),
  });
});

it('looks for updates where the configuration has them', async () => {
  const { look, stateDir } = await bench();
  expect(await look('update.state')).toMatchObject({ status: 'skipped' });

  for (const name of ['opt', 'guard']) mkdirSync(join(stateDir, name));
  symlinkSync('versions/0.1.0', join(stateDir, 'opt/current'));
  writeFileSync(join(stateDir, 'guard/skipped'), '0.2.0 It hung.\n');
  expect(await look('update.state')).toMatchObject({ status: 'ok', found: '0.1.0 runs; skipped: 0.2.0.' });

  writeFileSync(join(stateDir, 'guard/pending'), 'from=0.1.0\nto=0.2.0\nnonce=n1\nattempts=2\n');
  expect(await look('update.state')).toMatchObject({ found: expect.stringContaining('0.2.0 is on trial since 2') });
});

it('glances: what an inventory may carry, and a journal without room lets no launch through', async () => {
  const { doctor } = await bench({ full: true });

  const health = await doctor.glance(patience);

  expect(judge(HostHealth, health).ok).toBe(true);
  expect(health.findings).toContainEqual(expect.objectContaining({ name: 'state.journal', blocks: true }));
});
