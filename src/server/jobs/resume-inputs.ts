/** What the next attempt of a job goes on with: of each checkpoint, the newest that is here. Pure. */
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { PlanPart } from '../../contract/plan-parts.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import { newestOf } from '../job-outputs/keep-outputs.ts';

export interface Resumption {
  readonly inputs: readonly JobInput[];
  readonly from: readonly { readonly name: string; readonly sha256: string }[];
  /** In words, behind where it was given to; empty where nobody asked for it. */
  readonly told: string;
}

export const nothingToResume: Resumption = { inputs: [], from: [], told: '' };

const folder = 'application/x-tar';

/**
 * `rows`: all that is known of outputs of the job. One that is only announced does not count. `parts`: of plans, that the agent carries
 * out; one that does not know folders would refuse the whole plan.
 */
export function resumptionOf(
  { outputs }: Pick<JobPlan, 'outputs'>,
  rows: readonly StoredOutput[],
  parts: readonly string[],
): Resumption {
  const checkpoints = outputs.filter(({ type }) => type === 'checkpoint');
  const found = checkpoints.flatMap(({ name, volume, path }) => {
    const row = newestOf(rows.filter((each) => each.name === name && each.kind === 'checkpoint'));
    return row ? [{ volume, path, row }] : [];
  });
  const isTaken = ({ row }: (typeof found)[number]) =>
    row.media_type !== folder || parts.includes('folder_inputs' satisfies PlanPart);
  const taken = found.filter(isTaken);
  const from = taken.map(({ row: { name, sha256 } }) => ({ name, sha256 }));
  const inputs = taken.map(({ volume, path, row }, index): JobInput => {
    const { job_id, name, sha256, bytes } = row;
    const media_type = row.media_type === folder ? row.media_type : 'application/octet-stream';
    return {
      ...{ id: `resume-${index + 1}`, volume, required: true, cache_seconds: 3600 },
      source: { kind: 'output', job_id, name, sha256, bytes, path, media_type },
    };
  });
  const names = from.map(({ name }) => name).join(', ');
  const left = found.filter((each) => !isTaken(each)).map(({ row }) => row.name);
  const why =
    left.length > 0 ? `the agent there takes no folder, as ${left.join(', ')} is one` : 'no checkpoint of it is here';
  const told = names ? ` It goes on from ${names}.` : ` It begins anew: ${why}.`;
  return { inputs, from, told };
}
