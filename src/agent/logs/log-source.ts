/**
 * Where a log comes from, whatever it is the log of: entries with positions, at the pace of whoever reads.
 *
 * Nothing is buffered here. A reader that does not come back for the next entry stops the source, and what the source
 * keeps (the engine's log files, the task's own) is the buffer.
 */
import type { LogSource, StreamedEntry } from '../../contract/session-messages.ts';

/** Output of a workload, or of one service of it. */
export type OutputSource = Exclude<LogSource, { kind: 'task' }>;

export interface SourceEntry {
  /** Position behind this entry; good for a later `read`, also after a restart of the agent or the engine. */
  readonly cursor: string;
  readonly time: string;
  readonly channel: StreamedEntry['channel'];
  /** Bytes as they were written, at most 16 KiB, without the line feed. */
  readonly data: Buffer;
  /** True if the line goes on in the next entry of its channel, and of its service. */
  readonly partial: boolean;
  /** Service that wrote it, where several are read as one. */
  readonly service?: string;
}

/** Stands before the next entry where something is missing: it was rotated away before it could be read. */
export interface SourceGap {
  readonly gap: true;
  /** Entries that are gone; null where nobody could count them. */
  readonly dropped: number | null;
}

export type LogItem = SourceEntry | SourceGap;

export interface ReadOptions {
  /** Go on behind this entry. `task.invalid` for a text that is no cursor of ours. */
  readonly cursor?: string | undefined;
  /** Last entries to begin with, of each service; all without it. Not looked at where there is a cursor. */
  readonly tail?: number | undefined;
  /** True to wait for what comes until the container or the task ends; false to end where the log ends now. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

export interface LogSources {
  /** `container.not_found`, `service.not_found` or `logs.not_found` where there is no such log on this host. */
  read(source: LogSource, options: ReadOptions): AsyncGenerator<LogItem, void, undefined>;
}
