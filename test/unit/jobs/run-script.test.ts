import { expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { pendingCommands } from '../../../src/jobs/command-reports.ts';
import type { JobGround } from '../../../src/jobs/job-ground.ts';
import { memoryRecords } from '../../../src/jobs/memory-records.ts';
import { runScript } from '../../../src/jobs/run-script.ts';
import { RunningJob } from '../../../src/jobs/running-job.ts';
import { RunningJobs } from '../../../src/jobs/running-jobs.ts';
import type { ContainerEngine, ExecOptions } from '../../../src/runtime/engine.ts';
import { keptJob, plan, step, stepRecord } from '../../support/job-plans.ts';

const script = ['a', 'b'].map((name) => ({ run: { entry_point: `/bin/${name}` } }));

/** A job whose first command was begun by an earlier life of the agent, under that name; or one that is new. */
async function taken(exec: ContainerEngine['exec'], { isNew = false } = {}) {
  const { command: _command, ...bare } = step('one');
  const [first, second] = pendingCommands(script);
  if (!first || !second) throw new Error('no commands');
  const base = keptJob('running', 'running', { plan: plan({ steps: [{ ...bare, script }] }) });
  const commands = [{ ...first, state: 'running' as const }, second];
  const earlier = { commands, at_work: { index: 0, exec: 'exec-1', began_at: Date.now() } };
  const one = stepRecord('one', 'running', isNew ? { commands: pendingCommands(script) } : earlier);
  const kept = { ...base, record: { ...base.record, steps: { one } } };
  const records = memoryRecords();
  records.begin(kept);
  const jobs = { records, running: new RunningJobs(), scripts: undefined };
  const job = new RunningJob(kept, { engine: { exec }, jobs, emit: () => undefined } as unknown as JobGround);
  const [part] = job.parts;
  if (!part) throw new Error('no step');
  await runScript(job, part, new AbortController().signal);
  return job.step('one');
}

it.each<[what: string, exec: () => Promise<{ exitCode: number; tail: string; adopted: boolean }>]>([
  ['which the engine has forgotten', () => Promise.reject(new AgentError('engine.failed', { container: 'c' }))],
  [
    'of which the engine says what it says of any that it has lost',
    async () => ({ exitCode: 126, tail: '', adopted: true }),
  ],
])('a command of an earlier life %s is lost, and nothing of the batch is run again', async (_what, exec) => {
  const asked: ExecOptions[] = [];
  const { commands, command_failure, ending, at_work } = await taken(async (_name, _argv, options) => {
    asked.push(options);
    return await exec();
  });

  expect(asked.map(({ join }) => join)).toEqual(['exec-1']);
  expect(command_failure).toMatchObject({ code: 'step.lost', detail: { index: 0, command: 'run /bin/a' } });
  expect(commands).toMatchObject([{ state: 'failed', exit_code: null }, { state: 'pending' }]);
  expect([ending, at_work]).toEqual(['served', null]);
});

it('what a command has said is told also where its container ends under it', async () => {
  const { commands } = await taken(
    async (_name, _argv, { onOutput }) => {
      onOutput?.('stdout', 'begun\n');
      throw new AgentError('container.exited', { container: 'c' });
    },
    { isNew: true },
  );

  expect(commands).toMatchObject([{ stdout: { text: 'begun\n', truncated: false } }, { state: 'pending' }]);
});
