/** Logs of steps out of what was kept of a job: of one step as it is, of several merged by time. */
import type { StreamedEntry } from '../../contract/session-messages.ts';
import type { Job } from '../db/entities/job.ts';
import type { StoredOutput } from '../db/entities/job-output.ts';
import type { Store } from '../db/store.ts';
import type { LogPart } from '../hub/log-relay.ts';
import { storedOutput } from '../job-outputs/keep-outputs.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { type Head, KeptLines } from './kept-lines.ts';

/** Entries of one part, and characters of what they say. */
const together = { entries: 500, characters: 128 * 1024 };
/** Bytes that a reader holds of all its logs, and of one at most. */
const held = 512 * 1024;
const mostShare = 64 * 1024;

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
  let characters = 0;
  const part = (): LogPart => ({ kind: 'entries', cursor: `${number}.${entries.at(-1)?.time}.`, entries });
  for await (const entry of entriesOf(kept, signal)) {
    place += 1;
    if (place <= skipped || (from !== undefined && entry.time <= from.time)) continue;
    entries.push(entry);
    characters += entry.text.length;
    if (entries.length < together.entries && characters < together.characters) continue;
    yield part();
    entries = [];
    characters = 0;
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
  const share = Math.min(mostShare, Math.floor(held / logs.length));
  const readers = logs.map(({ output }) => new KeptLines(() => outputs.open(output), share));
  const heads: (Head | undefined)[] = [];
  for (const reader of readers) heads.push(await reader.next());
  while (!signal.aborted) {
    let first = -1;
    for (const [index, head] of heads.entries()) {
      const best = heads[first];
      if (head && (!best || head.time < best.time)) first = index;
    }
    const [head, reader, log] = [heads[first], readers[first], logs[first]];
    if (!head || !reader || !log) return;
    const entry = await reader.entryOf(head);
    if (entry) yield isMerged ? { ...entry, service: log.step } : entry;
    heads[first] = await reader.next();
  }
}
