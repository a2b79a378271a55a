import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { AppInstance } from '../../../../src/server/db/entities/app-instance.ts';
import { hasNothingLeft } from '../../../../src/server/instances/nothing-left.ts';

const failedAfter = (before: string, failure: AgentError) =>
  hasNothingLeft({
    ...{ state: 'failed', desired: 'running', failure: failure.toFailure() },
    history: [{ state: before }, { state: 'failed' }],
  } as unknown as AppInstance);

it.each([
  ['a launch that failed', 'deploying', new AgentError('image.not_found'), true],
  ['a container that its host has lost', 'running', new AgentError('container.not_found', { container: 'c' }), true],
  ['a workload that ended', 'running', new AgentError('container.exited', { container: 'c' }), false],
  ['a stack that lost one service', 'running', new AgentError('container.not_found', { service: 'web' }), false],
])('of %s there is nothing left: after %s, by %o, %s', (_what, before, failure, nothing) => {
  expect(failedAfter(before, failure)).toBe(nothing);
});
