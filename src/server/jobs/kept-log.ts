/** Logs of steps out of what was kept of a job: of one step as it is, of several merged by time. */
import { jobHasEnded } from '../../contract/job-state.ts';
import type { StreamedEntry } from '../../contract/session-messages.ts';
import type { Job, JobNews } from '../db/entities/job.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { ReadTx } from '../db/store.ts';
import type { LogPart } from '../hub/log-relay.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { type Head, type KeptLine, KeptLines } from './kept-lines.ts';
import { cursorOf, type LogPlaces, LogReading } from './log-places.ts';

/** Entries of one part, and characters of what they say. */
const together = { entries: 500, characters: 128 * 1024 };
/** Bytes that a reader holds of all its logs, and of one at most. */
const held = 512 * 1024;
const mostShare = 64 * 1024;

/** As hosts call the logs of what they build; no part of a plan that builds has such a name. */
const logOfBuild = /^build(-\d+)?$/;

export function isLogOfBuild({ needs }: Pick<Job, 'needs'>, name: string): boolean {
  return needs.builds === true && logOfBuild.test(name);
}

export interface KeptLog {
  readonly outputs: OutputFiles;
  readonly logs: readonly { readonly step: string; readonly output: StoredOutput }[];
  /** True where entries shall say which step they are of. */
  readonly isMerged: boolean;
  /** Nothing but what builds have said. */
  readonly isOfBuild: boolean;
}

/** A log that is to be there, and is not. */
export interface Lacking {
  readonly step: string;
  readonly reason: string;
  /** Bytes of it that are here already; undefined where no more will come. */
  readonly received: number | undefined;
}

/** What is here of the logs of an attempt that has ended, and what is not. */
export async function keptLog(
  tx: ReadTx,
  outputs: OutputFiles,
  job: Job,
  step: string | undefined,
): Promise<KeptLog & { readonly lacking: readonly Lacking[] }> {
  const rows = (await tx.job_outputs.list({ where: { job_id: job.id } })).filter(({ kind }) => kind === 'log');
  const end = endOf(job, await tx.job_news.get(job.id));
  const names = [...rows, ...end.outputs].map(({ name }) => name.replace(/\.log$/, ''));
  // What its build has said comes before all of them, and is read by its name; where there is nothing else, it is all that there is.
  const builds = new Set(names.filter((name) => isLogOfBuild(job, name)));
  const steps = new Set([...job.steps.map(({ id }) => id), ...names].filter((name) => !builds.has(name)));
  const find = (wanted: Iterable<string>) => findLogs(wanted, { job, rows, end, outputs });
  const found = find(step === undefined ? steps : [step]);
  const isOfBuild = step === undefined && builds.size > 0 && found.logs.length === 0 && found.lacking.length === 0;
  return { outputs, ...(isOfBuild ? find(builds) : found), isMerged: step === undefined, isOfBuild };
}

interface KeptParts {
  readonly job: Job;
  readonly rows: readonly StoredOutput[];
  readonly end: End;
  readonly outputs: OutputFiles;
}

function findLogs(wanted: Iterable<string>, { job, rows, end, outputs }: KeptParts) {
  const logs: { step: string; output: StoredOutput }[] = [];
  const lacking: Lacking[] = [];
  for (const id of wanted) {
    // Without a container, it is told of while the job goes on; that of an attempt before counts where nothing was built again.
    const its = isLogOfBuild(job, id) ? { ...end, isTold: true, begun: new Set<string>() } : end;
    const found = findLog(id, rows, its, outputs);
    if (found && 'step' in found) lacking.push(found);
    else if (found) logs.push({ step: id, output: found });
  }
  return { logs, lacking };
}

/** What its host has said of the end of the last attempt. */
interface End {
  readonly isTold: boolean;
  /** The host is at it still, if only to clean up. */
  readonly isThere: boolean;
  /** Steps that had a container. */
  readonly begun: ReadonlySet<string>;
  readonly outputs: JobNews['outputs'];
}

/** of an attempt that has not begun, what those before it have left is what there is. */
function endOf({ attempts }: Job, news: JobNews | undefined): End {
  const attempt = attempts.at(-1);
  const isThere = attempt?.ended_at === null;
  if (news === undefined || news.attempt !== attempt?.number) {
    const ahead = news?.ahead?.attempt === attempt?.number ? news?.ahead : undefined;
    return { isTold: false, isThere, begun: new Set(), outputs: logsOf(ahead?.outputs ?? []) };
  }
  const { report, outputs } = news;
  return {
    ...{ isTold: jobHasEnded(report.state), isThere, outputs: logsOf(outputs) },
    begun: new Set(report.steps.flatMap(({ id, container_id }) => (container_id === null ? [] : [id]))),
  };
}

function logsOf(outputs: JobNews['outputs']): JobNews['outputs'] {
  return outputs.filter(({ kind }) => kind === 'log');
}

/** Undefined where there was none, as far as anybody knows. */
function findLog(
  step: string,
  rows: readonly StoredOutput[],
  { isTold, isThere, begun, outputs }: End,
  files: OutputFiles,
): StoredOutput | Lacking | undefined {
  const its = rows.filter(({ name }) => name === `${step}.log`);
  const stored = its.find(({ state }) => state === 'stored');
  const told = isTold ? outputs.find(({ name }) => name === `${step}.log`) : undefined;
  if (told) {
    if (stored?.sha256 === told.sha256) return stored;
    const row = its.find(({ sha256 }) => sha256 === told.sha256);
    if (row?.state === 'refused') return { step, reason: row.reason ?? 'It was refused.', received: undefined };
    return { step, reason: 'Its host has not handed it over yet.', received: row ? files.received(row) : 0 };
  }
  if (!begun.has(step)) return begun.size === 0 ? stored : undefined;
  if (isTold) return { step, reason: 'Its host could not keep it.', received: undefined };
  const reason = 'Its host has not said what became of it.';
  return stored ?? { step, reason, received: isThere ? 0 : undefined };
}

interface Wanted {
  readonly places: LogPlaces;
  /** Last entries to begin with, where there are no places; null for all. */
  readonly tail: number | null;
  /** Ids of the job, in its order. */
  readonly steps: readonly string[];
}

/** What is behind the places; returns the steps of whose log not all is there any more. */
export async function* fromKept(
  kept: KeptLog,
  { places, tail, steps }: Wanted,
  signal: AbortSignal,
): AsyncGenerator<LogPart, readonly string[], void> {
  const skipped = places.steps.size === 0 && tail !== null ? (await countOf(kept, signal)) - tail : 0;
  const reading = new LogReading(places, []);
  const lost = new Set<string>();
  let place = 0;
  let entries: StreamedEntry[] = [];
  let characters = 0;
  const part = (): LogPart => ({ kind: 'entries', cursor: cursorOf(places, steps), entries });
  for await (const { step, line } of linesOf(kept, signal, lost)) {
    place += 1;
    const entry = newOf(reading, step, line);
    if (place <= skipped || !entry) continue;
    entries.push(kept.isMerged ? { ...entry, service: step } : entry);
    characters += entry.text.length;
    if (entries.length < together.entries && characters < together.characters) continue;
    yield part();
    entries = [];
    characters = 0;
  }
  if (entries.length > 0) yield part();
  return [...lost];
}

/** What was not seen of a line; undefined where all was. */
function newOf(reading: LogReading, step: string, { entry, parts }: KeptLine): StreamedEntry | undefined {
  let seen = 0;
  let isNew = false;
  for (const length of parts) {
    if (reading.takes(step, entry.channel, entry.time)) isNew = true;
    else seen += length;
  }
  return isNew ? { ...entry, text: entry.text.slice(seen) } : undefined;
}

async function countOf(kept: KeptLog, signal: AbortSignal): Promise<number> {
  let count = 0;
  for await (const _ of linesOf(kept, signal, new Set())) count += 1;
  return count;
}

/** Each log is by time already, so the next entry is the earliest of their heads. */
async function* linesOf(
  { outputs, logs }: KeptLog,
  signal: AbortSignal,
  lost: Set<string>,
): AsyncGenerator<{ readonly step: string; readonly line: KeptLine }> {
  const share = Math.min(mostShare, Math.floor(held / logs.length));
  const readers = logs.map(({ output }) => new KeptLines(() => outputs.open(output), share));
  const heads: (Head | undefined)[] = [];
  for (const [index, reader] of readers.entries()) {
    heads.push(await reader.next());
    if (reader.isLost) lost.add(logs[index]?.step ?? '');
  }
  while (!signal.aborted) {
    let first = -1;
    for (const [index, head] of heads.entries()) {
      const best = heads[first];
      if (head && (!best || head.time < best.time)) first = index;
    }
    const [head, reader, log] = [heads[first], readers[first], logs[first]];
    if (!head || !reader || !log) return;
    const line = await reader.lineOf(head);
    if (line) yield { step: log.step, line };
    heads[first] = await reader.next();
    if (reader.isLost) lost.add(log.step);
  }
}
