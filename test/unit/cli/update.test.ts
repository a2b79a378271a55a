/** `node-agent update`, against a daemon in memory and a host on which nobody has installed anything. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { LocalAgent } from '../../../src/agent/local-api/local-agent.ts';
import { type LocalApi, serveLocalApi } from '../../../src/agent/local-api/server.ts';
import { describe as describeState } from '../../../src/cli/commands/update.ts';
import { main } from '../../../src/cli/main.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { createLog } from '../../../src/kit/log.ts';
import { localAgent, updateState } from '../../support/local-agent.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('update-command');
const file = join(folder, 'agent.json');
const config = {
  allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1001, home: '/home/tenant' } },
  ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run') },
  updates: { install_dir: join(folder, 'opt'), guard_dir: join(folder, 'guarded') },
};
writeFileSync(file, JSON.stringify(config));
let api: LocalApi | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await api?.close();
  api = undefined;
});

async function daemon(over: Partial<LocalAgent> = {}): Promise<void> {
  const log = createLog({ level: 'silent' });
  api = await serveLocalApi(localAgent(over).agent, { socketPath: join(config.run_dir, 'agent.sock'), log });
}

async function update(...args: string[]) {
  const written = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  }
  const code = await main(['update', ...args, '--config', file]);
  vi.restoreAllMocks();
  return { code, ...written };
}

describe('node-agent update', () => {
  it('tells what runs, also without a daemon', async () => {
    const { code, stdout } = await update('--json');

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ version: '0.1.0', previous: null, pending: null, skipped: [] });
  });

  it('tells what there is, and why the host does not take it', async () => {
    const refused = new AgentError('update.pinned', { pinned: '0.1.0' }).toFailure();
    await daemon({ availableUpdate: async () => ({ version: '0.2.0', seq: 2, refused }) });

    const { stdout } = await update('--check');

    expect(stdout).toContain(`0.2.0, not for this host: ${refused.message}`);
    expect(JSON.parse((await update('--check', '--json')).stdout)).toMatchObject({ available: { version: '0.2.0' } });
  });

  it('hands `--now` to the daemon as a task of the host, for the present release', async () => {
    const asked: unknown[] = [];
    await daemon({
      runTask: async (task, { onAccepted }) => {
        asked.push(task);
        onAccepted('task-1');
        const time = new Date().toISOString();
        const output = { version: '0.2.0', from: '0.2.0', outcome: 'already' };
        return { task_id: 'task-1', status: 'succeeded', output, failure: null, started_at: time, finished_at: time };
      },
    });

    expect(await update('--now')).toMatchObject({ code: 0, stdout: 'Version 0.2.0 runs.\n' });
    expect(asked).toEqual([{ type: 'agent.self_update', params: { version: '0.2.0', urgent: true } }]);
  });

  const committed = (nonce: string) => `outcome=committed\nversion=0.2.0\nfrom=0.1.0\ntask=t\nnonce=${nonce}\n`;
  const refused = (nonce: string) =>
    `outcome=refused\nversion=0.2.0\ncode=update.older\nreason=It is older.\nnonce=${nonce}\n`;
  const last = join(config.updates.guard_dir, 'last');

  it.each([
    ['fails where the daemon goes away and nothing is known but an earlier try', committed('n0'), 1],
    ['tells what became of it where the daemon goes away for it', committed('n1'), 0],
  ])('%s', async (_what, after, code) => {
    mkdirSync(config.updates.guard_dir, { recursive: true });
    writeFileSync(last, committed('n0'));
    await daemon({
      runTask: async (_task, { onAccepted }) => {
        onAccepted('task-1');
        writeFileSync(last, after);
        await api?.close();
        return await new Promise<never>(() => undefined);
      },
    });

    expect((await update('--now', '--to', '0.2.0')).code).toBe(code);
  });

  it.each([
    ['its own refusal', refused('n1'), 'It is older.'],
    ['no earlier one', refused('n0'), 'Nothing says why.'],
  ])('tells of `--from` %s', async (_what, after, reason) => {
    const place = join(folder, crypto.randomUUID());
    for (const each of [place, config.updates.install_dir, config.updates.guard_dir])
      mkdirSync(each, { recursive: true });
    writeFileSync(join(place, 'release.json'), '{"version":"0.2.0"}');
    writeFileSync(last, refused('n0'));
    const guard = join(config.updates.install_dir, 'guard');
    writeFileSync(guard, `#!/bin/sh\nprintf '%s' '${after}' >${last}\nexit 1\n`, { mode: 0o755 });
    onTestFinished(() => rmSync(guard));
    vi.spyOn(process, 'getuid').mockReturnValue(0);

    const { stdout } = await update('--from', place, '--json');

    expect(JSON.parse(stdout).failure.message).toContain(reason);
  });

  it.each([[['--now', '--check']], [['--to', '0.2.0']], [['--rollback', '--skip', '0.2.0']]])(
    'refuses %j',
    async (args) => {
      expect((await update(...args, '--json')).stdout).toContain('command.invalid');
    },
  );

  it('needs the guard for what only root may change', async () => {
    const { code, stdout } = await update('--rollback', '--json');

    expect([code, JSON.parse(stdout).failure.code]).toEqual([1, 'update.failed']);
  });

  it('reads a folder before it asks anybody', async () => {
    writeFileSync(join(folder, 'release.json'), '{"version":"../.."}');

    expect(JSON.parse((await update('--from', folder, '--json')).stdout).failure.code).toBe('file.unusable');
  });
});

it('is said in words', () => {
  const text = describeState(
    {
      ...updateState,
      previous: '0.0.9',
      pending: { from: '0.1.0', to: '0.2.0', task: 't', nonce: 'n', attempts: 2 },
      last: {
        ...{
          outcome: 'rolled_back',
          version: '0.1.5',
          from: '0.1.0',
          task: 't',
          nonce: 'n',
          code: 'update.rolled_back',
        },
        reason: 'It was not well.',
      },
      skipped: [{ version: '0.1.5', reason: 'It was not well.' }],
    },
    undefined,
  );

  expect(text).toContain('0.2.0, start 2, after 0.1.0');
  // The link is moved when the trial is over.
  expect(text).toMatch(/before it +0\.1\.0/);
  expect(text).toContain('0.1.5: rolled back. It was not well.');
  expect(text).toContain('0.1.5 (It was not well.)');
});
