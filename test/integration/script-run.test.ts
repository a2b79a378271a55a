/** Scripts on the real engine, under runc and gVisor: commands one after another in one container that waits (M-18, M-26). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { ExeCommand } from '../../src/contract/exe-script.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import { batchBytes } from '../../src/jobs/command-output.ts';
import { plan as planOf, step } from '../support/job-plans.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let dir: string;
let engine: PrivateEngine;
let host: TestHost;
let image: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'script-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] });
  const sandboxes = { runc: 'runc', gvisor: GVISOR_RUNTIME };
  host = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes } });
  ({ reference: image } = await ensureImage({ socketPath: engine.socketPath, host: host.registryHost }, 'tiny'));
});
afterAll(async () => {
  await host?.close();
  await engine?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const run = (...argv: string[]): ExeCommand => ({ run: { entry_point: argv[0] ?? '', args: argv.slice(1) } });
const sh = (line: string) => run('/bin/sh', '-c', line);

describe.each(['runc', 'gvisor'] as const)('a script under %s', (sandbox) => {
  it('runs its commands in one container, whose state they share, and reports each with all that it has said', async () => {
    const { report, log } = await followed(`script-${sandbox}`, sandbox, [
      { deploy: {} },
      { start: {} },
      sh('echo kept > /golem/work/state; echo tmp > /tmp/state; nohup sleep 1000 >/dev/null 2>&1 &'),
      sh('cat /golem/work/state /tmp/state; echo err >&2; ls -d /.gpuaas-wait-0'),
      {
        run: {
          entry_point: '/bin/sh',
          args: ['-c', 'echo "$MYVAR" "$1" | tr a-z A-Z', 'sh', 'a  b $HOME'],
          env: { MYVAR: '42' },
        },
      },
      sh('test -z "$MYVAR" && echo none'),
      { terminate: {} },
    ]);

    expect(report.failure).toBeNull();
    expect(report.steps[0]).toMatchObject({ state: 'succeeded', exit_code: 0 });
    expect(report.steps[0]?.commands?.map(({ state, exit_code }) => [state, exit_code])).toEqual([
      ...[
        ['succeeded', null],
        ['succeeded', null],
        ['succeeded', 0],
        ['succeeded', 0],
      ],
      ...[
        ['succeeded', 0],
        ['succeeded', 0],
        ['succeeded', null],
      ],
    ]);
    const said = report.steps[0]?.commands?.map(({ stdout, stderr }) => [stdout?.text, stderr?.text]);
    expect(said?.slice(3, 6)).toEqual([
      ['kept\ntmp\n/.gpuaas-wait-0\n', 'err\n'],
      ['42 A  B $HOME\n', ''],
      ['none\n', ''],
    ]);
    expect(
      log.filter(([, line]) => line?.startsWith('--- ')).map(([channel, line]) => [channel, line?.slice(0, 22)]),
    ).toEqual([
      ...['deploy', 'start', 'run /bin', 'run /bin', 'run /bin', 'run /bin', 'terminat'].map((word, index) => [
        'stderr',
        `--- command ${index}: ${word}`.slice(0, 22),
      ]),
    ]);
    expect(log).toContainEqual(['stdout', '42 A  B $HOME']);
    expect(await leftOf(host, `script-${sandbox}`)).toEqual([]);
  });

  it('ends with the first command that fails: it is named with its exit code and words, and what follows is skipped', async () => {
    const { report } = await carryOut(`script-fail-${sandbox}`, sandbox, [
      sh('echo one'),
      sh('echo said; echo why >&2; exit 7'),
      sh('echo never'),
      { terminate: {} },
    ]);

    expect(report).toMatchObject({
      state: 'failed',
      failure: { code: 'command.failed', detail: { index: 1, exit_code: 7, excerpt: 'said\n\nwhy\n' } },
      steps: [{ state: 'failed', exit_code: 7 }],
    });
    expect(report.failure?.message).toContain('It is command 1, run /bin/sh -c "echo said; echo why');
    expect(report.steps[0]?.commands?.map(({ state, exit_code }) => [state, exit_code])).toEqual([
      ...[
        ['succeeded', 0],
        ['failed', 7],
        ['skipped', null],
        ['skipped', null],
      ],
    ]);
  });

  it('that is cancelled asks the command that runs to end, gives it its grace, and begins no other', async () => {
    const id = `script-cancel-${sandbox}`;
    const begun = Promise.withResolvers<void>();
    const script = [
      sh(
        'trap "echo bye; sleep 1; echo done > /golem/output/end; exit 9" TERM; touch /golem/work/up; while :; do sleep 0.1; done',
      ),
      sh('echo never'),
    ];
    const job = followed(id, sandbox, script, {}, (type) => type === 'command.started' && begun.resolve());
    await begun.promise;
    const { project_id, job_id, allocation_id } = plan(id, sandbox, script).identity;
    await until(
      async () => (await host.engine.exec(`gpuaas-${id}.one`, ['test', '-e', '/golem/work/up'], soon())).exitCode === 0,
    );

    await host.run('workload.job_control', { identity: { project_id, job_id, allocation_id }, action: 'cancel' });
    const { report, log } = await job;

    expect(report).toMatchObject({ state: 'cancelled', steps: [{ state: 'cancelled' }] });
    expect(report.steps[0]?.commands).toMatchObject([
      { state: 'failed', message: 'It was stopped, as the job was to end.', exit_code: 9, stdout: { text: 'bye\n' } },
      { state: 'skipped' },
    ]);
    expect(log).toContainEqual(['stdout', 'bye']);
  });

  it('whose time is over is stopped', async () => {
    const { report } = await carryOut(`script-late-${sandbox}`, sandbox, [run('/bin/sleep', '600')], {
      timeout_seconds: 2,
    });

    expect(report).toMatchObject({ state: 'failed', failure: { code: 'step.timed_out' } });
    expect(report.steps[0]?.commands).toMatchObject([{ state: 'failed' }]);
  });

  it('whose container ends under a command says so', async () => {
    const id = `script-gone-${sandbox}`;
    const begun = Promise.withResolvers<void>();
    const job = carryOut(
      id,
      sandbox,
      [run('/bin/sleep', '600'), sh('true')],
      {},
      (type) => type === 'command.started' && begun.resolve(),
    );
    await begun.promise;

    await host.signal(`gpuaas-${id}.one`, 'KILL');
    const { report } = await job;

    expect(report).toMatchObject({ state: 'failed', failure: { code: 'container.exited' } });
    expect(report.failure?.message).toContain('in which command 0 was at work: it was ended by SIGKILL');
    expect(report.steps[0]?.commands).toMatchObject([{ state: 'failed' }, { state: 'skipped' }]);
  });

  it('of 128 commands that say much reports the end of each, and has all of it in its log', async () => {
    const script = Array.from({ length: 128 }, (_, index) => sh(`seq 1 2000; echo last ${index}`));
    const { report, log } = await followed(`script-many-${sandbox}`, sandbox, script);

    expect(report.state).toBe('succeeded');
    const texts = report.steps[0]?.commands?.map(({ stdout }) => stdout?.text ?? '') ?? [];
    expect(texts.map((text) => text.split('\n').at(-2))).toEqual(script.map((_, index) => `last ${index}`));
    expect(Buffer.byteLength(JSON.stringify(texts))).toBeLessThan(batchBytes + 1024);
    expect(log.filter(([channel]) => channel === 'stdout')).toHaveLength(128 * 2001);
  });
});

it('a program that waits takes no processor time, ends at once, and needs nothing of an image', async () => {
  const id = 'script-idle';
  const begun = Promise.withResolvers<void>();
  const job = carryOut(
    id,
    'runc',
    [run('/bin/sleep', '4')],
    {},
    (type) => type === 'command.started' && begun.resolve(),
  );
  await begun.promise;

  const { tail } = await host.engine.exec(
    `gpuaas-${id}.one`,
    [
      '/bin/sh',
      '-c',
      'for p in /proc/[0-9]*; do read -r c < $p/cmdline; case $c in */wait*) cat $p/stat;; esac; done; sleep 2; cat /proc/*/stat',
    ],
    soon(),
  );
  const waiting = tail.split('\n').filter((line) => /^\d+ \(wait\) S /.test(line));
  const [utime, stime] = (waiting.at(-1) ?? '').split(' ').slice(13, 15);
  expect([utime, stime]).toEqual(['0', '0']);
  expect((await job).report.state).toBe('succeeded');
});

it('output without an end takes no more memory than a little', async () => {
  const before = process.memoryUsage().rss;
  const { report } = await carryOut('script-loud', 'runc', [
    sh('dd if=/dev/zero bs=1M count=300 | tr "\\\\0" x'),
    sh('echo end'),
  ]);

  expect(report.state).toBe('succeeded');
  expect(report.steps[0]?.commands).toMatchObject([
    { stdout: { truncated: true, text: 'x'.repeat(16_384) }, exit_code: 0 },
    { stdout: { truncated: false, text: 'end\n' } },
  ]);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
});

it('a command that the kernel ends for its memory is told as such', async () => {
  const { report } = await carryOut('script-oom', 'runc', [run('/bin/tail', '/dev/zero'), sh('true')]);

  expect(report).toMatchObject({
    state: 'failed',
    failure: { code: 'container.oom_killed', detail: { index: 0, exit_code: 137 } },
    steps: [{ oom_killed: true }],
  });
});

it('a program that is not there fails with the words of the engine', async () => {
  const { report } = await carryOut('script-absent', 'runc', [run('/no/such/program')]);

  expect(report).toMatchObject({ state: 'failed', failure: { code: 'command.failed' } });
  expect(report.steps[0]?.commands?.[0]?.stderr?.text + (report.steps[0]?.commands?.[0]?.stdout?.text ?? '')).toContain(
    '/no/such/program',
  );
});

function soon() {
  return { signal: AbortSignal.timeout(60_000) };
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 100));
}

function plan(
  id: string,
  sandbox: JobPlan['sandbox'],
  script: readonly ExeCommand[],
  over: Partial<JobStep> = {},
): JobPlan {
  const { command: _command, ...bare } = step('one', {
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.25 },
    ...over,
  });
  const names = ['input', 'output', 'work', 'resource'];
  const mounts = names.map((volume) => ({ volume, path: `/golem/${volume}`, read_only: false }));
  const base = planOf({
    ...{ sandbox, network: 'none', volumes: names.map((name) => ({ name })) },
    steps: [{ ...bare, mounts, script: [...script] }],
  });
  return {
    ...base,
    identity: { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id },
    images: base.images.map((each) => ({
      ...each,
      source: { ...each.source, reference: image } as typeof each.source,
    })),
  };
}

/** With what is written to its log. */
async function followed(...given: Parameters<typeof carryOut>) {
  const [id, sandbox, script, over, onEvent] = given;
  let log: Promise<string[][]> | undefined;
  const done = await carryOut(id, sandbox, script, over, (type) => {
    if (type === 'step.started') log ??= wordsOf(id);
    onEvent?.(type);
  });
  return { ...done, log: (await log) ?? [] };
}

async function carryOut(
  id: string,
  sandbox: JobPlan['sandbox'],
  script: readonly ExeCommand[],
  over: Partial<JobStep> = {},
  onEvent: (type: string) => unknown = () => undefined,
) {
  const result = await host.run('workload.job_launch', plan(id, sandbox, script, over), {
    onEvent: ({ type }) => void onEvent(type),
  });
  const { report } = (result.output as JobTaskOutput | null) ?? {};
  if (!report) throw new Error(JSON.stringify(result.failure));
  return { report };
}

/** Channel and line of all that is written while somebody follows it. */
async function wordsOf(id: string): Promise<string[][]> {
  const lines: string[][] = [];
  let line = '';
  const read = host.jobs.scripts?.inPlaceOf(`gpuaas-${id}.one`)?.read({ follow: true, ...soon() });
  for await (const { channel, data, partial } of read ?? []) {
    line += data.toString();
    if (partial) continue;
    lines.push([channel, line]);
    line = '';
  }
  return lines;
}
