/** What the steps of a job have printed, as one answer of bounded size: the end of each log that was kept. */
import { jobHasEnded } from '../../contract/job-state.ts';
import type { StepLog } from '../../manifests/nosana/flow-state.ts';
import type { Job } from '../db/entities/job.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { Store } from '../db/store.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { presentAttempt } from './jobs-at-work.ts';
import { KeptLines } from './kept-lines.ts';
import { keptLog } from './kept-log.ts';

interface Parts {
  readonly store: Store;
  readonly outputs: OutputFiles;
}

/** Most bytes of one log as it was kept, and of all of them. */
const each = 256 * 1024;
const together = 4 * 2 ** 20;
const share = 64 * 1024;
const nothing: StepLog = { entries: [], missing: null };

/** While a job is at work on its host, nothing is here of what it prints. */
export async function stepLogs({ store, outputs }: Parts, job: Job): Promise<(step: string) => StepLog> {
  if (presentAttempt(job) && !jobHasEnded(job.state)) return () => nothing;
  const { logs, lacking } = await store.read((tx) => keptLog(tx, outputs, job, undefined));
  const found = new Map<string, StepLog>();
  for (const { step, reason } of lacking) found.set(step, { entries: [], missing: `The log is not here. ${reason}` });
  const most = Math.min(each, Math.floor(together / logs.length));
  for (const { step, output } of logs) found.set(step, await endOf(outputs, output, most));
  return (step) => found.get(step) ?? nothing;
}

async function endOf(outputs: OutputFiles, output: StoredOutput, most: number): Promise<StepLog> {
  const from = Math.max(0, output.bytes - most);
  const lines = new KeptLines(() => outputs.open(output), share, from);
  const entries: StepLog['entries'][number][] = [];
  for (let head = await lines.next(); head; head = await lines.next()) {
    const line = await lines.lineOf(head);
    if (line) entries.push(line.entry);
  }
  if (lines.isLost) return { entries, missing: 'Not all of the log is there any more.' };
  return {
    entries,
    missing: from === 0 ? null : `Only the end of the log is here; all of it has ${output.bytes} bytes.`,
  };
}
