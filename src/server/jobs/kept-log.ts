/** Logs of steps out of what was kept of a job: of one step as it is, of several merged by time. */
import { Type } from 'typebox';
import { StreamedEntry } from '../../contract/session-messages.ts';
import { judgeKnown } from '../../contract/validate.ts';
import { readLines } from '../../kit/lines.ts';
import type { Job } from '../db/entities/job.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { Store } from '../db/store.ts';
import type { LogPart } from '../hub/log-relay.ts';
import { storedOutput } from '../job-outputs/keep-outputs.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';

/** Entries of one part. */
const together = 500;
/** Longer than any that an agent writes. */
const longestLine = 2 * 2 ** 20;

const Line = Type.Object({
  time: StreamedEntry.properties.time,
  channel: StreamedEntry.properties.channel,
  text: Type.String(),
});

interface KeptLog {
  readonly outputs: OutputFiles;
  readonly logs: readonly { readonly step: string; readonly output: StoredOutput }[];
  /** True where entries shall say which step they are of. */
  readonly isMerged: boolean;
}

/** Undefined where nothing of it was kept, or has arrived. */
export async function keptLog(
  { store, outputs }: { readonly store: Store; readonly outputs: OutputFiles },
  job: Job,
  step: string | undefined,
): Promise<KeptLog | undefined> {
  const wanted = step === undefined ? job.steps.map(({ id }) => id) : [step];
  const logs = await store.read(async (tx) => {
    const found: { step: string; output: StoredOutput }[] = [];
    for (const each of wanted) {
      const output = await storedOutput(tx, job.id, `${each}.log`);
      if (output) found.push({ step: each, output });
    }
    return found;
  });
  return logs.length === 0 ? undefined : { outputs, logs, isMerged: step === undefined };
}

interface From {
  /** Attempt that cursors are of. */
  readonly number: number;
  readonly from: { readonly time: string } | undefined;
  readonly tail: number | null;
}

export async function* fromKept(
  kept: KeptLog,
  { number, from, tail }: From,
  signal: AbortSignal,
): AsyncGenerator<LogPart> {
  const skipped = from === undefined && tail !== null ? (await countOf(kept, signal)) - tail : 0;
  let place = 0;
  let entries: StreamedEntry[] = [];
  const part = (): LogPart => ({ kind: 'entries', cursor: `${number}.${entries.at(-1)?.time}.`, entries });
  for await (const entry of entriesOf(kept, signal)) {
    place += 1;
    if (place <= skipped || (from !== undefined && entry.time <= from.time)) continue;
    entries.push(entry);
    if (entries.length === together) {
      yield part();
      entries = [];
    }
  }
  if (entries.length > 0) yield part();
  yield { kind: 'end', failure: null };
}

async function countOf(kept: KeptLog, signal: AbortSignal): Promise<number> {
  let count = 0;
  for await (const _ of entriesOf(kept, signal)) count += 1;
  return count;
}

/** Each log is by time already, so the next entry is the earliest of their heads. */
async function* entriesOf({ outputs, logs, isMerged }: KeptLog, signal: AbortSignal): AsyncGenerator<StreamedEntry> {
  const readers = logs.map(({ step, output }) => linesOf(outputs, output, isMerged ? step : undefined));
  try {
    const heads = await Promise.all(readers.map((reader) => reader.next()));
    while (!signal.aborted) {
      let first = -1;
      for (const [index, head] of heads.entries()) {
        if (head.done) continue;
        const best = heads[first];
        if (best === undefined || best.done || head.value.time < best.value.time) first = index;
      }
      const head = heads[first];
      const reader = readers[first];
      if (head === undefined || head.done || reader === undefined) return;
      yield head.value;
      heads[first] = await reader.next();
    }
  } finally {
    await Promise.all(readers.map((reader) => reader.return(undefined)));
  }
}

/** What is no line of a log is left out, and all that follows one that is too long to be held: it comes from a host. */
async function* linesOf(
  outputs: OutputFiles,
  output: StoredOutput,
  service: string | undefined,
): AsyncGenerator<StreamedEntry, void> {
  const file = await outputs.open(output);
  if (!file) return;
  const stream = file.createReadStream();
  try {
    for await (const line of readLines(stream, longestLine)) {
      const entry = entryOf(line);
      if (entry) yield service === undefined ? entry : { ...entry, service };
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  } finally {
    stream.destroy();
  }
}

function entryOf(line: string): StreamedEntry | undefined {
  try {
    const judged = judgeKnown(Line, JSON.parse(line));
    return judged.ok ? { ...judged.value, encoding: 'utf8', partial: false } : undefined;
  } catch {
    return undefined;
  }
}
