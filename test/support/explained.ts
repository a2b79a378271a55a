/** Explanations from a journal that holds what a test says. */
import { expect } from 'vitest';
import { explain } from '../../src/agent/explain/explain.ts';
import { Explanation } from '../../src/agent/explain/explanation.ts';
import type { ExplainSources } from '../../src/agent/explain/sources.ts';
import type { KeptEvent, KeptTask, KeptWorkload } from '../../src/agent/journal/journal.ts';
import { explanationText } from '../../src/cli/explain-text.ts';
import { judge } from '../../src/contract/validate.ts';
import type { KeptJob } from '../../src/jobs/job-record.ts';
import { memoryRecords } from '../../src/jobs/memory-records.ts';

export interface Facts {
  readonly tasks?: readonly KeptTask[];
  readonly workload?: KeptWorkload;
  readonly job?: KeptJob;
  /** Oldest first. */
  readonly events?: readonly KeptEvent[];
  readonly sources?: Partial<ExplainSources>;
}

/** What `node-agent explain` says where these are all the facts. */
export async function explained(id: string, { tasks = [], workload: kept, job, events = [], sources = {} }: Facts) {
  const newest = tasks.toReversed();
  const jobs = memoryRecords();
  if (job) jobs.begin(job);
  const explanation = await explain(
    id,
    {
      journal: {
        jobs,
        task: (taskId) => tasks.find(({ envelope }) => envelope.task_id === taskId),
        tasks: ({ workload_id, limit }) =>
          newest.filter(({ envelope }) => envelope.workload_id === workload_id).slice(0, limit),
        workload: (each) => (each === kept?.workload_id ? kept : undefined),
        events: ({ workload_id, limit }) =>
          events
            .filter(({ body }) => workload_id === undefined || body.workload_id === workload_id)
            .toReversed()
            .slice(0, limit),
      },
      taskLog: async () => [],
      tasksWithLog: async () => [],
      jobOutputs: async () => new Map(),
      containers: async () => [],
      engineEvents: async () => [],
      kernelLog: () => [],
      ...sources,
    },
    new AbortController().signal,
  );
  expect(judge(Explanation, explanation).ok).toBe(true);
  return { explanation, text: explanationText(explanation) };
}
