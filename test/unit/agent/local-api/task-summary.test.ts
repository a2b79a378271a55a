import { describe, expect, it } from 'vitest';
import { TaskSummary } from '../../../../src/agent/local-api/agent-status.ts';
import { summaryOf } from '../../../../src/agent/local-api/task-summary.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { keptTask } from '../../../support/kept-task.ts';

describe('a task in the list', () => {
  it.each([
    ['waiting', keptTask({ phases: [] }), null],
    ['running', keptTask({ phases: [{ phase: 'pulling', at: '2026-11-25T10:00:01.000Z' }] }), 'pulling'],
    ['failed', keptTask({ phases: [], failure: new AgentError('image.not_found').toFailure() }), null],
  ] as const)('is %s', (state, task, phase) => {
    const summary = summaryOf(task);

    expect(summary).toMatchObject({ state, phase, failure_code: task.result?.failure?.code ?? null });
    expect(judge(TaskSummary, summary).ok).toBe(true);
  });
});
