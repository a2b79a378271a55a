import { expect, it } from 'vitest';
import { AgentRotateKeysOutput, AgentRotateKeysParams } from '../../../src/contract/agent-rotate-keys.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { judge } from '../../../src/contract/validate.ts';
import { rotateAgentKeys } from '../../../src/tasks/agent-rotate-keys.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { lifecycleOf, taskContext } from '../../support/task-bench.ts';

/** An agent that does nothing else. */
function agent(rotateKeys: () => Promise<string>) {
  const { engine, calls } = recordingEngine();
  return { ...taskContext(engine, { lifecycle: lifecycleOf({ rotateKeys }) }), calls };
}

const at = '2026-11-26T11:00:00.000Z';

it('has the agent replace its keys, and says since when', async () => {
  const output = await rotateAgentKeys({}, agent(async () => at).context);

  expect(output).toEqual({ replaced_at: at });
  expect(judge(AgentRotateKeysOutput, output).ok).toBe(true);
});

it('leaves workloads and engine alone', async () => {
  const { context, calls } = agent(async () => at);

  await rotateAgentKeys({}, context);

  expect(calls).toEqual([]);
});

it('replaces them again when it is run again, as after a kill in the middle of it', async () => {
  let times = 0;
  const { context } = agent(async () => `${++times}`);

  expect([await rotateAgentKeys({}, context), await rotateAgentKeys({}, context)]).toEqual([
    { replaced_at: '1' },
    { replaced_at: '2' },
  ]);
});

it('fails as the rotation does, and then can be asked for again', async () => {
  const { context } = agent(() => Promise.reject(new AgentError('control_plane.unavailable')));

  const failure = await rotateAgentKeys({}, context).catch((error: AgentError) => error.toFailure());

  expect(failure).toMatchObject({ code: 'control_plane.unavailable', retryable: true });
});

it('is no work for a process without a session', async () => {
  const { context } = taskContext(recordingEngine().engine);

  await expect(rotateAgentKeys({}, context)).rejects.toMatchObject({ code: 'task.unsupported' });
});

it('is told nothing by who asks, least of all a key', () => {
  expect(judge(AgentRotateKeysParams, {}).ok).toBe(true);
  expect(judge(AgentRotateKeysParams, { identity_key: {} }).ok).toBe(false);
});
