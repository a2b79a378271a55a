/** What the next attempt of a job goes on with: of each checkpoint, the newest that is here. Pure. */
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import { newestOf } from '../job-outputs/keep-outputs.ts';

export interface Resumption {
  readonly inputs: readonly JobInput[];
  readonly from: readonly { readonly name: string; readonly sha256: string }[];
  /** In words, behind where it was given to; empty where nobody asked for it. */
  readonly told: string;
}

export const nothingToResume: Resumption = { inputs: [], from: [], told: '' };

/** `rows`: all that is known of outputs of the job. One that is only announced does not count. */
export function resumptionOf({ outputs }: Pick<JobPlan, 'outputs'>, rows: readonly StoredOutput[]): Resumption {
  const checkpoints = outputs.filter(({ type }) => type === 'checkpoint');
  const found = checkpoints.flatMap(({ name, volume, path }) => {
    const row = newestOf(rows.filter((each) => each.name === name && each.kind === 'checkpoint'));
    return row ? [{ volume, path, row }] : [];
  });
  const from = found.map(({ row: { name, sha256 } }) => ({ name, sha256 }));
  const inputs = found.map(({ volume, path, row }, index): JobInput => {
    const { job_id, name, sha256, bytes } = row;
    const media_type = row.media_type === 'application/x-tar' ? row.media_type : 'application/octet-stream';
    return {
      ...{ id: `resume-${index + 1}`, volume, required: true, cache_seconds: 3600 },
      source: { kind: 'output', job_id, name, sha256, bytes, path, media_type },
    };
  });
  const names = from.map(({ name }) => name).join(', ');
  const told = names ? ` It goes on from ${names}.` : ' It begins anew: no checkpoint of it is here.';
  return { inputs, from, told };
}
