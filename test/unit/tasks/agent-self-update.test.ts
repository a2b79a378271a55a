import { describe, expect, it } from 'vitest';
import { AgentSelfUpdateOutput, AgentSelfUpdateParams } from '../../../src/contract/agent-self-update.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { judge } from '../../../src/contract/validate.ts';
import { updateAgent } from '../../../src/tasks/agent-self-update.ts';
import type { Lifecycle } from '../../../src/tasks/task-context.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { lifecycleOf, taskContext } from '../../support/task-bench.ts';

function agent(update: Lifecycle['update']) {
  const { engine, calls: engineCalls } = recordingEngine();
  return { ...taskContext(engine, { lifecycle: lifecycleOf({ update }) }), engineCalls };
}

describe('an update of the agent', () => {
  it('is told step by step and ends with what the host runs', async () => {
    const { context, events, engineCalls } = agent(async ({ version }, { tell }) => {
      tell('downloading', 'It comes.', { bytes: 5, bytes_total: 10 });
      tell('on_trial', 'It has to prove itself.');
      return { version, from: '0.1.0', outcome: 'committed' };
    });

    const output = await updateAgent({ version: '0.2.0' }, context);

    expect(judge(AgentSelfUpdateOutput, output).ok).toBe(true);
    expect(output).toEqual({ version: '0.2.0', from: '0.1.0', outcome: 'committed' });
    expect(events.map(({ type, values }) => [type, values])).toEqual([
      ['update.downloading', { bytes: 5, bytes_total: 10 }],
      ['update.on_trial', {}],
    ]);
    expect(engineCalls).toEqual([]);
  });

  it('fails as the agent says it', async () => {
    const { context } = agent(() => Promise.reject(new AgentError('update.rolled_back')));

    await expect(updateAgent({ version: '0.2.0' }, context)).rejects.toMatchObject({ code: 'update.rolled_back' });
  });

  it('is refused where no agent lives', async () => {
    const { context } = taskContext(recordingEngine().engine);

    await expect(updateAgent({ version: '0.2.0' }, context)).rejects.toMatchObject({ code: 'task.unsupported' });
  });

  it.each([
    '0.2',
    'v0.2.0',
    '../..',
    '0.2.0/..',
    '0.2.0\n',
    '0.2.0-',
    '-0.2.0',
    `0.2.0-${'a'.repeat(33)}`,
    '0.2.0 x',
    '',
  ])('takes no version that is no plain name: %j', (version) => {
    expect(judge(AgentSelfUpdateParams, { version }).ok).toBe(false);
  });

  it.each(['0.2.0', '10.20.30', '1.0.0-rc.1', '999999.0.0-A-b.9'])('takes %s', (version) => {
    expect(judge(AgentSelfUpdateParams, { version, urgent: true }).ok).toBe(true);
  });
});
