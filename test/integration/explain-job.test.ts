/** Jobs that end in different ways on the real engine, each explained from journal, task logs, engine and kernel. */
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explain } from '../../src/agent/explain/explain.ts';
import { Explanation } from '../../src/agent/explain/explanation.ts';
import { explainSources } from '../../src/agent/explain/sources.ts';
import type { Journal } from '../../src/agent/journal/journal.ts';
import { openJournal } from '../../src/agent/journal/open-journal.ts';
import { explanationText } from '../../src/cli/explain-text.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import { judge } from '../../src/contract/validate.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { endsForItsMemory, openTestHost, type TestHost } from '../support/test-host.ts';

const folder = temporaryFolder('explain-job');
let journal: Journal;
let host: TestHost;
let tiny: string;

beforeAll(async () => {
  journal = openJournal({ stateDir: folder, reserveBytes: 65_536 });
  host = await openTestHost({ journal });
  tiny = await host.image('tiny');
});
afterAll(async () => {
  await host.close();
  journal.close();
});

const suffix = randomBytes(5).toString('hex');
const named = (what: string) => `explain-${what}-${suffix}`;
const small = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
const shell = (id: string, line: string, over: Partial<JobStep> = {}) =>
  step(id, { command: words('/bin/sh', '-c', line), resources: small, ...over });

describe.concurrent('explain, of a job', () => {
  it('with a step that failed: names it, its exit code and what it wrote, and what was not begun', async () => {
    const results = [{ name: 'loss', regex: 'loss=(.+)', channels: ['stdout' as const] }];
    await run(named('exit'), {
      steps: [shell('train', 'echo no data >&2; exit 3', { results }), shell('use', 'true')],
    });

    const { explanation, text } = await explained(named('exit'));

    expect(explanation).toMatchObject({
      ...{ subject: { kind: 'job', name: 'A job' }, state: 'failed', failure: { code: 'step.failed' } },
      summary: 'The job has failed, as the step train ended with exit code 3: it ended with an error of its own.',
    });
    expect(explanation.next).toBe(
      'Find the error in what train wrote (its last lines are above), correct the job and submit it again.',
    );
    expect(text).toMatch(/agent +The step train began\. {2}\(/);
    expect(text).toMatch(/its result loss was not in what it wrote\n +the last it said:\n +no data\n/);
    expect(text).toContain('the step use was not begun: it is skipped');
    expect(text).toContain('What the job had made was taken away.');
    expect(text).toMatch(/engine +! The container of the step train ended with exit code 3/);
    const times = explanation.timeline.map(({ time }) => Date.parse(time));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('with a step that used too much memory: says how much it had, and what the kernel did', async () => {
    await run(named('oom'), { steps: [shell('eat', endsForItsMemory)] });

    const { explanation, text } = await explained(named('oom'));

    expect(explanation).toMatchObject({
      ...{ state: 'failed', failure: { code: 'container.oom_killed' } },
      summary:
        'The job has failed, as the step eat was killed by the kernel: it used more than its 0.0625 GiB of memory.',
    });
    expect(explanation.next).toContain('eat had 0.06 GiB, 0.13 to begin with');
    if (!text.includes('The kernel log may not be read')) {
      expect(text).toMatch(/kernel +! The kernel killed \w+ \(process \d+\): the container was at its memory limit\./);
    }
  });

  it('with a step whose time was over: says which, and how long it had', async () => {
    await run(named('late'), { steps: [shell('slow', 'exec sleep 600', { timeout_seconds: 1 })] });

    const { explanation } = await explained(named('late'));

    expect(explanation).toMatchObject({
      ...{ state: 'failed', failure: { code: 'step.timed_out' } },
      summary: 'The job has failed, as the step slow ran past its 1 s and was ended.',
    });
    expect(explanation.next).toContain('allow slow more than 1 s');
  });

  it('at work says what runs since when; cancelled says by whom and meanwhile what; removed says that it is gone', async () => {
    const begun = Promise.withResolvers<void>();
    const steps = [shell('first', 'trap "exit 0" TERM; sleep 600 & wait'), shell('second', 'true')];
    const job = run(named('cancel'), { steps }, (type) => type === 'step.started' && begun.resolve());
    await Promise.race([begun.promise, job]);
    const atWork = await explained(named('cancel'));
    const { project_id, job_id, allocation_id } = plan(named('cancel'), {}).identity;
    const identity = { project_id, job_id, allocation_id };
    const control = await host.run('workload.job_control', { identity, action: 'cancel' });
    await job;
    const cancelled = await explained(named('cancel'));
    await host.run('workload.job_remove', { identity });
    const removed = await explained(named('cancel'));

    expect(control.status).toBe('succeeded');
    expect(atWork.explanation).toMatchObject({ state: 'running', failure: null });
    expect(atWork.explanation.summary).toMatch(/^The step first runs since .* UTC; 1 part comes later\.$/);
    expect(atWork.explanation.next).toContain(`\`node-agent logs ${named('cancel')} --service first -f\``);
    expect(cancelled.explanation).toMatchObject({
      ...{ state: 'cancelled', failure: { code: 'job.cancelled' } },
      summary: 'The job was cancelled by a command on this host while the step first ran.',
    });
    expect(cancelled.explanation.next).toMatch(/^Nothing: somebody asked for it\./);
    expect(removed.explanation).toMatchObject({ subject: { kind: 'job' }, state: 'removed', failure: null });
    expect(removed.explanation.summary).toMatch(/^This host does not have the job any more: it was removed at /);
  });
});

function plan(id: string, over: Partial<JobPlan>): JobPlan {
  const base = planOf(over);
  const images = base.images.map((image) => ({ ...image, source: { ...image.source, reference: tiny } }));
  const identity = { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id };
  return { ...base, identity, images, resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 } };
}

async function run(id: string, over: Partial<JobPlan>, onEvent: (type: string) => unknown = () => undefined) {
  return await host.run('workload.job_launch', plan(id, over), {
    ...{ taskId: randomUUID(), onEvent: ({ type }) => void onEvent(type) },
  });
}

async function explained(id: string) {
  const places = { taskLogs: join(host.folder, 'state/task-logs'), outputs: join(host.folder, 'state/jobs') };
  const sources = explainSources({ engine: host.engine, journal, ...places });
  const explanation = await explain(id, sources, AbortSignal.timeout(100_000));
  expect(judge(Explanation, explanation).ok).toBe(true);
  return { explanation, text: explanationText(explanation) };
}
