import { expect, it } from 'vitest';
import {
  AgentCollectDiagnosticsOutput,
  AgentCollectDiagnosticsParams,
} from '../../../src/contract/agent-collect-diagnostics.ts';
import { judge } from '../../../src/contract/validate.ts';
import { collectDiagnostics } from '../../../src/tasks/agent-collect-diagnostics.ts';
import type { Lifecycle } from '../../../src/tasks/task-context.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { lifecycleOf, taskContext } from '../../support/task-bench.ts';

it('is what the agent says of its host, and touches nothing', async () => {
  const { engine, calls } = recordingEngine();
  const bundle = { collected_at: '2026-11-26T11:00:00.000Z', files: [{ name: 'a.json', text: '{}' }], left_out: [] };
  const asked: unknown[] = [];
  const diagnose: Lifecycle['diagnose'] = async (wish) => {
    asked.push(wish);
    return bundle;
  };
  const lifecycle = lifecycleOf({ diagnose });

  const output = await collectDiagnostics({ tasks: 3 }, taskContext(engine, { lifecycle }).context);

  expect(judge(AgentCollectDiagnosticsOutput, output).ok).toBe(true);
  expect([output, asked, calls]).toEqual([bundle, [{ tasks: 3 }], []]);
});

it('ends with the task, and not with a bundle that nobody waits for', async () => {
  const stop = new AbortController();
  const diagnose: Lifecycle['diagnose'] = async (_wish, signal) => {
    stop.abort(new Error('given up'));
    signal.throwIfAborted();
    throw new Error('went on');
  };
  const lifecycle = lifecycleOf({ diagnose });
  const { context } = taskContext(recordingEngine().engine, { lifecycle, signal: stop.signal });

  await expect(collectDiagnostics({}, context)).rejects.toThrow('given up');
});

it('is refused where no agent lives', async () => {
  const { context } = taskContext(recordingEngine().engine);

  await expect(collectDiagnostics({}, context)).rejects.toMatchObject({ code: 'task.unsupported' });
});

it.each([{ tasks: -1 }, { tasks: 51 }, { tasks: 1.5 }, { folder: '/' }])('takes no other wish: %j', (wish) => {
  expect(judge(AgentCollectDiagnosticsParams, wish).ok).toBe(false);
});

it.each(['../x.json', '/etc/x', 'a/b/c', 'a/../b', '.x', 'tasks/..', 'a\u0000'])('has no file called %j', (name) => {
  const output = { collected_at: '2026-11-26T11:00:00.000Z', files: [{ name, text: '' }], left_out: [] };

  expect(judge(AgentCollectDiagnosticsOutput, output).ok).toBe(false);
});
