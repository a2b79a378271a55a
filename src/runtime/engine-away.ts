/** When an engine's failure is not the workload's. */
import { AgentError, type FailureCode } from '../contract/failures.ts';

const codes: readonly FailureCode[] = ['engine.unavailable', 'engine.timed_out', 'engine.unsupported'];

/** True for a failure that says nothing about the workload: engine or gate is away or hangs, or another engine answers. */
export function isEngineAway(error: unknown): error is AgentError {
  return error instanceof AgentError && codes.includes(error.code);
}
