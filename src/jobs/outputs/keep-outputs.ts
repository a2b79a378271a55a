/** Keeps what comes out of jobs, and hands it over to the control plane in the background. */
import { posix } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import type { KeptOutput } from '../../contract/job-outputs.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import { Slots } from '../../kit/slots.ts';
import type { Archive, ContainerEngine, LogEntry } from '../../runtime/engine.ts';
import { mostInFolder } from '../kept-folder.ts';
import { EarlyHandOver } from './early-hand-over.ts';
import { handOver, type OutputDestination } from './hand-over.ts';
import type { JobOutputs, PlannedOutput, Whereabouts } from './job-outputs.ts';
import type { SentEarly } from './send-early.ts';
import { type Fill, Spool, type Spooled, type SpoolLimits } from './spool.ts';
import { type FileFacts, type Look, lookAt, takeTar, type Write } from './take-tar.ts';

export interface OutputsOptions {
  readonly engine: Pick<ContainerEngine, 'getArchive'>;
  /** `<state_dir>/jobs`. */
  readonly folder: string;
  readonly limits: SpoolLimits;
  /** Free bytes of the disk that the folder is on; those of the system, if left out. */
  readonly free?: () => Promise<number>;
  /** Undefined on a host that is no node: what is kept stays in the spool. */
  readonly destination: OutputDestination | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export interface KeptOutputs extends JobOutputs {
  /** Ends what is under way; it goes on with the next start. */
  close(): Promise<void>;
}

/** Outputs that are handed over at once. */
const parallel = 2;
/** Engines tell times to the second: what is written to later than that has another one. */
const settlingMs = 2000;

/** Goes on at once with what an earlier life has left. */
export function openOutputs({ engine, folder, limits, free, destination, clock, log }: OutputsOptions): KeptOutputs {
  const spool = new Spool(folder, limits, clock.wallMs(), free);
  const closing = new AbortController();
  const slots = new Slots(parallel);
  /** What is handed over or waits for that, by job and name. */
  const underWay = new Map<string, { readonly stop: AbortController; readonly end: Promise<void> }>();
  /** By job and name. */
  const lastTaken = new Map<string, FileFacts>();
  /** By job and name, what was not kept when it was read last. */
  const readInVain = new Set<string>();
  for (const spooled of spool.waiting()) begin(spooled);

  return {
    take: async (output, where, signal) => {
      const read = () => engine.getArchive(where.container, posix.join(where.target, output.path), signal);
      const archive = await named(output, read());
      if (!archive) return undefined;
      const { written_until: until } = where;
      // What is being written is not read: its first header says so.
      const newest = until === undefined ? undefined : until - settlingMs;
      const most = { ...mostInFolder, bytes: limits.each, newest };
      const key = `${where.job}/${output.name}`;
      const early = earlyOf(where.job, output.name);
      let facts: FileFacts | undefined;
      let readBytes = 0;
      const fill: Fill = async (write, file) => {
        // It may be so again, while its program may be at work on it.
        const isInVain = until !== undefined && readInVain.has(key);
        const onFile = (its: FileFacts) => {
          facts = its;
          if (!isInVain && isNews(where.job, output.name, its)) early?.begin(its.size, file);
        };
        const counted: Write = (chunk) => {
          readBytes += chunk.length;
          return write(chunk);
        };
        const taken = await named(output, takeTar(archive, counted, most, onFile));
        if (until !== undefined && !(await named(output, isAsTaken(taken.look, read)))) {
          throw new AgentError('output.unsettled', { output: output.name, path: output.path });
        }
        return filled(output, where, taken);
      };
      try {
        const kept = await keep(where.job, fill, early);
        readInVain.delete(key);
        if (facts) lastTaken.set(key, facts);
        return kept;
      } catch (error) {
        if (facts && !signal.aborted) readInVain.add(key);
        if (!(error instanceof AgentError) || error.code !== 'output.unsettled') throw error;
        throw new AgentError(error.code, { ...error.detail, read_bytes: readBytes }, { cause: error });
      } finally {
        // Where there is no room for it, nobody has begun to read.
        archive.destroy();
      }
    },
    takeLog: async (job, step, entries, signal) =>
      await keep(job, async (write) => {
        let lines = '';
        for await (const line of linesOf(entries)) {
          signal.throwIfAborted();
          lines += line;
          if (lines.length < writtenAtOnce) continue;
          await write(Buffer.from(lines));
          lines = '';
        }
        await write(Buffer.from(lines));
        const name = `${step}.log`;
        return { name, kind: 'log', media_type: 'application/x-ndjson', file_name: `${name}.ndjson` };
      }),
    of: (job) => spool.of(job),
    handedOver: async (job, patienceMs, signal) => {
      const ends = [...underWay].filter(([key]) => key.startsWith(`${job}/`)).map(([, { end }]) => end);
      const over = new AbortController();
      const patience = clock.pause(patienceMs, AbortSignal.any([signal, over.signal]));
      await Promise.race([Promise.all(ends), patience]).finally(() => over.abort());
      return spool.waiting(job).length === 0;
    },
    forget: async (job) => {
      await stop((key) => key.startsWith(`${job}/`));
      for (const its of [lastTaken, readInVain]) {
        for (const key of its.keys()) if (key.startsWith(`${job}/`)) its.delete(key);
      }
      spool.forget(job);
    },
    close: async () => {
      closing.abort();
      await stop(() => true);
    },
  };

  function filled(output: PlannedOutput, { job }: Whereabouts, taken: Awaited<ReturnType<typeof takeTar>>) {
    const { kind, leftOut } = taken;
    if (leftOut.count > 0) {
      const { count, some } = leftOut;
      log.warn({ instance: job, output: output.name, count, detail: some }, 'some of a folder is not kept');
    }
    const base = posix.basename(posix.normalize(output.path)).slice(0, 250);
    const isFile = kind === 'file';
    return {
      ...{ name: output.name, kind: output.type, file_name: isFile ? base : `${base}.tar` },
      media_type: isFile ? ('application/octet-stream' as const) : ('application/x-tar' as const),
    };
  }

  async function keep(job: string, fill: Fill, early?: EarlyHandOver): Promise<KeptOutput> {
    let isSent = false;
    try {
      const { spooled, isNew } = await spool.keep(job, fill);
      if (isNew) begin(spooled, early);
      isSent = isNew;
      return spooled.output;
    } finally {
      if (!isSent) void early?.drop();
    }
  }

  /** Undefined where none can be sent before it is whole. */
  function earlyOf(job: string, name: string): EarlyHandOver | undefined {
    if (!destination?.early) return undefined;
    const parts = { destination: destination.early, slots, clock, log, closing: closing.signal };
    return new EarlyHandOver({ job_id: job, name }, parts);
  }

  /**
   * True where there is reason to think that a file is another one than was kept, and nothing of it is handed over: a checkpoint is
   * read again and again, and is seldom another one.
   */
  function isNews(job: string, name: string, { size, writtenAt }: FileFacts): boolean {
    const key = `${job}/${name}`;
    if (underWay.has(key)) return false;
    const last = lastTaken.get(key);
    if (last) return last.size !== size || last.writtenAt !== writtenAt;
    return spool.find(job, name)?.output.bytes !== size;
  }

  function begin(spooled: Spooled, early?: EarlyHandOver): void {
    if (!destination || closing.signal.aborted) return void early?.drop();
    const key = keyOf(spooled);
    const before = underWay.get(key);
    before?.stop.abort();
    const stopping = new AbortController();
    const signal = AbortSignal.any([stopping.signal, closing.signal]);
    const file = spool.fileOf(spooled);
    const work = (sent?: SentEarly) => handOver(spooled, { destination, file, clock, signal, early: sent });
    const end = (early ? early.handOver(signal, work) : slots.run(signal, work))
      .then((handed) => {
        if (handed.state === 'refused') {
          const { job: instance, output } = spooled;
          log.warn(
            { instance, output: output.name, reason: handed.reason },
            'the control plane does not keep an output',
          );
        }
        spool.end(spooled, handed.state);
      })
      .catch((err) => {
        if (!signal.aborted) log.error({ err, instance: spooled.job }, 'an output cannot be handed over');
      })
      .finally(() => {
        void early?.drop();
        if (underWay.get(key)?.stop === stopping) underWay.delete(key);
      });
    underWay.set(key, { stop: stopping, end });
  }

  async function stop(which: (key: string) => boolean): Promise<void> {
    const chosen = [...underWay].filter(([key]) => which(key)).map(([, each]) => each);
    for (const { stop: stopping } of chosen) stopping.abort();
    await Promise.all(chosen.map(({ end }) => end));
  }
}

/** True where nobody has been at work on it since it was read. */
async function isAsTaken({ print }: Look, read: () => Promise<Archive | undefined>): Promise<boolean> {
  const again = await read();
  return again !== undefined && (await lookAt(again)).print === print;
}

function keyOf({ job, output }: Pick<Spooled, 'job' | 'output'>): string {
  return `${job}/${output.name}`;
}

/** Says which output it was that could not be kept, and nothing of the host. */
async function named<T>({ name, path }: PlannedOutput, taking: Promise<T>): Promise<T> {
  try {
    return await taking;
  } catch (error) {
    if (!(error instanceof AgentError) || !/^(output\.(refused|unsettled)|engine\.failed)$/.test(error.code))
      throw error;
    // An engine names folders of the host, as with links in a circle.
    const own =
      error.code === 'engine.failed' ? { reason: 'It cannot read what is at the path of the output.' } : error.detail;
    throw new AgentError(error.code, { ...own, output: name, path }, { cause: error });
  }
}

interface Line {
  readonly time: string;
  readonly channel: LogEntry['channel'];
  readonly text: string;
  /** Characters of each entry that it was made of. */
  readonly parts: readonly number[];
}

async function* linesOf(entries: AsyncIterable<LogEntry>): AsyncGenerator<string> {
  const begun = new Map<LogEntry['channel'], Line>();
  for await (const { time, channel, data, partial } of entries) {
    const text = data.toString().replace(partial ? '' : /\n$/, '');
    let before = begun.get(channel);
    // All parts of a line share one moment.
    if (before && before.time !== time) {
      yield written(before);
      before = undefined;
    }
    const line = {
      time,
      channel,
      text: `${before?.text ?? ''}${text}`,
      parts: [...(before?.parts ?? []), text.length],
    };
    // A line without an end is cut somewhere, so that it never has to be held whole.
    if (partial && line.text.length < maxLineLength && line.parts.length < maxLineParts) {
      begun.set(channel, line);
      continue;
    }
    begun.delete(channel);
    yield written(line);
  }
  for (const line of begun.values()) yield written(line);
}

function written({ parts, ...line }: Line): string {
  return `${JSON.stringify(parts.length === 1 ? line : { ...line, parts })}\n`;
}

const maxLineLength = 256 * 1024;
const maxLineParts = 256;
const writtenAtOnce = 64 * 1024;
