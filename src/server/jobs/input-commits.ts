/** What a job was first handed of a repository, its later attempts are handed again, wherever its branch is by then. Pure. */
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobReport } from '../../contract/job-report.ts';
import { type Job, mostInputs } from '../db/entities/job.ts';

/** With what a host says that it has fetched; of an agent of before nothing is known. */
export function commitsOf({ input_commits: known = {} }: Job, { inputs = [] }: JobReport): Pick<Job, 'input_commits'> {
  const found = inputs.flatMap(({ id, commit }) => (commit === null || Object.hasOwn(known, id) ? [] : [[id, commit]]));
  return found.length === 0
    ? {}
    : { input_commits: Object.fromEntries([...Object.entries(known), ...found].slice(0, mostInputs)) };
}

export function ofSameCommit({ input_commits: known = {} }: Job, input: JobInput): JobInput {
  const { id, source } = input;
  const commit = Object.hasOwn(known, id) ? known[id] : undefined;
  if (source.kind !== 'huggingface' || commit === undefined) return input;
  return { ...input, source: { ...source, revision: commit } };
}
