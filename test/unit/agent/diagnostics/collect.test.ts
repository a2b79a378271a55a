import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { loadConfig } from '../../../../src/agent/config.ts';
import { collect, type DiagnosticSources } from '../../../../src/agent/diagnostics/collect.ts';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { AgentCollectDiagnosticsOutput } from '../../../../src/contract/agent-collect-diagnostics.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { keptOutput } from '../../../../src/tasks/keep-output.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { agentStatus } from '../../../support/local-agent.ts';
import { recordingEngine } from '../../../support/recording-engine.ts';
import { hostPolicy } from '../../../support/task-bench.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('diagnostics');
const patience = new AbortController().signal;
const secret = 'notebook-secret-of-a-tenant';

async function sources(): Promise<DiagnosticSources & { readonly stateDir: string }> {
  const stateDir = join(folder, crypto.randomUUID());
  mkdirSync(join(stateDir, 'task-logs'), { recursive: true, mode: 0o700 });
  const loaded = await loadConfig(undefined, {
    GPUAAS_AGENT_STATE_DIR: stateDir,
    GPUAAS_AGENT_ALLOCATION: JSON.stringify({ id: 'alloc-1', user: { uid: 1001, gid: 1002, home: '/home/tenant' } }),
  });
  return {
    ...{ stateDir, loaded, policy: hostPolicy, version: '0.2.0', engine: recordingEngine().engine },
    doctor: { examine: async () => [{ name: 'engine.limits', status: 'ok', found: 'Fine.', why: 'w.', fix: null }] },
  };
}

function log(stateDir: string, task: string, lines: readonly object[], seconds: number): void {
  const file = join(stateDir, 'task-logs', `${task}.ndjson`);
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 });
  utimesSync(file, seconds, seconds);
}

it('has what a helper needs of a living agent, and none of its secrets', async () => {
  const given = await sources();
  const journal = openJournal({ stateDir: given.stateDir });
  try {
    const said = { time: 't', msg: `it said ${secret}` };
    log(given.stateDir, 'task-1', [said, { time: 't', msg: keptOutput, text: 'what people wrote' }], 100);
    const living = {
      ...{ status: () => agentStatus, journal, secrets: async () => [secret] },
      cards: () => ({ gpus: [sampleGpu({ uuid: 'GPU-1' })], hears_kernel: true }),
    };

    const bundle = await collect({ ...given, living }, {}, patience);

    const names = bundle.files.map(({ name }) => name);
    const all = JSON.stringify(bundle);
    expect(judge(AgentCollectDiagnosticsOutput, bundle).ok).toBe(true);
    expect(names).toEqual(
      expect.arrayContaining([
        ...['about.json', 'doctor.json', 'status.json', 'config.json', 'journal.json', 'engine.json', 'gpus.json'],
        ...['events.ndjson', 'updates.json', 'tasks/task-1.ndjson'],
      ]),
    );
    expect(all).toContain('GPU-1');
    expect(all).toContain('env GPUAAS_AGENT_STATE_DIR');
    expect(all).not.toContain(secret);
    expect(all).not.toContain('what people wrote');
  } finally {
    journal.close();
  }
});

it('works without an agent, and has the logs of the newest tasks only', async () => {
  const given = await sources();
  for (const index of [1, 2, 3]) log(given.stateDir, `task-${index}`, [{ time: 't', msg: 'm' }], index * 100);

  const two = await collect(given, { tasks: 2 }, patience);
  const none = await collect(given, { tasks: 0 }, patience);

  const logsOf = (bundle: typeof two) =>
    bundle.files.map(({ name }) => name).filter((name) => name.startsWith('tasks/'));
  expect(logsOf(two)).toEqual(['tasks/task-3.ndjson', 'tasks/task-2.ndjson']);
  expect(logsOf(none)).toEqual([]);
  expect(two.files.map(({ name }) => name)).not.toContain('status.json');
});

it('takes nothing of root along where the agent, whose folder it is, has put links and pipes, and waits for none', async () => {
  const given = await sources();
  const logs = join(given.stateDir, 'task-logs');
  log(given.stateDir, 'task-1', [{ time: 't', msg: 'm' }], 100);
  writeFileSync(join(folder, 'of-root.ndjson'), 'what only root may read');
  symlinkSync(join(folder, 'of-root.ndjson'), join(logs, 'link.ndjson'));
  symlinkSync('/dev/zero', join(logs, 'endless.ndjson'));
  execFileSync('mkfifo', [join(logs, 'pipe.ndjson')]);
  writeFileSync(join(logs, 'two\nlines.ndjson'), 'a name that no bundle can carry');

  const bundle = await collect(given, {}, patience);
  renameSync(logs, `${logs}.moved`);
  symlinkSync(folder, logs);
  const behindLink = await collect(given, {}, patience);

  expect(judge(AgentCollectDiagnosticsOutput, bundle).ok).toBe(true);
  expect(JSON.stringify([bundle, behindLink])).not.toContain('what only root may read');
  expect(bundle.files.map(({ name }) => name).filter((name) => name.startsWith('tasks/'))).toEqual([
    'tasks/task-1.ndjson',
  ]);
  expect(bundle.left_out).toEqual(
    expect.arrayContaining([
      'tasks/link.ndjson: It cannot be opened: ELOOP.',
      'tasks/endless.ndjson: It cannot be opened: ELOOP.',
      'tasks/pipe.ndjson: It is no plain file.',
    ]),
  );
});

it('goes on where the engine is away', async () => {
  const given = await sources();
  const { engine } = recordingEngine({ list: () => Promise.reject(new Error('The engine is away.')) });

  const bundle = await collect({ ...given, engine }, { tasks: 0 }, patience);

  expect(bundle.left_out).toContain('engine.json: The engine is away.');
  expect(bundle.files.map(({ name }) => name)).toContain('doctor.json');
});

it('has of the journal of systemd what the agent wrote, and nothing that a workload did', async () => {
  const lines = [
    '2026-11-26T10:00:00 host gpuaas-node-agent[1]: agent runs version=1',
    `2026-11-26T10:00:01 host gpuaas-node-agent[1]: ${keptOutput} channel=stdout text="what people wrote"`,
    `2026-11-26T10:00:02 host gpuaas-node-agent[1]: {"level":"info","msg":"${keptOutput}","text":"what people wrote"}`,
  ];
  const tools = join(folder, 'tools');
  mkdirSync(tools, { recursive: true });
  writeFileSync(join(tools, 'journalctl'), `#!/bin/sh\ncat <<'EOT'\n${lines.join('\n')}\nEOT\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${tools}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());

  const { files } = await collect(await sources(), {}, patience);

  const text = files.find(({ name }) => name === 'agent.log')?.text;
  expect(text).toContain('agent runs version=1');
  expect(text).not.toContain('what people wrote');
});
