import { describe, expect, it } from 'vitest';
import { AgentDrainOutput } from '../../../src/contract/agent-drain.ts';
import { judge } from '../../../src/contract/validate.ts';
import { drainAgent } from '../../../src/tasks/agent-drain.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { lifecycleOf, taskContext } from '../../support/task-bench.ts';

/** An agent with three workloads, at work on this task and one more. */
function agent(drainingSince: string | null = null) {
  const calls: string[] = [];
  let since = drainingSince;
  const lifecycle = lifecycleOf({
    beginDrain: (reason) => {
      calls.push(`begin ${reason}`);
      since ??= '2026-11-25T12:00:00.000Z';
    },
    endDrain: () => {
      calls.push('end');
      since = null;
    },
    look: () => ({ drainingSince: since, workloads: 3, tasks: 2 }),
  });
  const { engine, calls: engineCalls } = recordingEngine();
  return { ...taskContext(engine, { lifecycle }), calls, engineCalls };
}

const drain = { drain: true, reason: 'a new driver' };

describe('a drain', () => {
  it('begins with its reason, and tells what is on the host without itself', async () => {
    const { context, calls } = agent();

    const output = await drainAgent(drain, context);

    expect(calls).toEqual(['begin a new driver']);
    expect(output).toEqual({ draining: true, since: '2026-11-25T12:00:00.000Z', workloads: 3, tasks: 1 });
    expect(judge(AgentDrainOutput, output).ok).toBe(true);
  });

  it('that was begun before keeps its time', async () => {
    const { context } = agent('2026-11-20T00:00:00.000Z');

    expect(await drainAgent(drain, context)).toMatchObject({ draining: true, since: '2026-11-20T00:00:00.000Z' });
  });

  it('ends', async () => {
    const { context, calls } = agent('2026-11-20T00:00:00.000Z');

    const output = await drainAgent({ drain: false, reason: '' }, context);

    expect(calls).toEqual(['end']);
    expect(output).toMatchObject({ draining: false, since: null });
  });

  it('ends also where there is none', async () => {
    const { context } = agent();

    expect(await drainAgent({ drain: false, reason: '' }, context)).toMatchObject({ draining: false, since: null });
  });

  it('touches nothing on the engine', async () => {
    const { context, engineCalls, phases } = agent();

    await drainAgent(drain, context);

    expect([engineCalls, phases]).toEqual([[], []]);
  });

  it('is refused where no agent lives', async () => {
    const { context } = taskContext(recordingEngine().engine);

    await expect(drainAgent(drain, context)).rejects.toMatchObject({ code: 'task.unsupported' });
  });
});
