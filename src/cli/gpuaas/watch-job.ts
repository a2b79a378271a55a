/** Waits until a job is over, and says every step on the way, or what its steps write. */
import { AgentError } from '../../contract/failures.ts';
import { jobHasEnded, jobStates } from '../../contract/job-state.ts';
import { pause } from '../../kit/backoff.ts';
import type { Event as Told } from '../../server/db/entities/event.ts';
import type { JobView } from '../../server/jobs/job-view.ts';
import { untilInterrupted } from '../interruption.ts';
import { tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { jobPath } from './job-path.ts';
import { printLogs } from './logs.ts';
import { present } from './present.ts';

interface WatchOptions {
  readonly json: boolean;
  /** Prints the log instead of what happens, and says beside it how the job stands. */
  readonly follow: boolean;
}

/** The job as it is then. Ends early, with a failure that says so, on Ctrl-C; the job goes on. */
export async function untilJobEnded(
  client: ControlPlaneClient,
  job: JobView,
  { json, follow }: WatchOptions,
): Promise<JobView> {
  const { signal, stopListening } = untilInterrupted();
  const tellWarnings = warningsOnce(json);
  try {
    const isOver = new AbortController();
    const [over, log] = await Promise.allSettled([
      watch(client, job, { json, isQuiet: follow, signal }).finally(() => isOver.abort()),
      follow ? printLogs(client, `${jobPath(job.id)}/logs`, { follow: true }, json) : undefined,
      follow
        ? tellStanding(client, job, { json, tellWarnings, signal: AbortSignal.any([signal, isOver.signal]) })
        : undefined,
    ]);
    if (over.status === 'rejected') throw over.reason;
    if (follow) tellWarnings(over.value);
    // How the job ended is what was asked for; its log can be read again. One of which no step was begun has none.
    if (log.status === 'rejected' && over.value.steps.some(({ started_at }) => started_at !== null)) {
      const message = `its log broke off: ${oneLine(String(log.reason?.message))}`;
      if (json) tellJson({ type: 'stream', message });
      else tell(`… ${message}`);
    }
    return over.value;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new AgentError('command.interrupted', { job: job.id }, { cause: error });
  } finally {
    stopListening();
  }
}

/** What its host could not fetch or keep: each told once, as it is then. Events say it to who reads those. */
function warningsOnce(json: boolean): (job: JobView) => void {
  const said = new Set<string>();
  return ({ id, run_warnings: warnings = [] }) => {
    for (const warning of warnings) {
      if (said.has(warning.message)) continue;
      said.add(warning.message);
      if (json) tellJson({ type: 'warning', id, ...warning });
      else tell(oneLine(`warning: ${warning.message}`));
    }
  };
}

const standingMs = 3000;

interface StandingOptions {
  readonly json: boolean;
  readonly tellWarnings: (job: JobView) => void;
  readonly signal: AbortSignal;
}

/** At once, and whenever it is another. Why a job waits is no event: it is asked for. */
async function tellStanding(
  client: ControlPlaneClient,
  job: JobView,
  { json, tellWarnings, signal }: StandingOptions,
): Promise<void> {
  let said = '';
  for (let now = job; !jobHasEnded(now.state); now = await presentJob(client, job, signal)) {
    const sentence = standingOf(now);
    if (sentence !== said && json) tellJson({ type: 'job', id: now.id, state: now.state, reason: now.reason });
    else if (sentence !== said) tell(sentence);
    said = sentence;
    tellWarnings(now);
    await pause(standingMs, signal);
  }
}

/** In one line. */
export function standingOf({ id, state, reason }: Pick<JobView, 'id' | 'state' | 'reason'>): string {
  return oneLine(`${id} is ${state}. ${reason}`);
}

async function watch(
  client: ControlPlaneClient,
  job: JobView,
  { json, isQuiet, signal }: { readonly json: boolean; readonly isQuiet: boolean; readonly signal: AbortSignal },
): Promise<JobView> {
  const now = await presentJob(client, job, signal);
  if (jobHasEnded(now.state)) return now;
  let said = '';
  const options = { after: '0', signal, json, isQuiet };
  for await (const { data } of followEvents(client, '/api/v1/events', { subject_id: job.id }, options)) {
    const event = JSON.parse(data) as Partial<Told>;
    const { time = '', type = '', message = '' } = event;
    if (!isQuiet && json) tellJson(event);
    else if (!isQuiet && message !== said && !isOfTask(event)) tell(`${time.slice(11, 19)}  ${oneLine(message)}`);
    said = message;
    // Not by the job itself, which is ahead of the stream.
    if (ends.has(type)) break;
  }
  return await presentJob(client, job, signal);
}

/** The phases of its task say the same of a workload. */
function isOfTask({ data }: Partial<Told>): boolean {
  return data?.['type'] === 'phase.entered';
}

const ends: ReadonlySet<string> = new Set(jobStates.filter(jobHasEnded).map((state) => `job.${state}`));

function presentJob(client: ControlPlaneClient, { id }: JobView, signal: AbortSignal): Promise<JobView> {
  return present(client, jobPath(id), signal);
}
