/** A failure that comes with an output: what the workload is like now, and what was cleaned up after it. */
import type { Failure } from '../contract/failures.ts';
import type { JobTaskOutput } from '../contract/job-output.ts';
import type { StackOutput, WorkloadOutput } from '../contract/workload-output.ts';

export class FailedTask extends Error {
  override readonly name = 'FailedTask';
  /** Makes the output, once the failure that `cause` stands for is known. */
  readonly output: (failure: Failure) => WorkloadOutput | StackOutput | JobTaskOutput;

  constructor(cause: unknown, output: (failure: Failure) => WorkloadOutput | StackOutput | JobTaskOutput) {
    super('the task failed; the cause says why', { cause });
    this.output = output;
  }
}
