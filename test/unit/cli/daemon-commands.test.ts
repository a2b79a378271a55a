/** The commands that ask the daemon of this host, over its real socket. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { TaskSummary } from '../../../src/agent/local-api/agent-status.ts';
import type { LocalAgent } from '../../../src/agent/local-api/local-agent.ts';
import { type LocalApi, serveLocalApi } from '../../../src/agent/local-api/server.ts';
import type { LogItem } from '../../../src/agent/logs/log-source.ts';
import { openTaskLog } from '../../../src/agent/task-log.ts';
import { idsOnHost } from '../../../src/cli/commands/completions.ts';
import { printExplanation } from '../../../src/cli/commands/explain.ts';
import { describeStatus } from '../../../src/cli/commands/status.ts';
import { main } from '../../../src/cli/main.ts';
import { createLog } from '../../../src/kit/log.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { agentStatus, localAgent } from '../../support/local-agent.ts';
import { nvidiaSmi } from '../../support/nvidia-smi.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('daemon-commands');
const file = join(folder, 'agent.json');
const config = {
  allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1001, home: '/home/tenant' } },
  ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run') },
};
writeFileSync(file, JSON.stringify(config));
let api: LocalApi | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await api?.close();
  api = undefined;
});

async function daemon(over: Partial<LocalAgent> = {}): Promise<string[]> {
  const { agent, asked } = localAgent(over);
  api = await serveLocalApi(agent, {
    socketPath: join(config.run_dir, 'agent.sock'),
    log: createLog({ level: 'silent' }),
  });
  return asked;
}

async function nodeAgent(...args: string[]) {
  const written = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  }
  const code = await main([...args, '--config', file]);
  vi.restoreAllMocks();
  return { code, ...written };
}

const item = (text: string, over: object = {}): LogItem => ({
  ...{ cursor: 'c', time: '2026-11-25T10:00:00.000Z', channel: 'stdout', partial: false },
  data: Buffer.from(text),
  ...over,
});

describe('node-agent, with a daemon', () => {
  it('knows what can be completed: its workloads and tasks', async () => {
    await daemon({ tasks: () => [{ task_id: 'task-1' } as TaskSummary] });

    const ids = (await idsOnHost(file, AbortSignal.timeout(10_000))).map(({ value }) => value);

    expect(ids).toEqual([agentStatus.workloads[0]?.workload_id, 'task-1']);
  });

  it('tells how it is', async () => {
    await daemon();

    const { code, stdout } = await nodeAgent('status');

    expect(code).toBe(0);
    expect(stdout).toMatch(/^control plane +connected to https:\/\/control\.example\.com for /m);
    expect(stdout).toMatch(/^notebook-1 +running +.* +2 +web 127\.0\.0\.1:8888$/m);
  });

  it('tells it as JSON', async () => {
    await daemon();

    const { stdout } = await nodeAgent('status', '--json');

    expect(JSON.parse(stdout)).toEqual(agentStatus);
  });

  it('lists tasks, with the phase of those at work and the code of those that failed', async () => {
    const task = { type: 'workload.oci_launch', workload_id: 'notebook-1', fencing: 1, trace_id: 't', ended_at: null };
    await daemon({
      tasks: () => [
        {
          ...task,
          task_id: 'b',
          state: 'running',
          phase: 'pulling',
          failure_code: null,
          accepted_at: '2026-11-25T10:01:00Z',
        },
        {
          ...task,
          task_id: 'a',
          state: 'failed',
          phase: null,
          failure_code: 'image.not_found',
          accepted_at: '2026-11-25T10:00:00Z',
        },
      ],
    });

    const { stdout } = await nodeAgent('tasks');

    expect(stdout).toMatch(/b +workload\.oci_launch +notebook-1 +running: pulling$/m);
    expect(stdout).toMatch(/a +workload\.oci_launch +notebook-1 +failed +image\.not_found$/m);
  });

  it('prints a log as it is, gaps where they are, and nothing that steers the terminal', async () => {
    await daemon({
      logs: {
        async *read() {
          yield item('one\u001b[2J');
          yield { gap: true, dropped: 3 };
          yield item('zwei', { data: Buffer.from([0xff, 0x7a]) });
        },
      },
    });

    const { code, stdout, stderr } = await nodeAgent('logs', 'notebook-1');

    expect(code).toBe(0);
    expect(stdout).toBe('one\\x1b[2J\n\ufffdz\n');
    expect(stderr).toContain('3 entries are missing here');
  });

  it('adds to an explanation what the kernel says, where the daemon may not read that and the caller may', async () => {
    const container = 'c'.repeat(64);
    const time = '2026-11-25T10:00:04.000Z';
    await daemon({
      explain: async (id) => ({
        ...{
          subject: { kind: 'instance', id, name: null },
          at: time,
          state: 'failed',
          summary: 'It ended.',
          failure: null,
        },
        kernel: { read: false, containers: [container], since: '2026-11-25T10:00:00.000Z', until: null },
        ...{ timeline: [], notes: [], next: 'Nothing.' },
      }),
    });
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);

    const code = await printExplanation('notebook-1', { config: file, json: false }, () => [
      { time, text: `oom-kill:constraint=X,task_memcg=/docker/${container},task=python,pid=22,uid=0` },
      { time, text: 'Memory cgroup out of memory: Killed process 22 (python) total-vm:9kB, anon-rss:2048kB' },
    ]);

    expect([code, written.mock.calls.join('')]).toEqual([0, expect.stringContaining('The kernel killed python')]);
  });

  it("reads no journal that is a link: it is the agent's, and root may be who asks", async () => {
    mkdirSync(config.state_dir, { recursive: true });
    writeFileSync(join(folder, 'of-root.db'), 'what only root may read');
    symlinkSync(join(folder, 'of-root.db'), join(config.state_dir, 'agent.db'));
    onTestFinished(() => rmSync(join(config.state_dir, 'agent.db')));
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    vi.stubEnv('TMPDIR', temporary);
    onTestFinished(() => void vi.unstubAllEnvs());

    const { code, stderr } = await nodeAgent('explain', 'notebook-1');

    expect([code, stderr]).toEqual([2, expect.stringContaining('agent.db: It cannot be opened: ELOOP')]);
    expect(readFileSync(join(folder, 'of-root.db'), 'utf8')).toBe('what only root may read');
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('puts into a bundle nothing that a daemon answers in another form: root unpacks it', async () => {
    const bundle = join(folder, 'bundle.json');
    const files = [{ name: '../../etc/cron.d/x', text: '* * * * * root true' }];
    await daemon({ diagnose: async () => ({ collected_at: '2026-11-25T10:00:00.000Z', files, left_out: [] }) });

    await nodeAgent('doctor', '--bundle', bundle);

    const written = readFileSync(bundle, 'utf8');
    expect(written).toContain('about.json');
    expect(written).toContain('the agent: what it answered is no bundle.');
    expect(written).not.toContain('cron.d');
  });

  it('drains and takes work again', async () => {
    const asked = await daemon();

    expect((await nodeAgent('drain')).stdout).toContain('Draining');
    expect((await nodeAgent('drain', '--off')).stdout).toBe('New work is taken.\n');
    expect(asked).toEqual(['drain true', 'drain false']);
  });

  it('lists cards with who holds them and why one is not well, and clears one', async () => {
    const sick = sampleGpu({
      uuid: 'GPU-2',
      health: 'unhealthy',
      reason: 'Xid 79: \u001b[2Jthe host has to be rebooted.',
    });
    const asked = await daemon({
      cards: () => ({ gpus: [sampleGpu({ held_by: 'notebook-1' }), sick], hears_kernel: false }),
    });

    const { stdout, stderr } = await nodeAgent('gpus');
    expect(stdout).toMatch(/^GPU-1 {2}NVIDIA H100 80GB HBM3 {2}80 GiB {2}0000:17:00\.0 {2}healthy {4}notebook-1$/m);
    expect(stdout).toMatch(/^GPU-2 .* unhealthy {2}free$/m);
    expect(stdout).toContain('GPU-2: Xid 79:');
    expect(stdout).not.toContain('\u001b');
    expect(stderr).toContain('go unheard');
    expect(JSON.parse((await nodeAgent('gpus', '--json')).stdout)).toMatchObject({ hears_kernel: false });
    expect((await nodeAgent('gpus', 'clear', 'GPU-1')).code).toBe(0);
    expect(asked).toEqual(['clear GPU-1']);
  });

  it.each([
    ['a card that nobody knows', ['clear', 'GPU-9'], 'No card of this host is GPU-9'],
    ['no card at all', ['clear'], 'uuid'],
    ['what is no card', ['clear', '../x'], 'uuid'],
  ])('clears not %s', async (_what, args, words) => {
    await daemon();

    const { code, stderr } = await nodeAgent('gpus', ...args);

    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  it('lists what it keeps for later jobs, and takes away what is asked for', async () => {
    const cache = {
      ...{ id: '1'.repeat(24), kind: 'cache' as const, project_id: 'project-7', revision_sha256: 'ab'.repeat(32) },
      ...{ name: 'hf-cache', class: 'model' as const, bytes: 3 * 2 ** 20, max_bytes: 2 ** 30, in_use: true },
      used_at: new Date(Date.now() - 3_600_000).toISOString(),
    };
    const image = { ...cache, id: '2'.repeat(24), kind: 'image' as const, name: null, class: null, max_bytes: null };
    const measured: boolean[] = [];
    const asked = await daemon({
      kept: async ({ measure }) => {
        measured.push(measure);
        return [cache, { ...image, bytes: null, used_at: null, in_use: false }];
      },
    });

    const { stdout } = await nodeAgent('caches');
    expect(stdout).toMatch(/^1{24} {2}project-7 {2}abababababab {2}hf-cache +model +3\.0 MiB +1024\.0 MiB .* in use$/m);
    expect(stdout).toMatch(/^2{24} .* \(image\) +- +not measured +- +- +free$/m);
    expect(JSON.parse((await nodeAgent('caches', '--json')).stdout)).toMatchObject({
      kept: [cache, { kind: 'image' }],
    });
    expect((await nodeAgent('caches', 'remove', cache.id)).code).toBe(0);
    expect((await nodeAgent('caches', 'remove', '--all')).code).toBe(0);
    expect(asked).toEqual([`remove ${cache.id}`, 'remove undefined']);
    // The engine looks at every file for it: who asks for a list waits for that, who has something removed does not.
    expect(measured).toEqual([true, true, false, false]);
    for (const args of [['remove'], ['remove', cache.id, '--all'], ['remove', '9'.repeat(24)]]) {
      expect((await nodeAgent('caches', ...args)).code).toBe(2);
    }
  });

  it('says what it is told, in the words of the failure table', async () => {
    await daemon();

    const { code, stderr } = await nodeAgent('logs', 'x', '--task');

    expect(code).toBe(3);
    expect(stderr).toContain('There is no such log on this host. [logs.not_found]');
  });
});

describe('node-agent, without a daemon', () => {
  it('lists cards as their drivers tell, and says what it cannot know', async () => {
    const smi = nvidiaSmi(join(folder, 'driver'), [{ uuid: 'GPU-1' }]);
    vi.stubEnv('PATH', `${smi.folder}:${process.env['PATH']}`);

    const { code, stdout, stderr } = await nodeAgent('gpus');
    vi.unstubAllEnvs();

    expect([code, stdout]).toEqual([0, expect.stringMatching(/^GPU-1 .* healthy/m)]);
    expect(stderr).toContain('No daemon runs here');
  });

  it.each(['status', 'tasks', 'drain'])('%s says that none answers, and how to start one', async (command) => {
    const { code, stdout, stderr } = await nodeAgent(command);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('No node-agent daemon answers on this host.');
    expect(stderr).toContain('hint: Start it');
  });

  it('still prints the log of a task: that is when it is needed', async () => {
    const options = { folder: join(config.state_dir, 'task-logs'), level: 'info', maxBytes: 2 ** 20, maxTasks: 9 };
    const { log } = openTaskLog('task-1', { task_type: 'workload.oci_launch' }, options);
    log.info({ phase: 'pulling', text: 'The workload is pulling.' }, 'event');
    log.info({ status: 'succeeded' }, 'task ends');

    const { code, stdout } = await nodeAgent('logs', 'task-1', '--task');

    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}info {2}pulling {2}event {2}The workload is pulling\.$/m);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
  });
});

describe('the status in words', () => {
  it('says why there is no connection, and what does not work', () => {
    const text = describeStatus(
      {
        ...agentStatus,
        ...{ draining: true, drained_by: ['host', 'control_plane'] },
        session: { ...agentStatus.session, state: 'waiting', since: '2026-11-25T10:10:00Z', reason: 'ECONNREFUSED' },
        engine: { state: 'away', since: '2026-11-25T10:10:30Z', reason: 'it does not answer\n  yet' },
        journal: { journal_id: 'j', outbox: 0, failure: 'The disk is full.' },
        workloads: [],
      },
      Date.parse('2026-11-25T12:10:30Z'),
    );

    expect(text).toContain('not connected to https://control.example.com for 2 h: ECONNREFUSED');
    expect(text).toContain('away for 2 h: it does not answer\\n  yet');
    expect(text).toContain('The disk is full.');
    expect(text).toContain('none, it drains: `node-agent drain --off` and `gpuaas nodes drain NODE --off`, on the');
    expect(text).toContain('take work again');
    expect(text).toContain('No workloads.');
  });
});
